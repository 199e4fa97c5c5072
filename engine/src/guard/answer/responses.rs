//! Streams in the form of OpenAI's responses.

use memchr::memmem;

use super::AnswerGuard;
use super::events::{kind_of, place, text_of};
use super::field::Field;
use super::slots::Part;
use crate::json::{self, Edits, Span};
use crate::sse::Event;

/// Bits of a field's number for its place within an item.
const WITHIN_BITS: u32 = 16;
const WITHIN_MAX: u64 = (1 << WITHIN_BITS) - 1;

impl AnswerGuard {
    /// One event.
    pub(super) fn response_event(
        &mut self,
        event: &Event<'_>,
        data: &[u8],
        root: Span,
        out: &mut Vec<u8>,
    ) {
        let kind = kind_of(event, data, root);
        let mut edits = Edits::default();
        if self.events.sequence.is_none() {
            self.events.sequence = Some(place(data, root, "sequence_number"));
        }
        let place = Place::of(data, root);
        if let Some(part) = piece(kind)
            && let Some(value) = text_of(data, root, "delta")
        {
            if let Some(spelled) = json::member(data, root, "logprobs") {
                self.silence_all(data, spelled, &mut edits);
            }
            let field = Field {
                block: place.number(),
                repeated: Some(Default::default()),
                ..Field::whole(part)
            };
            return self.delta(event, (data, root), (field, value), edits, out);
        }
        match kind {
            b"response.completed" | b"response.incomplete" | b"response.failed" | b"error" => {
                self.flush(|_| true, out);
            }
            kind if kind.ends_with(b".done") => self.flush(|field| place.has(field), out),
            _ => {}
        }
        for member in json::members(data, root) {
            match member.key.of(data) {
                b"response" => self.response(data, member.value, &mut edits),
                _ => self.told(data, kind, member, &mut edits),
            }
        }
        if !self.denied() {
            self.write_event(event, (data, root), edits, out);
        }
    }
}

/// What an event is about.
struct Place {
    item: u64,
    /// The part of its content or summary.
    within: Option<u64>,
}

impl Place {
    fn of(data: &[u8], root: Span) -> Place {
        let number = |name| json::member(data, root, name);
        let within = number("content_index").or_else(|| number("summary_index"));
        Place {
            item: place(data, root, "output_index"),
            within: within.and_then(|value| json::number_u64(data, value)),
        }
    }

    fn number(&self) -> u64 {
        let within = self.within.unwrap_or_default().min(WITHIN_MAX);
        (self.item << WITHIN_BITS) | within
    }

    /// Whether a field is in it.
    fn has(&self, field: &Field) -> bool {
        match self.within {
            Some(_) => field.block == self.number(),
            None => field.block >> WITHIN_BITS == self.item,
        }
    }
}

/// What the pieces of such events are pieces of.
fn piece(kind: &[u8]) -> Option<Part> {
    let of = kind.strip_suffix(b".delta")?;
    let has = |word: &str| memmem::find(of, word.as_bytes()).is_some();
    Some(match of {
        // Sound.
        b"response.audio" => return None,
        b"response.output_text" => Part::Content,
        b"response.refusal" => Part::Refusal,
        _ if has("arguments") => Part::Function,
        _ if has("reasoning_summary") => Part::Reasoning,
        _ if has("reasoning") => Part::ReasoningContent,
        _ => Part::Free(0),
    })
}
