//! A pattern as an automaton.

mod automaton;
mod program;
#[cfg(test)]
mod tests;

use regex_syntax::ParserBuilder;

use super::Verdict;
use automaton::{Automaton, Beside, DEAD};
use program::Program;

/// Longest match of a pattern; of a longer one the first bytes are reported.
pub(in super::super) const MATCH_BYTES_MAX: usize = 256;
/// Longest pattern.
const PATTERN_BYTES_MAX: usize = 1024;
/// Memory of one pattern's automaton.
const AUTOMATON_BYTES_MAX: usize = 256 * 1024;
/// Memory of what the automaton is made of.
const PROGRAM_BYTES_MAX: usize = 256 * 1024;
/// Steps that making it may take.
const WORK_MAX: usize = 4_000_000;

/// A pattern, ready to match from a given place.
#[derive(Clone)]
pub(in super::super) struct Pattern {
    automaton: Automaton,
    /// By what stands before a match: bytes that one can begin with.
    first: [[bool; 256]; Beside::ALL.len()],
}

/// What a pattern finds in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Sought {
    /// A match that begins there.
    From(usize),
    /// None so far; from there on one can still begin.
    Open(usize),
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
        let parsed = ParserBuilder::new()
            .case_insensitive(ignore_case)
            .build()
            .parse(&ascii_classes(pattern))
            .map_err(|error| refusal(&error))?;
        let properties = parsed.properties();
        if properties.minimum_len() == Some(0) {
            return Err("the pattern matches the empty text".to_owned());
        }
        let mut looks = properties.look_set().iter();
        let place = Beside::Nothing;
        if looks.any(|look| automaton::holds(look, place, place).is_none()) {
            return Err("of borders only `\\b`, `^`, `$`, `\\A` and `\\z` can be found".to_owned());
        }
        let program = Program::of(&parsed);
        let automaton = program.and_then(|program| Automaton::of(&program));
        let Some(automaton) = automaton else {
            return Err(format!(
                "the pattern needs an automaton above {} KiB: bound its repetitions",
                AUTOMATON_BYTES_MAX / 1024
            ));
        };
        let first = Beside::ALL.map(|before| {
            let start = automaton.start(before);
            let mut first = [false; 256];
            for (byte, first) in (0..=u8::MAX).zip(&mut first) {
                *first = automaton.next(start, byte).state != DEAD;
            }
            first
        });
        Ok(Self { automaton, first })
    }

    /// Where a match can begin, from `at` on.
    pub(super) fn next_start(&self, text: &[u8], at: usize) -> Option<usize> {
        let rest = text.get(at..)?;
        let mut before = at.checked_sub(1).and_then(|last| text.get(last).copied());
        for (index, byte) in rest.iter().enumerate() {
            let first = self.first.get(Beside::of(before) as usize)?;
            if first.get(usize::from(*byte)).is_some_and(|first| *first) {
                return Some(at + index);
            }
            before = Some(*byte);
        }
        None
    }

    /// The match that begins at `from`. `end`: nothing follows the text.
    pub(super) fn at(&self, text: &[u8], from: usize, end: bool) -> Verdict {
        let before = from.checked_sub(1).and_then(|at| text.get(at).copied());
        let mut state = self.automaton.start(Beside::of(before));
        let mut until = None;
        let most = text.get(from..).unwrap_or_default();
        let most = most.get(..MATCH_BYTES_MAX + 1).unwrap_or(most);
        for (index, byte) in most.iter().enumerate() {
            let next = self.automaton.next(state, *byte);
            // A match is told one byte late.
            if next.is_match {
                until = Some(from + index);
            }
            state = next.state;
            if state == DEAD {
                return until.map_or(Verdict::No, Verdict::Until);
            }
        }
        if most.len() <= MATCH_BYTES_MAX {
            if !end {
                return Verdict::Open;
            }
            if self.automaton.ends(state) {
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

/// Why the parser refuses a pattern.
fn refusal(error: &regex_syntax::Error) -> String {
    let text = error.to_string();
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
