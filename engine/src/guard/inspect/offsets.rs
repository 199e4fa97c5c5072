//! Places in a text and in its escaped form.

use crate::json;

/// Where the bytes of an unescaped text stand in its escaped form, asked for in rising order.
pub(in super::super) struct Offsets<'a> {
    raw: &'a [u8],
    raw_at: usize,
    text_at: usize,
}

impl<'a> Offsets<'a> {
    pub(in super::super) const fn new(raw: &'a [u8]) -> Self {
        Self {
            raw,
            raw_at: 0,
            text_at: 0,
        }
    }

    /// Offset in the escaped form of byte `text` of the unescaped one.
    pub(in super::super) fn raw(&mut self, text: usize) -> usize {
        while self.text_at < text {
            let rest = self.raw.get(self.raw_at..).unwrap_or_default();
            let plain = rest
                .iter()
                .position(|byte| *byte == b'\\')
                .unwrap_or(rest.len());
            if plain > 0 {
                let step = plain.min(text - self.text_at);
                self.raw_at += step;
                self.text_at += step;
                continue;
            }
            if rest.is_empty() {
                break;
            }
            let (letter, width) = json::escape(rest);
            self.raw_at += width;
            self.text_at += letter.len_utf8();
        }
        self.raw_at.min(self.raw.len())
    }
}
