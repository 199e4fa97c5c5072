//! The state of a walk to the left, letter by letter.

use super::word::Letters;

/// State of the walk to the left.
pub(super) struct Reader {
    pub(super) word: Letters,
    pub(super) value: bool,
    /// The candidate stands right of `:` or `=`: only the key counts.
    pub(super) keyed: bool,
    /// A line break was crossed and nothing seen since.
    pub(super) broken: bool,
    /// A sentence may have ended: only a short word, an abbreviation, continues it.
    pub(super) sentence: bool,
    pub(super) abbreviation: u32,
    /// The character taken before, that is to the right.
    pub(super) after: char,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            word: Letters::NONE,
            value: false,
            keyed: false,
            broken: false,
            sentence: false,
            abbreviation: 0,
            after: ' ',
        }
    }
}

impl Reader {
    /// No word is begun, and what comes next is read whatever it is.
    pub(super) const fn between(&self) -> bool {
        self.word.is_none() && !self.broken && !self.sentence
    }

    /// The character last taken is a small letter of the word that is read.
    pub(super) fn in_small(&self) -> bool {
        !self.word.is_none() && self.after.is_lowercase()
    }

    pub(super) const fn feed(&mut self, byte: u8) {
        self.word = self.word.and(byte);
    }

    /// Hash of the word that was read; nothing when there was none.
    pub(super) const fn next_word(&mut self) -> Option<u32> {
        if self.word.is_none() {
            self.value = false;
            return None;
        }
        let hash = if self.value { 0 } else { self.word.hash() };
        self.word = Letters::NONE;
        self.value = false;
        Some(hash)
    }
}
