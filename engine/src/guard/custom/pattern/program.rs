//! A pattern as a program: states, of which several are taken at once.

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};
use regex_syntax::utf8::Utf8Sequences;

use super::PROGRAM_BYTES_MAX;

/// What a state of a program does.
#[derive(Clone, Copy)]
pub(super) enum State {
    /// Goes on with a byte, as its [`Step`]s say.
    Bytes { from: u32, until: u32 },
    /// Goes on at both without a byte; the first is preferred.
    Fork(u32, u32),
    /// Goes on without a byte where that holds.
    Look(Look, u32),
    /// Nothing is left to match.
    Match,
}

/// One range of bytes and where it leads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) low: u8,
    pub(super) high: u8,
    pub(super) to: u32,
}

/// A pattern's states, which are made from its end on: each knows what follows it.
pub(super) struct Program {
    states: Vec<State>,
    steps: Vec<Step>,
    pub(super) first: u32,
    pub(super) looks: bool,
}

impl Program {
    /// `None`: it would take more than [`PROGRAM_BYTES_MAX`].
    pub(super) fn of(pattern: &Hir) -> Option<Self> {
        let mut program = Self {
            states: Vec::new(),
            steps: Vec::new(),
            first: 0,
            looks: !pattern.properties().look_set().is_empty(),
        };
        let end = program.push(State::Match)?;
        program.first = program.before(pattern, end)?;
        Some(program)
    }

    pub(super) const fn len(&self) -> usize {
        self.states.len()
    }

    pub(super) fn state(&self, at: u32) -> State {
        self.states
            .get(at as usize)
            .copied()
            .unwrap_or(State::Match)
    }

    /// All steps, or those of one state.
    pub(super) fn steps(&self, from: u32, until: u32) -> &[Step] {
        self.steps
            .get(from as usize..until as usize)
            .unwrap_or_default()
    }

    pub(super) fn all_steps(&self) -> &[Step] {
        &self.steps
    }

    fn push(&mut self, state: State) -> Option<u32> {
        let bytes = self.states.len() * size_of::<State>() + self.steps.len() * size_of::<Step>();
        if bytes > PROGRAM_BYTES_MAX {
            return None;
        }
        self.states.push(state);
        u32::try_from(self.states.len() - 1).ok()
    }

    fn bytes(&mut self, steps: &[Step]) -> Option<u32> {
        let from = u32::try_from(self.steps.len()).ok()?;
        self.steps.extend_from_slice(steps);
        let until = u32::try_from(self.steps.len()).ok()?;
        self.push(State::Bytes { from, until })
    }

    /// The state from which `pattern` leads to `next`.
    fn before(&mut self, pattern: &Hir, mut next: u32) -> Option<u32> {
        match pattern.kind() {
            HirKind::Empty => {}
            HirKind::Literal(literal) => {
                for byte in literal.0.iter().rev() {
                    let (low, high) = (*byte, *byte);
                    next = self.bytes(&[Step {
                        low,
                        high,
                        to: next,
                    }])?;
                }
            }
            HirKind::Class(class) => return self.before_class(class, next),
            HirKind::Look(look) => return self.push(State::Look(*look, next)),
            HirKind::Repetition(repetition) => return self.before_repetition(repetition, next),
            HirKind::Capture(capture) => return self.before(&capture.sub, next),
            HirKind::Concat(parts) => {
                for part in parts.iter().rev() {
                    next = self.before(part, next)?;
                }
            }
            HirKind::Alternation(choices) => {
                let mut choices = choices.iter().rev();
                let mut all = match choices.next() {
                    Some(last) => self.before(last, next)?,
                    None => next,
                };
                for choice in choices {
                    let first = self.before(choice, next)?;
                    all = self.push(State::Fork(first, all))?;
                }
                return Some(all);
            }
        }
        Some(next)
    }

    /// One character, in the bytes of UTF-8. Characters that end alike share their states.
    fn before_class(&mut self, class: &Class, next: u32) -> Option<u32> {
        let mut first = Vec::new();
        let step = |low, high, to| Step { low, high, to };
        match class {
            Class::Bytes(class) => {
                first.extend(
                    class
                        .iter()
                        .map(|range| step(range.start(), range.end(), next)),
                );
            }
            Class::Unicode(class) => {
                let mut shared: Vec<(Step, u32)> = Vec::new();
                let ranges = class.iter();
                for sequence in
                    ranges.flat_map(|range| Utf8Sequences::new(range.start(), range.end()))
                {
                    let mut to = next;
                    let mut bytes = sequence.as_slice().iter();
                    let lead = bytes.next()?;
                    for range in bytes.rev() {
                        let wanted = step(range.start, range.end, to);
                        let known = shared.iter().find(|(step, _)| *step == wanted);
                        to = match known {
                            Some((_, state)) => *state,
                            None => {
                                let state = self.bytes(&[wanted])?;
                                shared.push((wanted, state));
                                state
                            }
                        };
                    }
                    first.push(step(lead.start, lead.end, to));
                }
            }
        }
        self.bytes(&first)
    }

    fn before_repetition(&mut self, repetition: &Repetition, end: u32) -> Option<u32> {
        let sub = &repetition.sub;
        let fork = |more, enough| match repetition.greedy {
            true => State::Fork(more, enough),
            false => State::Fork(enough, more),
        };
        let mut next = end;
        let mut times = repetition.min;
        if let Some(max) = repetition.max {
            for _ in repetition.min..max {
                let more = self.before(sub, next)?;
                next = self.push(fork(more, end))?;
            }
        } else {
            // What is repeated may be empty: then it is taken once before it is left.
            let again = self.push(State::Match)?;
            let more = self.before(sub, again)?;
            if let Some(state) = self.states.get_mut(again as usize) {
                *state = fork(more, end);
            }
            next = match times {
                0 => self.push(fork(more, end))?,
                _ => more,
            };
            times = times.saturating_sub(1);
        }
        for _ in 0..times {
            next = self.before(sub, next)?;
        }
        Some(next)
    }
}
