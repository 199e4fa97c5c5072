//! Detectors of the operator's own: patterns and lists of words.
//!
//! A pattern is a whole automaton, made when the configuration is read and refused above a size, so
//! that each byte of a text costs one step from each place where a match can begin. A match has at
//! most [`MATCH_BYTES_MAX`] bytes: the work is linear, and a stream knows how long to wait.

mod pattern;
#[cfg(test)]
mod tests;
mod words;

use super::{Finding, Kind};

pub(super) use pattern::{Pattern, Sought};
pub(super) use words::Words;

/// What a pattern says of a place.
enum Verdict {
    No,
    /// A match up to there.
    Until(usize),
    /// Only what follows the text can tell.
    Open,
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
            while let Some(from) = pattern.next_start(text.as_bytes(), *at) {
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
            while let Some(from) = list.next_word(text, *at) {
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
