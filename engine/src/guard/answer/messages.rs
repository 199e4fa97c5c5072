//! Streams in the form of Anthropic's messages.

use super::AnswerGuard;
use super::events::{kind_of, place, text_of};
use super::field::Field;
use super::slots::Part;
use crate::json::{self, Edits, Span};
use crate::sse::Event;

impl AnswerGuard {
    /// One event.
    pub(super) fn message_event(
        &mut self,
        event: &Event<'_>,
        data: &[u8],
        root: Span,
        out: &mut Vec<u8>,
    ) {
        let kind = kind_of(event, data, root);
        let index = place(data, root, "index");
        let mut edits = Edits::default();
        match kind {
            b"ping" => {}
            b"content_block_delta" => {
                let delta = json::member(data, root, "delta").unwrap_or_default();
                if let Some((field, value)) = piece(data, delta, index) {
                    return self.delta(event, (data, root), (field, value), edits, out);
                }
                if json::member(data, delta, "signature").is_some() {
                    // What it signs is complete.
                    self.flush(|field| field.block == index, out);
                }
                self.message(data, delta, &mut edits);
            }
            b"content_block_stop" => self.flush(|field| field.block == index, out),
            b"content_block_start" => self.message(data, root, &mut edits),
            _ => {
                self.flush(|_| true, out);
                self.message(data, root, &mut edits);
            }
        }
        if self.denied() {
            return;
        }
        match kind {
            b"content_block_start" => self.events.open = Some(index),
            b"content_block_stop" => self.events.open = None,
            _ => {}
        }
        self.write_event(event, (data, root), edits, out);
    }
}

/// The piece of text that a delta brings, if it is of a text.
fn piece(data: &[u8], delta: Span, index: u64) -> Option<(Field, Span)> {
    let (name, part) = match text_of(data, delta, "type")?.unquoted().of(data) {
        b"text_delta" => ("text", Part::Content),
        b"thinking_delta" => ("thinking", Part::Reasoning),
        b"input_json_delta" => ("partial_json", Part::Function),
        b"compaction_delta" => ("content", Part::Free(0)),
        _ => return None,
    };
    let field = Field {
        block: index,
        is_signed: part == Part::Reasoning,
        ..Field::whole(part)
    };
    Some((field, text_of(data, delta, name)?))
}
