//! One text of an answer.

use super::super::Window;
use super::super::check::Seeker;
use super::arguments::Arguments;
use super::slots::Part;
use crate::json::Span;

/// Texts of one answer. An answer with more is not let through.
pub(super) const FIELDS_MAX: usize = 1024;

/// One text of an answer.
#[derive(Debug, Default)]
pub(super) struct Field {
    /// Of several choices.
    pub(super) choice: u64,
    /// Of several blocks of a choice.
    pub(super) block: u64,
    pub(super) part: Part,
    /// Its model has signed it: changed, it could not be sent back.
    pub(super) is_signed: bool,
    /// Look for the patterns of checks, each in what the one before lets go.
    pub(super) seekers: Vec<Seeker>,
    pub(super) window: Window,
    /// Reads the arguments of a call, which are JSON.
    pub(super) arguments: Arguments,
    /// Settled text that may be the beginning of a placeholder.
    pub(super) tail: String,
    /// The event that brought what waits.
    pub(super) last: Option<Last>,
    /// What came and what was said of it, where the answer repeats it.
    pub(super) repeated: Option<(String, String)>,
    pub(super) is_over: bool,
}

/// An event, and where its piece of text stands in its data, inside the quotes.
#[derive(Debug, Default)]
pub(super) struct Last {
    pub(super) name: Option<Vec<u8>>,
    pub(super) data: Vec<u8>,
    pub(super) span: Span,
}

impl Field {
    /// A text that is not in pieces.
    pub(super) fn whole(part: Part) -> Field {
        Field {
            part,
            ..Field::default()
        }
    }

    pub(super) fn is_same(&self, other: &Field) -> bool {
        (self.choice, self.block, self.part) == (other.choice, other.block, other.part)
    }

    /// Bytes that wait.
    pub(super) fn held(&self) -> usize {
        let sought: usize = self.seekers.iter().map(Seeker::held).sum();
        let read = self.window.held().saturating_add(self.arguments.held());
        sought.saturating_add(read).saturating_add(self.tail.len())
    }

    /// Whether its text has to be said before that of another part of its choice.
    pub(super) fn goes_before(&self, part: Part) -> bool {
        !self.part.is_call() && self.part != part && !(self.part.thinks() && part.thinks())
    }
}
