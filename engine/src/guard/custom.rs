//! Detectors of the operator's own: patterns and lists of words.
//!
//! A pattern is a whole automaton, made when the configuration is read and refused above a size, so
//! that each byte of a text costs one step from each place where a match can begin. A match has at
//! most [`MATCH_BYTES_MAX`] bytes: the work is linear, and a stream knows how long to wait.

#[cfg(test)]
mod tests;

use hashbrown::HashMap;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, MatchKind};

use super::cue::folded_char;
use super::detectors::CustomDetector;
use super::{Finding, Kind};

/// Longest match of a pattern; of a longer one the first bytes are reported.
pub(super) const MATCH_BYTES_MAX: usize = 256;
/// Longest pattern.
const PATTERN_BYTES_MAX: usize = 1024;
/// Memory of one pattern's automaton.
const AUTOMATON_BYTES_MAX: usize = 256 * 1024;
/// Memory while it is made.
const DETERMINIZE_BYTES_MAX: usize = 1024 * 1024;
/// Words of one detector.
const WORDS_MAX: usize = 10_000;
/// Longest word or phrase of a list.
const WORD_BYTES_MAX: usize = 128;

/// A pattern, ready to match from a given place.
#[derive(Clone)]
pub(super) struct Pattern {
    automaton: dense::DFA<Vec<u32>>,
    /// Bytes that a match can begin with.
    first: [bool; 256],
    /// A pattern without `^` and `\b` begins everywhere in the same state.
    everywhere: Option<StateID>,
}

/// What a pattern finds in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sought {
    /// A match that begins there.
    From(usize),
    /// None so far; from there on one can still begin.
    Open(usize),
}

/// What a pattern says of a place.
enum Verdict {
    No,
    /// A match up to there.
    Until(usize),
    /// Only what follows the text can tell.
    Open,
}

impl Pattern {
    /// # Errors
    /// Says in a sentence why a pattern is refused.
    pub(super) fn compile(pattern: &str, ignore_case: bool) -> Result<Self, String> {
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
            first: [false; 256],
            everywhere: None,
        };
        if matches!(compiled.at(b"", 0, true), Verdict::Until(_)) {
            return Err("the pattern matches the empty text".to_owned());
        }
        compiled.find_starts();
        Ok(compiled)
    }

    fn find_starts(&mut self) {
        let before = [None, Some(b'a'), Some(b' '), Some(b'\n'), Some(b'\r')];
        let starts: Vec<StateID> = before.iter().filter_map(|byte| self.start(*byte)).collect();
        for start in &starts {
            for byte in 0..=u8::MAX {
                let next = self.automaton.next_state(*start, byte);
                if let Some(slot) = self.first.get_mut(usize::from(byte)) {
                    *slot |= !self.automaton.is_dead_state(next);
                }
            }
        }
        self.everywhere = starts
            .first()
            .copied()
            .filter(|first| starts.iter().all(|start| start == first));
    }

    fn start(&self, before: Option<u8>) -> Option<StateID> {
        let config = start::Config::new()
            .anchored(Anchored::Yes)
            .look_behind(before);
        self.automaton.start_state(&config).ok()
    }

    /// The match that begins at `from`. `end`: nothing follows the text.
    fn at(&self, text: &[u8], from: usize, end: bool) -> Verdict {
        let before = from.checked_sub(1).and_then(|at| text.get(at).copied());
        let Some(mut state) = self.everywhere.or_else(|| self.start(before)) else {
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
    pub(super) fn seek(&self, text: &[u8], mut from: usize, end: bool) -> Sought {
        while let Some(start) = next_start(self, text, from) {
            match self.at(text, start, end) {
                Verdict::No => from = start + 1,
                Verdict::Until(_) => return Sought::From(start),
                Verdict::Open => return Sought::Open(start),
            }
        }
        Sought::Open(text.len())
    }

    /// All of `text` is one match.
    pub(super) fn is_all_of(&self, text: &str) -> bool {
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

/// Words and phrases, found by their first word.
#[derive(Clone, Default)]
pub(super) struct Words {
    by_first: HashMap<u64, Vec<Vec<char>>>,
    ignore_case: bool,
    ignore_accents: bool,
}

impl Words {
    pub(super) fn compile(custom: &CustomDetector) -> Result<Self, (usize, String)> {
        let mut words = Self {
            by_first: HashMap::new(),
            ignore_case: custom.ignore_case,
            ignore_accents: custom.ignore_accents,
        };
        for (index, word) in custom.words.iter().enumerate() {
            if index >= WORDS_MAX {
                return Err((index, format!("more than {WORDS_MAX} words")));
            }
            if word.len() > WORD_BYTES_MAX {
                return Err((index, format!("longer than {WORD_BYTES_MAX} bytes")));
            }
            let folded: Vec<char> = words
                .folded(word.trim())
                .map(|(_, letter)| letter)
                .collect();
            if folded.is_empty() {
                return Err((index, "empty".to_owned()));
            }
            let first = first_word(&folded);
            words.by_first.entry(first).or_default().push(folded);
        }
        for list in words.by_first.values_mut() {
            list.sort_by_key(|word| std::cmp::Reverse(word.len()));
        }
        Ok(words)
    }

    /// Letters as they are compared, each with the offset after it; white space is one space.
    fn folded<'t>(&self, text: &'t str) -> impl Iterator<Item = (usize, char)> + use<'t> {
        let (case, accents) = (self.ignore_case, self.ignore_accents);
        let mut space = false;
        text.char_indices().filter_map(move |(at, letter)| {
            let end = at + letter.len_utf8();
            if letter.is_whitespace() {
                let first = !space;
                space = true;
                return first.then_some((end, ' '));
            }
            space = false;
            let letter = if accents {
                folded_char(letter)?
            } else {
                letter
            };
            let lower = letter.to_lowercase().next().unwrap_or(letter);
            Some((end, if case { lower } else { letter }))
        })
    }

    /// The longest phrase that begins at `from`, the start of a word.
    fn at(&self, text: &str, from: usize, end: bool) -> Verdict {
        let Some(rest) = text.get(from..) else {
            return Verdict::No;
        };
        let mut first = WORD_SEED;
        let mut closed = end;
        for (index, (after, letter)) in self.folded(rest).enumerate() {
            if index > 0 && (!letter.is_alphanumeric() || is_ideograph(letter)) {
                closed = true;
                break;
            }
            first = joined(first, letter);
            if is_ideograph(letter) || !letter.is_alphanumeric() {
                closed = true;
                break;
            }
            if after > WORD_BYTES_MAX {
                return Verdict::No;
            }
        }
        if !closed {
            return Verdict::Open;
        }
        for word in self.by_first.get(&first).into_iter().flatten() {
            match self.phrase(rest, word, end) {
                Verdict::Until(until) => return Verdict::Until(from + until),
                Verdict::Open => return Verdict::Open,
                Verdict::No => {}
            }
        }
        Verdict::No
    }

    fn phrase(&self, rest: &str, word: &[char], end: bool) -> Verdict {
        let mut letters = self.folded(rest);
        let mut until = 0;
        for wanted in word {
            match letters.next() {
                None if end => return Verdict::No,
                None => return Verdict::Open,
                Some((_, letter)) if letter != *wanted => return Verdict::No,
                Some((after, _)) => until = after,
            }
        }
        let last = word.last().copied().unwrap_or(' ');
        // Combining marks belong to the letter before them.
        let tail = rest.get(until..).unwrap_or_default();
        until += tail
            .chars()
            .take_while(|mark| matches!(mark, '\u{300}'..='\u{36f}'))
            .map(char::len_utf8)
            .sum::<usize>();
        match rest.get(until..).and_then(|tail| tail.chars().next()) {
            None if end => Verdict::Until(until),
            None => Verdict::Open,
            Some(next)
                if next.is_alphanumeric()
                    && last.is_alphanumeric()
                    && !is_ideograph(last)
                    && !is_ideograph(next) =>
            {
                Verdict::No
            }
            Some(_) => Verdict::Until(until),
        }
    }
}

const WORD_SEED: u64 = 0xcbf2_9ce4_8422_2325;

const fn joined(hash: u64, letter: char) -> u64 {
    (hash ^ letter as u64).wrapping_mul(0x0100_0000_01b3)
}

/// Hash of a phrase's first word; an ideograph is a word.
fn first_word(folded: &[char]) -> u64 {
    let first = folded.first().copied().unwrap_or(' ');
    let more = folded.iter().skip(1).take_while(|letter| {
        letter.is_alphanumeric()
            && !is_ideograph(**letter)
            && first.is_alphanumeric()
            && !is_ideograph(first)
    });
    more.fold(joined(WORD_SEED, first), |hash, letter| {
        joined(hash, *letter)
    })
}

const fn is_ideograph(letter: char) -> bool {
    matches!(letter, '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
}

/// One configured detector.
#[derive(Clone)]
pub(super) struct Custom {
    pub(super) name: String,
    pub(super) token: String,
    pub(super) patterns: Vec<Pattern>,
    pub(super) words: Option<Words>,
}

/// How far a configured detector has read.
#[derive(Clone, Default)]
pub(super) struct Progress {
    /// Of each pattern, then of the words.
    at: Vec<usize>,
    pub(super) found: Vec<Finding>,
}

impl Progress {
    /// The same after `count` bytes were cut off in front.
    pub(super) fn shift(&mut self, count: usize) {
        for at in &mut self.at {
            *at = at.saturating_sub(count);
        }
        self.found.retain(|finding| finding.start >= count);
        for finding in &mut self.found {
            finding.start -= count;
            finding.end -= count;
        }
    }
}

impl Custom {
    /// Reads on in `text`. Returns from where on a match can still begin.
    pub(super) fn advance(
        &self,
        kind: Kind,
        text: &str,
        end: bool,
        progress: &mut Progress,
    ) -> usize {
        progress.at.resize(self.patterns.len() + 1, 0);
        let mut open = text.len();
        let (patterns, words) = progress.at.split_at_mut(self.patterns.len());
        for (pattern, at) in self.patterns.iter().zip(patterns) {
            while let Some(from) = next_start(pattern, text.as_bytes(), *at) {
                match pattern.at(text.as_bytes(), from, end) {
                    Verdict::No => *at = from + 1,
                    Verdict::Until(until) => {
                        progress.found.push(on_borders(text, kind, from, until));
                        *at = until.max(from + 1);
                    }
                    Verdict::Open => {
                        *at = from;
                        open = open.min(from);
                        break;
                    }
                }
            }
        }
        if let (Some(list), Some(at)) = (&self.words, words.first_mut()) {
            while let Some(from) = next_word(text, *at) {
                match list.at(text, from, end) {
                    Verdict::No => *at = after_letter(text, from),
                    Verdict::Until(until) => {
                        progress.found.push(Finding {
                            kind,
                            start: from,
                            end: until,
                        });
                        *at = until;
                    }
                    Verdict::Open => {
                        *at = from;
                        open = open.min(from);
                        break;
                    }
                }
            }
        }
        open
    }
}

fn next_start(pattern: &Pattern, text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let is_first = |byte: &u8| {
        pattern
            .first
            .get(usize::from(*byte))
            .is_some_and(|first| *first)
    };
    rest.iter().position(is_first).map(|skipped| at + skipped)
}

/// Where the next word begins, from `at` on.
fn next_word(text: &str, at: usize) -> Option<usize> {
    let mut before = text.get(..at)?.chars().next_back();
    for (index, letter) in text.get(at..)?.char_indices() {
        let begins = is_ideograph(letter)
            || !letter.is_whitespace()
                && !matches!(letter, '\u{300}'..='\u{36f}')
                && !before.is_some_and(|before| {
                    before.is_alphanumeric() && letter.is_alphanumeric() && !is_ideograph(before)
                        || matches!(before, '\u{300}'..='\u{36f}') && letter.is_alphanumeric()
                });
        if begins {
            return Some(at + index);
        }
        before = Some(letter);
    }
    None
}

fn after_letter(text: &str, at: usize) -> usize {
    at + text
        .get(at..)
        .and_then(|rest| rest.chars().next())
        .map_or(1, char::len_utf8)
}

fn on_borders(text: &str, kind: Kind, mut start: usize, mut end: usize) -> Finding {
    while !text.is_char_boundary(start) {
        start = start.saturating_sub(1);
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    Finding { kind, start, end }
}
