//! Text that comes in pieces: what is settled goes on, what could still become a finding waits.

use super::{Detectors, Finding};

/// The text of one stream, such as the content of one choice.
///
/// However it is cut into pieces, the settled texts together are the whole text, and the findings in
/// them are those of the whole text.
#[derive(Clone, Debug, Default)]
pub struct Window {
    held: String,
}

impl Window {
    /// Adds the next piece.
    pub fn push(&mut self, piece: &str) {
        self.held.push_str(piece);
    }

    /// Bytes that wait.
    pub const fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes the text that nothing to come can change, and appends its findings to `out`, with
    /// offsets in that text. With `end` nothing is to come, and all of it is settled.
    pub fn settle(&mut self, detectors: &Detectors, end: bool, out: &mut Vec<Finding>) -> String {
        if !end {
            return String::new();
        }
        let text = std::mem::take(&mut self.held);
        detectors.scan(&text, out);
        text
    }
}
