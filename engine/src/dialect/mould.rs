//! The shape that the events of a stream repeat.
//!
//! Nearly every event differs from the one before in nothing but the text that it delivers. Where
//! the bytes around that text are the same, the event is the same, and needs no second look: a
//! comparison of bytes costs a tenth of reading them.

use memchr::memchr;

use crate::json::Span;

/// Events that are worth remembering. Longer ones are looked at each time.
const MOULD_BYTES_MAX: usize = 4 * 1024;

/// An event with holes where its strings may differ.
#[derive(Clone, Debug, Default)]
pub(super) struct Mould {
    /// Empty for no mould.
    bytes: Vec<u8>,
    text: Span,
    /// A second hole behind the first.
    obfuscation: Option<Span>,
}

impl Mould {
    /// The inside of the string delivered by `data`, when it is the remembered event in all else.
    ///
    /// A string ends at the first quote that no backslash escapes; where one might, the answer is
    /// `None`, and so never wrong.
    pub(super) fn text_of<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        if self.bytes.is_empty() {
            return None;
        }
        let (text, rest) = self.hole(data, 0, self.text)?;
        let (rest, from) = match self.obfuscation {
            Some(hole) => (self.hole(rest, self.text.end, hole)?.1, hole.end),
            None => (rest, self.text.end),
        };
        (self.bytes.get(from..)? == rest).then_some(text)
    }

    /// Remembers an event that delivers the string at `text` and says nothing else that matters.
    /// `obfuscation` is a value behind it that may differ as well. Both spans are without quotes.
    pub(super) fn remember(&mut self, data: &[u8], text: Span, obfuscation: Option<Span>) {
        self.bytes.clear();
        if data.len() <= MOULD_BYTES_MAX {
            self.bytes.extend_from_slice(data);
        }
        self.text = text;
        self.obfuscation = obfuscation.filter(|hole| hole.start > text.end);
    }

    /// Takes the bytes from `from` to the hole, and the string in it, off the head of `data`.
    fn hole<'a>(&self, data: &'a [u8], from: usize, hole: Span) -> Option<(&'a [u8], &'a [u8])> {
        let inside = data.strip_prefix(self.bytes.get(from..hole.start)?)?;
        let (string, rest) = inside.split_at_checked(memchr(b'"', inside)?)?;
        (!string.ends_with(b"\\")).then_some((string, rest))
    }
}
