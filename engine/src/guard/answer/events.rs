//! Events of a native stream: those that carry pieces of text, and what they are written as.

use super::field::{Field, Last};
use super::repeats::Repeats;
use super::{AnswerGuard, escaped};
use crate::json::{self, Edits, Kind, Span};
use crate::sse::{self, Event};

/// What is known of a native stream.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The content block that has begun and not ended.
    pub(super) open: Option<u64>,
    /// Number of the next event.
    pub(super) sequence: Option<u64>,
    pub(super) repeats: Repeats,
}

/// Writes an event with its name, if it has one.
pub(super) fn write(name: Option<&[u8]>, data: &[u8], out: &mut Vec<u8>) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name);
        out.push(b'\n');
    }
    sse::write_event(data, out);
}

impl AnswerGuard {
    /// A piece of a field: the event goes on with what may be said of it, or waits if that is nothing.
    pub(super) fn delta(
        &mut self,
        event: &Event<'_>,
        (data, root): (&[u8], Span),
        (field, value): (Field, Span),
        mut edits: Edits,
        out: &mut Vec<u8>,
    ) {
        let span = value.unquoted();
        let text = json::unescaped(span.of(data)).unwrap_or_default();
        let last = Last {
            name: event.name.map(<[u8]>::to_vec),
            data: data.to_vec(),
            span,
        };
        let said = self.piece(field, &text, false, Some(last));
        if said.is_empty() && !text.is_empty() {
            return;
        }
        if said != text {
            edits.replace(span, escaped(&said));
        }
        self.write_event(event, (data, root), edits, out);
    }

    /// An event with some changes; as it came without any.
    pub(super) fn write_event(
        &mut self,
        event: &Event<'_>,
        (data, root): (&[u8], Span),
        mut edits: Edits,
        out: &mut Vec<u8>,
    ) {
        self.number(data, root, &mut edits);
        if edits.is_empty() {
            return out.extend_from_slice(event.raw);
        }
        write(event.name, &edits.apply(data), out);
    }

    /// The event that brought what waited, with what is said of it now.
    pub(super) fn write_again(&mut self, last: &Last, said: &str, out: &mut Vec<u8>) {
        let Ok(root) = json::document(&last.data) else {
            return;
        };
        let mut edits = Edits::default();
        edits.replace(last.span, escaped(said));
        if let Some(spelled) = json::member(&last.data, root, "logprobs") {
            self.silence_all(&last.data, spelled, &mut edits);
        }
        self.number(&last.data, root, &mut edits);
        write(last.name.as_deref(), &edits.apply(&last.data), out);
    }

    /// Events are left out and added, and are numbered without gaps all the same.
    fn number(&mut self, data: &[u8], root: Span, edits: &mut Edits) {
        let Some(value) = json::member(data, root, "sequence_number") else {
            return;
        };
        let Some(came) = json::number_u64(data, value) else {
            return;
        };
        let number = self.events.sequence.unwrap_or(came);
        if number != came {
            edits.replace(value, number.to_string());
        }
        self.events.sequence = Some(number.saturating_add(1));
    }
}

/// What an event says it is, in its data or else in its name.
pub(super) fn kind_of<'a>(event: &Event<'a>, data: &'a [u8], root: Span) -> &'a [u8] {
    let kind = text_of(data, root, "type").map(|kind| kind.unquoted().of(data));
    kind.or(event.name).unwrap_or_default()
}

/// The text of a member, when it is a string.
pub(super) fn text_of(data: &[u8], object: Span, name: &str) -> Option<Span> {
    let value = json::member(data, object, name)?;
    (json::kind(data, value) == Some(Kind::String)).then_some(value)
}

/// A number of an event that says what it is about, 0 without it.
pub(super) fn place(data: &[u8], root: Span, name: &str) -> u64 {
    let value = json::member(data, root, name);
    value
        .and_then(|value| json::number_u64(data, value))
        .unwrap_or_default()
}
