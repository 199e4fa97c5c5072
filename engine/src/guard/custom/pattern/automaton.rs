//! A program made deterministic: one step for each byte.

use regex_syntax::hir::Look;

use super::super::super::scanner::is_word;
use super::program::{Program, State};
use super::{AUTOMATON_BYTES_MAX, WORK_MAX};

/// What stands before or after a place, as far as `^`, `$` and `\b` tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    Nothing,
    Word,
    Other,
    LineFeed,
    Return,
}

impl Beside {
    pub(super) const ALL: [Self; 5] = [
        Self::Nothing,
        Self::Word,
        Self::Other,
        Self::LineFeed,
        Self::Return,
    ];

    pub(super) const fn of(byte: Option<u8>) -> Self {
        match byte {
            None => Self::Nothing,
            Some(b'\n') => Self::LineFeed,
            Some(b'\r') => Self::Return,
            Some(byte) if is_word(byte) => Self::Word,
            Some(_) => Self::Other,
        }
    }
}

/// Whether a place between two others is what a pattern asks for. `None`: it needs Unicode's tables.
pub(super) fn holds(look: Look, before: Beside, after: Beside) -> Option<bool> {
    use Beside::{LineFeed, Nothing, Return, Word};
    let (word_before, word_after) = (before == Word, after == Word);
    Some(match look {
        Look::Start => before == Nothing,
        Look::End => after == Nothing,
        Look::StartLF => matches!(before, Nothing | LineFeed),
        Look::EndLF => matches!(after, Nothing | LineFeed),
        Look::StartCRLF => {
            matches!(before, Nothing | LineFeed) || before == Return && after != LineFeed
        }
        Look::EndCRLF => matches!(after, Nothing | Return) || after == LineFeed && before != Return,
        Look::WordAscii => word_before != word_after,
        Look::WordAsciiNegate => word_before == word_after,
        Look::WordStartAscii => !word_before && word_after,
        Look::WordEndAscii => word_before && !word_after,
        Look::WordStartHalfAscii => !word_before,
        Look::WordEndHalfAscii => !word_after,
        _ => return None,
    })
}

/// The state from which nothing matches any more.
pub(super) const DEAD: u16 = 0;

/// What a byte leads to.
#[derive(Clone, Copy, Default)]
pub(super) struct Next {
    pub(super) state: u16,
    /// A match ends before the byte.
    pub(super) is_match: bool,
}

/// A table of states by classes of bytes that a pattern does not tell apart.
#[derive(Clone)]
pub(super) struct Automaton {
    classes: [u8; 256],
    stride: usize,
    table: Vec<Next>,
    /// By state: a match ends with the text.
    ends: Vec<bool>,
    starts: [u16; Beside::ALL.len()],
}

impl Automaton {
    /// `None`: it would take more than [`AUTOMATON_BYTES_MAX`], or more than [`WORK_MAX`] to make.
    pub(super) fn of(program: &Program) -> Option<Self> {
        let mut builder = Builder::new(program);
        builder.intern(Beside::Nothing, &[])?;
        for (index, before) in Beside::ALL.into_iter().enumerate() {
            let state = builder.intern(before, &[program.first])?;
            *builder.made.starts.get_mut(index)? = state;
        }
        let mut at = 1;
        while let Some(known) = builder.known.get(at).copied() {
            builder.lead_on(at, known)?;
            at += 1;
        }
        Some(builder.made)
    }

    pub(super) fn start(&self, before: Beside) -> u16 {
        self.starts.get(before as usize).copied().unwrap_or(DEAD)
    }

    #[inline]
    pub(super) fn next(&self, state: u16, byte: u8) -> Next {
        let class = self.classes.get(usize::from(byte)).copied().unwrap_or(0);
        let at = usize::from(state) * self.stride + usize::from(class);
        self.table.get(at).copied().unwrap_or_default()
    }

    pub(super) fn ends(&self, state: u16) -> bool {
        self.ends
            .get(usize::from(state))
            .copied()
            .unwrap_or_default()
    }
}

/// A state: the program's states that follow a byte, and what that byte was.
#[derive(Clone, Copy)]
struct Known {
    before: Beside,
    from: usize,
    until: usize,
    /// The next one in the same bucket; [`DEAD`] ends the list.
    sibling: u16,
}

struct Builder<'p> {
    program: &'p Program,
    made: Automaton,
    /// One byte of each class.
    bytes: Vec<u8>,
    known: Vec<Known>,
    /// The program's states of all that are known.
    members: Vec<u32>,
    buckets: Vec<u16>,
    /// By state of the program: when it was last visited.
    visits: Vec<u32>,
    visit: u32,
    stack: Vec<u32>,
    work: usize,
}

const BUCKETS: usize = 256;

impl<'p> Builder<'p> {
    fn new(program: &'p Program) -> Self {
        let (classes, bytes) = classes(program);
        Self {
            program,
            made: Automaton {
                classes,
                stride: bytes.len(),
                table: Vec::new(),
                ends: Vec::new(),
                starts: [DEAD; Beside::ALL.len()],
            },
            bytes,
            known: Vec::new(),
            members: Vec::new(),
            buckets: vec![DEAD; BUCKETS],
            visits: vec![0; program.len()],
            visit: 0,
            stack: Vec::new(),
            work: 0,
        }
    }

    /// The number of the state with these members.
    fn intern(&mut self, before: Beside, members: &[u32]) -> Option<u16> {
        if members.is_empty() && !self.known.is_empty() {
            return Some(DEAD);
        }
        // What stood before is told apart only where something asks for it.
        let before = match self.program.looks {
            true => before,
            false => Beside::Nothing,
        };
        let hash = members.iter().fold(before as usize, |hash, member| {
            (hash ^ *member as usize).wrapping_mul(0x0100_0193)
        });
        let bucket = (hash >> 8) % BUCKETS;
        let mut at = self.buckets.get(bucket).copied()?;
        while at != DEAD {
            let known = self.known.get(usize::from(at))?;
            if known.before == before && self.members.get(known.from..known.until)? == members {
                return Some(at);
            }
            at = known.sibling;
        }
        let state = u16::try_from(self.known.len()).ok()?;
        let size = (self.made.table.len() + self.made.stride) * size_of::<Next>();
        if size > AUTOMATON_BYTES_MAX {
            return None;
        }
        let head = self.buckets.get_mut(bucket)?;
        let from = self.members.len();
        self.members.extend_from_slice(members);
        self.known.push(Known {
            before,
            from,
            until: self.members.len(),
            sibling: std::mem::replace(head, state),
        });
        let more = self.made.table.len() + self.made.stride;
        self.made.table.resize(more, Next::default());
        self.made.ends.push(false);
        Some(state)
    }

    /// Where each byte leads from a state.
    fn lead_on(&mut self, state: usize, known: Known) -> Option<()> {
        let mut waiting = Vec::new();
        let is_match = self.follow(known, Beside::Nothing, &mut waiting)?;
        *self.made.ends.get_mut(state)? = is_match;
        let mut next = Next {
            state: DEAD,
            is_match,
        };
        let mut after = Beside::Nothing;
        let mut members = Vec::new();
        for class in 0..self.bytes.len() {
            let byte = self.bytes.get(class).copied()?;
            let beside = Beside::of(Some(byte));
            if self.program.looks && beside != after {
                after = beside;
                next.is_match = self.follow(known, after, &mut waiting)?;
            }
            self.step(&waiting, byte, &mut members)?;
            next.state = self.intern(beside, &members)?;
            let at = state * self.made.stride + class;
            *self.made.table.get_mut(at)? = next;
        }
        Some(())
    }

    /// Follows what needs no byte: puts the states that wait for one in order of preference, and says
    /// whether a match ends here. What is less preferred than a match is dropped.
    fn follow(&mut self, known: Known, after: Beside, waiting: &mut Vec<u32>) -> Option<bool> {
        waiting.clear();
        self.visit += 1;
        let members = self.members.get(known.from..known.until)?;
        self.stack.clear();
        self.stack.extend(members.iter().rev());
        while let Some(at) = self.stack.pop() {
            self.work += 1;
            let visited = self.visits.get_mut(at as usize)?;
            if std::mem::replace(visited, self.visit) == self.visit {
                continue;
            }
            match self.program.state(at) {
                State::Bytes { .. } => waiting.push(at),
                State::Fork(first, second) => self.stack.extend([second, first]),
                State::Look(look, next) => {
                    if holds(look, known.before, after)? {
                        self.stack.push(next);
                    }
                }
                State::Match => return Some(true),
            }
        }
        (self.work < WORK_MAX).then_some(false)
    }

    fn step(&mut self, waiting: &[u32], byte: u8, members: &mut Vec<u32>) -> Option<()> {
        members.clear();
        self.visit += 1;
        for at in waiting {
            let State::Bytes { from, until } = self.program.state(*at) else {
                continue;
            };
            let steps = self.program.steps(from, until);
            self.work += steps.len();
            for step in steps {
                if step.low <= byte && byte <= step.high {
                    let visited = self.visits.get_mut(step.to as usize)?;
                    if std::mem::replace(visited, self.visit) != self.visit {
                        members.push(step.to);
                    }
                }
            }
        }
        (self.work < WORK_MAX).then_some(())
    }
}

/// The class of each byte, and one byte of each class.
fn classes(program: &Program) -> ([u8; 256], Vec<u8>) {
    let mut ends = [false; 256];
    let mut range = |low: u8, high: u8| {
        let before = low.checked_sub(1);
        for last in before.into_iter().chain([high]) {
            if let Some(end) = ends.get_mut(usize::from(last)) {
                *end = true;
            }
        }
    };
    for step in program.all_steps() {
        range(step.low, step.high);
    }
    if program.looks {
        for (low, high) in [
            (b'\n', b'\n'),
            (b'\r', b'\r'),
            (b'0', b'9'),
            (b'A', b'Z'),
            (b'_', b'_'),
            (b'a', b'z'),
        ] {
            range(low, high);
        }
    }
    let mut classes = [0; 256];
    let mut bytes = vec![0];
    let mut class = 0;
    let mut begins = false;
    for ((byte, slot), end) in (0..=u8::MAX).zip(&mut classes).zip(ends) {
        if begins {
            class += 1;
            bytes.push(byte);
        }
        *slot = class;
        begins = end;
    }
    (classes, bytes)
}
