//! A pattern as an automaton.

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, MatchKind};

use super::super::scanner::is_word;
use super::Verdict;

/// Longest match of a pattern; of a longer one the first bytes are reported.
pub(in super::super) const MATCH_BYTES_MAX: usize = 256;
/// Longest pattern.
const PATTERN_BYTES_MAX: usize = 1024;
/// Memory of one pattern's automaton.
const AUTOMATON_BYTES_MAX: usize = 256 * 1024;
/// Memory while it is made.
const DETERMINIZE_BYTES_MAX: usize = 1024 * 1024;

/// A pattern, ready to match from a given place.
#[derive(Clone)]
pub(in super::super) struct Pattern {
    automaton: dense::DFA<Vec<u32>>,
    /// By what stands before a match, as [`BEFORE`] has it.
    starts: [Start; BEFORE.len()],
}

/// Where the automaton begins.
#[derive(Clone)]
struct Start {
    state: Option<StateID>,
    /// Bytes that a match can begin with.
    first: [bool; 256],
}

/// One of each kind of byte that `^` and `\b` tell apart.
const BEFORE: [Option<u8>; 5] = [None, Some(b'a'), Some(b' '), Some(b'\n'), Some(b'\r')];

/// The place of a byte's kind in [`BEFORE`].
const fn kind_of(before: Option<u8>) -> usize {
    match before {
        None => 0,
        Some(byte) if is_word(byte) => 1,
        Some(b'\n') => 3,
        Some(b'\r') => 4,
        Some(_) => 2,
    }
}

/// What a pattern finds in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Sought {
    /// A match that begins there.
    From(usize),
    /// None so far; from there on one can still begin.
    Open(usize),
}

impl Start {
    const NONE: Self = Self {
        state: None,
        first: [false; 256],
    };
}

impl Pattern {
    /// # Errors
    /// Says in a sentence why a pattern is refused.
    pub(in super::super) fn compile(pattern: &str, ignore_case: bool) -> Result<Self, String> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(format!(
                "the pattern is longer than {PATTERN_BYTES_MAX} bytes"
            ));
        }
        let ascii = ascii_classes(pattern);
        let automaton = dense::Builder::new()
            .configure(
                dense::Config::new()
                    .start_kind(StartKind::Anchored)
                    .match_kind(MatchKind::LeftmostFirst)
                    .dfa_size_limit(Some(AUTOMATON_BYTES_MAX))
                    .determinize_size_limit(Some(DETERMINIZE_BYTES_MAX)),
            )
            .syntax(syntax::Config::new().case_insensitive(ignore_case))
            .thompson(thompson::Config::new().nfa_size_limit(Some(AUTOMATON_BYTES_MAX)))
            .build(&ascii)
            .map_err(|error| refusal(&error))?;
        let mut compiled = Self {
            automaton,
            starts: [const { Start::NONE }; BEFORE.len()],
        };
        compiled.find_starts();
        if matches!(compiled.at(b"", 0, true), Verdict::Until(_)) {
            return Err("the pattern matches the empty text".to_owned());
        }
        Ok(compiled)
    }

    fn find_starts(&mut self) {
        for (start, before) in self.starts.iter_mut().zip(BEFORE) {
            let config = start::Config::new()
                .anchored(Anchored::Yes)
                .look_behind(before);
            start.state = self.automaton.start_state(&config).ok();
            let Some(state) = start.state else {
                continue;
            };
            for (byte, first) in (0..=u8::MAX).zip(&mut start.first) {
                let next = self.automaton.next_state(state, byte);
                *first = !self.automaton.is_dead_state(next);
            }
        }
    }

    /// Where a match can begin, from `at` on.
    pub(super) fn next_start(&self, text: &[u8], at: usize) -> Option<usize> {
        let rest = text.get(at..)?;
        let mut before = at.checked_sub(1).and_then(|last| text.get(last).copied());
        for (index, byte) in rest.iter().enumerate() {
            let start = self.starts.get(kind_of(before))?;
            if start
                .first
                .get(usize::from(*byte))
                .is_some_and(|first| *first)
            {
                return Some(at + index);
            }
            before = Some(*byte);
        }
        None
    }

    /// The match that begins at `from`. `end`: nothing follows the text.
    pub(super) fn at(&self, text: &[u8], from: usize, end: bool) -> Verdict {
        let before = from.checked_sub(1).and_then(|at| text.get(at).copied());
        let start = self.starts.get(kind_of(before));
        let Some(mut state) = start.and_then(|start| start.state) else {
            return Verdict::No;
        };
        let mut until = None;
        let most = text.get(from..).unwrap_or_default();
        let most = most.get(..MATCH_BYTES_MAX + 1).unwrap_or(most);
        for (index, byte) in most.iter().enumerate() {
            state = self.automaton.next_state(state, *byte);
            // A match is told one byte late.
            if self.automaton.is_match_state(state) {
                until = Some(from + index);
            } else if self.automaton.is_dead_state(state) || self.automaton.is_quit_state(state) {
                return until.map_or(Verdict::No, Verdict::Until);
            }
        }
        if most.len() <= MATCH_BYTES_MAX {
            if !end {
                return Verdict::Open;
            }
            state = self.automaton.next_eoi_state(state);
            if self.automaton.is_match_state(state) {
                until = Some(from + most.len());
            }
        }
        until.map_or(Verdict::No, Verdict::Until)
    }

    /// The first match that begins at `from` or after it. `end`: nothing follows the text.
    pub(in super::super) fn seek(&self, text: &[u8], mut from: usize, end: bool) -> Sought {
        while let Some(start) = self.next_start(text, from) {
            match self.at(text, start, end) {
                Verdict::No => from = start + 1,
                Verdict::Until(_) => return Sought::From(start),
                Verdict::Open => return Sought::Open(start),
            }
        }
        Sought::Open(text.len())
    }

    /// All of `text` is one match.
    pub(in super::super) fn is_all_of(&self, text: &str) -> bool {
        matches!(self.at(text.as_bytes(), 0, true), Verdict::Until(until) if until == text.len())
    }
}

fn refusal(error: &dense::BuildError) -> String {
    let nested = std::error::Error::source(error).map(ToString::to_string);
    if error.is_size_limit_exceeded() || nested.is_some_and(|text| text.contains("exceeded limit"))
    {
        return format!(
            "the pattern needs an automaton above {} KiB: bound its repetitions",
            AUTOMATON_BYTES_MAX / 1024
        );
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    // The caret under a copy of the pattern is lost in one line.
    text.lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned()
}

/// `\d`, `\w`, `\s` and `\b` as ASCII has them: their Unicode forms make automata of megabytes.
fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() * 2);
    let mut letters = pattern.chars();
    let mut depth = 0_u32;
    while let Some(letter) = letters.next() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '\\' => {
                let escaped = letters.next();
                let inside = depth > 0;
                let class = match escaped {
                    Some('d') if inside => "0-9",
                    Some('w') if inside => "0-9A-Za-z_",
                    Some('s') if inside => r"\t-\r ",
                    Some('d') => "[0-9]",
                    Some('w') => "[0-9A-Za-z_]",
                    Some('s') => r"[\t-\r ]",
                    Some('D') if !inside => "[^0-9]",
                    Some('W') if !inside => "[^0-9A-Za-z_]",
                    Some('S') if !inside => r"[^\t-\r ]",
                    Some('b') if !inside => r"(?-u:\b)",
                    _ => {
                        out.push(letter);
                        out.extend(escaped);
                        continue;
                    }
                };
                out.push_str(class);
                continue;
            }
            _ => {}
        }
        out.push(letter);
    }
    out
}
