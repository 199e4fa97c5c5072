//! Texts that an answer has said before.
//!
//! The events at the end of a response repeat whole texts, some of them four times. What was made of
//! each is kept, so that it is not looked at nor counted again.

use super::field::Field;
use crate::limits::RESPONSE_BYTES_MAX;

/// Texts and what was said of each.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    known: Vec<(String, String)>,
    bytes: usize,
}

impl Repeats {
    /// Learns what was said of a field that is over.
    pub(super) fn learn(&mut self, field: Field) {
        if let Some((came, said)) = field.repeated {
            self.add(came, said);
        }
    }

    /// Above [`RESPONSE_BYTES_MAX`] nothing more is kept.
    pub(super) fn add(&mut self, came: String, said: String) {
        let bytes = came.len().saturating_add(said.len());
        let bytes = self.bytes.saturating_add(bytes);
        if !came.is_empty() && bytes <= RESPONSE_BYTES_MAX && self.get(&came).is_none() {
            self.bytes = bytes;
            self.known.push((came, said));
        }
    }

    /// What was said of that text.
    pub(super) fn get(&self, came: &str) -> Option<&str> {
        let known = self.known.iter().find(|(known, _)| known == came);
        known.map(|(_, said)| said.as_str())
    }
}
