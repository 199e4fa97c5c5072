//! The arguments of a call: a JSON document that comes in pieces.
//!
//! Its strings are read as their reader sees them, escapes resolved, each after the name that it
//! stands under; so are its numbers. What is not replaced stays as it came. From where the text is no
//! JSON it is read as any other.

use super::super::inspect::{LABEL_BYTES_MAX, NUMBER_BYTES_MIN, Offsets, is_label};
use super::super::{Detectors, Finding, Window};
use super::watch::Settled;
use crate::json;

/// Bytes of a number that are read together.
const NUMBER_BYTES_MAX: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    state: State,
    window: Window,
    /// Bytes of the name that the window was given and has not settled.
    prefix: usize,
    /// What the window has not settled, as it came.
    raw: String,
    /// The end of what came, when it may be cut within an escape.
    cut: String,
    /// The string that ended last.
    string: String,
    /// The name that the next value stands under.
    label: String,
    depth: u32,
    /// Whether a value may stand here.
    is_due: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing but white space has come.
    #[default]
    Empty,
    /// Between values.
    Between,
    /// In a number or a word.
    Bare,
    /// In a string.
    Quoted,
    /// It is no JSON.
    Plain,
}

/// How a string goes on.
enum Step {
    /// A stretch without escapes.
    Run(usize),
    Escape(char, usize),
    /// An escape that is not complete.
    Cut,
    Quote,
}

/// Takes settled text; says whether to go on.
pub(super) trait Sink: FnMut(&mut String, Settled<'_>) -> bool {}
impl<F: FnMut(&mut String, Settled<'_>) -> bool> Sink for F {}

impl Arguments {
    /// Bytes that wait.
    pub(super) fn held(&self) -> usize {
        self.raw.len().saturating_add(self.cut.len())
    }

    /// Reads on. What is settled goes to `sink`; what stands between values straight to `tail`.
    pub(super) fn push(
        &mut self,
        text: &str,
        end: bool,
        detectors: &Detectors,
        tail: &mut String,
        mut sink: impl Sink,
    ) {
        let mut came = std::mem::take(&mut self.cut);
        came.push_str(text);
        let mut rest = came.as_str();
        let mut goes_on = true;
        while goes_on && !rest.is_empty() {
            let (read, on) = match self.state {
                State::Empty | State::Between => self.between(rest, tail),
                State::Bare => self.bare(rest, detectors, tail, &mut sink),
                State::Quoted => match self.quoted(rest, end, detectors, tail, &mut sink) {
                    Some(step) => step,
                    None => {
                        self.cut = rest.to_owned();
                        break;
                    }
                },
                State::Plain => {
                    self.take(rest, rest);
                    (rest.len(), true)
                }
            };
            rest = rest.get(read..).unwrap_or_default();
            goes_on = on;
        }
        if goes_on && (end || self.state != State::Bare) {
            self.settle(end, detectors, tail, &mut sink);
        }
    }

    fn between(&mut self, rest: &str, tail: &mut String) -> (usize, bool) {
        let first = rest.bytes().next().unwrap_or_default();
        match first {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'{' | b'[' => {
                self.depth = self.depth.saturating_add(1);
                (self.state, self.is_due) = (State::Between, true);
            }
            _ if self.depth == 0 => return self.plain(),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.is_due = false;
            }
            b':' | b',' => {
                if first == b':' {
                    std::mem::swap(&mut self.label, &mut self.string);
                }
                self.is_due = true;
            }
            b'"' if self.is_due => {
                (self.state, self.is_due) = (State::Quoted, false);
                self.string.clear();
                self.begin();
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' if self.is_due => {
                (self.state, self.is_due) = (State::Bare, false);
                self.begin();
                return (0, true);
            }
            _ => return self.plain(),
        }
        tail.push(char::from(first));
        (1, true)
    }

    fn bare(
        &mut self,
        rest: &str,
        detectors: &Detectors,
        tail: &mut String,
        sink: &mut impl Sink,
    ) -> (usize, bool) {
        let ends = |byte: u8| !matches!(byte, b'-' | b'+' | b'.') && !byte.is_ascii_alphanumeric();
        let length = rest.bytes().position(ends);
        let room = NUMBER_BYTES_MAX.saturating_sub(self.raw.len());
        let taken = length.unwrap_or(rest.len()).min(room);
        let (word, _) = rest.split_at_checked(taken).unwrap_or((rest, ""));
        self.take(word, word);
        let mut goes_on = true;
        if length == Some(taken) {
            goes_on = self.settle(true, detectors, tail, sink);
            self.state = State::Between;
        } else if taken == room {
            goes_on = self.settle(true, detectors, tail, sink);
            self.begin();
        }
        (word.len(), goes_on)
    }

    /// `None` where an escape is cut.
    fn quoted(
        &mut self,
        rest: &str,
        end: bool,
        detectors: &Detectors,
        tail: &mut String,
        sink: &mut impl Sink,
    ) -> Option<(usize, bool)> {
        Some(match step(rest, end) {
            Step::Run(length) => {
                let (run, _) = rest.split_at_checked(length).unwrap_or((rest, ""));
                self.take(run, run);
                self.name(run);
                (run.len(), true)
            }
            Step::Escape(character, length) => {
                let (escape, _) = rest.split_at_checked(length).unwrap_or((rest, ""));
                self.take(character.encode_utf8(&mut [0; 4]), escape);
                self.name(escape);
                (escape.len(), true)
            }
            Step::Cut => return None,
            Step::Quote => {
                let goes_on = self.settle(true, detectors, tail, sink);
                if goes_on {
                    tail.push('"');
                }
                self.state = State::Between;
                (1, goes_on)
            }
        })
    }

    /// From here on it is text.
    fn plain(&mut self) -> (usize, bool) {
        self.state = State::Plain;
        self.begin();
        (0, true)
    }

    /// A value begins, under its name.
    fn begin(&mut self) {
        self.window = Window::default();
        self.raw.clear();
        self.prefix = 0;
        if self.state != State::Plain && is_label(self.label.as_bytes()) {
            self.window.push(&self.label);
            self.window.push(": ");
            self.prefix = self.label.len() + 2;
        }
    }

    fn take(&mut self, text: &str, raw: &str) {
        self.window.push(text);
        self.raw.push_str(raw);
    }

    fn name(&mut self, raw: &str) {
        if self.string.len() <= LABEL_BYTES_MAX {
            self.string.push_str(raw);
        }
    }

    /// Gives the sink what is settled. Says whether to go on.
    fn settle(
        &mut self,
        end: bool,
        detectors: &Detectors,
        tail: &mut String,
        sink: &mut impl Sink,
    ) -> bool {
        let mut findings = Vec::new();
        let settled = self.window.settle(detectors, end, &mut findings);
        let prefix = self.prefix.min(settled.len());
        self.prefix -= prefix;
        findings.retain(|finding| finding.start >= prefix);
        for finding in &mut findings {
            finding.start -= prefix;
            finding.end -= prefix;
        }
        let text = settled.get(prefix..).unwrap_or_default();
        if text.is_empty() {
            return true;
        }
        let is_plain = self.state == State::Plain;
        let length = if is_plain {
            text.len()
        } else {
            Offsets::new(self.raw.as_bytes()).raw(text.len())
        };
        if self.state == State::Bare {
            whole(text, &mut findings);
        }
        let raw: String = self.raw.drain(..length).collect();
        sink(
            tail,
            Settled {
                text,
                raw: (!is_plain).then_some(raw.as_str()),
                findings: &findings,
                is_bare: self.state == State::Bare,
            },
        )
    }
}

/// A number is replaced as a whole: what stands for it is none.
fn whole(number: &str, findings: &mut Vec<Finding>) {
    findings.truncate(usize::from(number.len() >= NUMBER_BYTES_MIN));
    for finding in findings {
        (finding.start, finding.end) = (0, number.len());
    }
}

fn step(rest: &str, end: bool) -> Step {
    let bytes = rest.as_bytes();
    match bytes.first() {
        Some(b'"') => Step::Quote,
        Some(b'\\') if end || is_complete(bytes) => {
            let (character, length) = json::escape(bytes);
            Step::Escape(character, length)
        }
        Some(b'\\') => Step::Cut,
        _ => Step::Run(memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len())),
    }
}

/// Whether an escape has all of its bytes, the other half of a surrogate pair included.
fn is_complete(escape: &[u8]) -> bool {
    match escape {
        [_, b'u', rest @ ..] => match rest {
            [
                b'd' | b'D',
                b'8'..=b'9' | b'a' | b'b' | b'A' | b'B',
                _,
                _,
                after @ ..,
            ] => match after {
                [] | [b'\\'] => false,
                [b'\\', b'u', low @ ..] => low.len() >= 4,
                _ => true,
            },
            _ => rest.len() >= 4,
        },
        [_, ..] => escape.len() >= 2,
        [] => true,
    }
}
