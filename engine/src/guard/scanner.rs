//! The pass over the text: byte classes, dispatch, and the list of findings.

use super::cue::{self, Context};
use super::{Finding, Kind, credential, mail, name, network, number, token};

/// What a byte can start or betray.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Class {
    Skip,
    At,
    Capital,
    /// Lead byte of a character that can begin a name or end a phrase before one.
    Lead,
    Colon,
    Dash,
    Digit,
    Equals,
    /// Lead byte of the full-width digits.
    Wide,
    Underscore,
}

static CLASS: [Class; 256] = classes();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn classes() -> [Class; 256] {
    let mut classes = [Class::Skip; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' => Class::Digit,
            b'A'..=b'Z' => Class::Capital,
            b'@' => Class::At,
            b':' => Class::Colon,
            b'=' => Class::Equals,
            b'-' => Class::Dash,
            b'_' => Class::Underscore,
            0xef => Class::Wide,
            0xc3 | 0xc4 | 0xc5 | 0xe1 | 0xe3..=0xe9 => Class::Lead,
            _ => Class::Skip,
        };
        byte += 1;
    }
    classes
}

/// The text, how far it is read, and what was found.
pub(super) struct Scanner<'a> {
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    out: &'a mut Vec<Finding>,
    /// Length of `out` before this text.
    base: usize,
    /// Everything before it was read by a recognizer; none goes back beyond it, except to look.
    pub(super) floor: usize,
    pub(super) tables: super::table::Tables,
    /// End of the run of token characters that was already offered as a whole.
    pub(super) token_end: usize,
    /// An address with four parts was taken for a version here: where it ends.
    pub(super) version_end: usize,
    /// The query of an address was looked for up to here.
    pub(super) query_end: usize,
    /// The last context, and the range of its validity: no letter stands in it.
    context: (usize, usize, Context),
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str, out: &'a mut Vec<Finding>) -> Self {
        let base = out.len();
        Self {
            text,
            bytes: text.as_bytes(),
            out,
            base,
            floor: 0,
            tables: super::table::Tables::default(),
            token_end: 0,
            version_end: 0,
            query_end: 0,
            context: (1, 0, Context::default()),
        }
    }

    pub(super) fn run(mut self) {
        let mut at = 0;
        while let Some(skipped) = self
            .bytes
            .get(at..)
            .and_then(|rest| rest.iter().position(|byte| class(*byte) != Class::Skip))
        {
            at += skipped;
            let next = match class(self.at(at)) {
                Class::Skip => at + 1,
                Class::At => mail::at_sign(&mut self, at),
                Class::Capital => credential::capital(&mut self, at)
                    .or_else(|| name::capital(&mut self, at))
                    .unwrap_or(at + 1),
                Class::Lead => name::lead(&mut self, at),
                Class::Colon => credential::colon(&mut self, at)
                    .or_else(|| network::colon(&mut self, at))
                    .or_else(|| token::assigned(&mut self, at, 1))
                    .unwrap_or(at + 1),
                Class::Equals => token::assigned(&mut self, at, 1).unwrap_or(at + 1),
                Class::Dash | Class::Underscore => credential::joint(&mut self, at),
                Class::Digit => self.digit(at),
                Class::Wide => {
                    if number::wide_digit(self.bytes, at) {
                        self.digit(at)
                    } else if self.slice(at, at + 3) == "：".as_bytes() {
                        token::assigned(&mut self, at, 3).unwrap_or(at + 3)
                    } else {
                        name::lead(&mut self, at)
                    }
                }
            };
            at = next.max(at + 1);
        }
    }

    fn digit(&mut self, at: usize) -> usize {
        let start = self.word_start(at);
        let end = self.digits_end(at);
        let next = if start < at || is_word(self.at(end)) && !self.is_ordinal(at, end) {
            token::word(self, start, at)
        } else {
            token::tail(self, at, end).unwrap_or_else(|| number::run(self, at))
        };
        self.floor = self.floor.max(next);
        next
    }

    /// `22nd`, as days are written.
    fn is_ordinal(&self, at: usize, end: usize) -> bool {
        end - at <= 2
            && matches!(
                self.slice(end, end + 2),
                b"st" | b"nd" | b"rd" | b"th" | b"er"
            )
            && !is_word(self.at(end + 2))
    }

    fn digits_end(&self, at: usize) -> usize {
        self.end_of(at, |byte| byte.is_ascii_digit())
    }

    /// The byte at `at`; 0 outside of the text.
    pub(super) fn at(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// The byte before `at`; 0 at the start.
    pub(super) fn byte_before(&self, at: usize) -> u8 {
        at.checked_sub(1).map_or(0, |before| self.at(before))
    }

    pub(super) fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.bytes
            .get(start..end.min(self.bytes.len()))
            .unwrap_or_default()
    }

    /// First position from `at` whose byte does not satisfy `wanted`.
    pub(super) fn end_of(&self, at: usize, wanted: impl Fn(u8) -> bool) -> usize {
        let rest = self.bytes.get(at..).unwrap_or_default();
        at + rest
            .iter()
            .position(|byte| !wanted(*byte))
            .unwrap_or(rest.len())
    }

    /// The same, looking at most `most` bytes on.
    pub(super) fn end_within(&self, at: usize, most: usize, wanted: impl Fn(u8) -> bool) -> usize {
        let rest = self.slice(at, at.saturating_add(most));
        at + rest
            .iter()
            .position(|byte| !wanted(*byte))
            .unwrap_or(rest.len())
    }

    /// Start of the run of bytes satisfying `wanted` that ends at `at`, at most `most` bytes back.
    pub(super) fn start_of(&self, at: usize, most: usize, wanted: impl Fn(u8) -> bool) -> usize {
        let low = at.saturating_sub(most);
        let head = self.bytes.get(low..at).unwrap_or_default();
        low + head
            .iter()
            .rposition(|byte| !wanted(*byte))
            .map_or(0, |index| index + 1)
    }

    fn word_start(&self, at: usize) -> usize {
        self.start_of(at, at.saturating_sub(self.floor), is_word)
    }

    /// Records a finding; findings it overlaps are dropped, for a recognizer that comes later and
    /// reaches back has read the whole token.
    pub(super) fn found(&mut self, kind: Kind, start: usize, end: usize) {
        while self.out.len() > self.base && self.out.last().is_some_and(|last| last.end > start) {
            self.out.pop();
        }
        self.out.push(Finding { kind, start, end });
    }

    /// Something was found between `start` and `end`.
    pub(super) fn found_within(&self, start: usize, end: usize) -> bool {
        let found = self.out.get(self.base..).unwrap_or_default();
        let index = found.partition_point(|finding| finding.end <= start);
        found.get(index).is_some_and(|finding| finding.start < end)
    }

    /// What the words before `at` say: its column's heading, else the nearest phrase.
    pub(super) fn context(&mut self, at: usize) -> Context {
        if let Some(cue) = self.heading(at).or_else(|| self.inserted(at)) {
            return Context {
                cue: Some(cue),
                distance: 0,
                clean: true,
            };
        }
        let (from, to, known) = self.context;
        if from <= to
            && to <= at
            && at - from < 64
            && !self.slice(to, at).iter().any(|byte| turns(*byte))
        {
            self.context.1 = at;
            return Context {
                clean: known.clean && from == at,
                ..known
            };
        }
        let found = self.out.get(self.base..).unwrap_or_default();
        let context = cue::before(self.text, at, found);
        self.context = (at, at, context);
        context
    }
}

/// A byte that can change what the words before say.
fn turns(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte >= 0x80 || matches!(byte, b'\n' | b':' | b'=')
}

fn class(byte: u8) -> Class {
    CLASS.get(usize::from(byte)).copied().unwrap_or(Class::Skip)
}

/// A byte that continues an ASCII word: what a match may not touch.
pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
