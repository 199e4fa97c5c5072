//! What a stream costs and how it ends.

use memchr::memmem;

use super::shortener::Shortener;
use super::{Stage, usage, write_error_event, write_incomplete};
use crate::dialect::Stop;
use crate::json::{self, Kind, Span};
use crate::reply::Code;
use crate::sse::{Event, Splitter};
use crate::usage::Usage;

/// Reads a stream that passes unchanged.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    shortener: Shortener,
    splitter: Splitter,
    state: State,
}

#[derive(Clone, Debug, Default)]
struct State {
    end: End,
    usage: Option<Usage>,
    text: String,
    /// Number of the next event.
    sequence: u64,
    /// Bytes left out of the event that is being read.
    left_out: usize,
    /// The stream ended within an event.
    is_torn: bool,
    /// Members of the response that name it, as they came.
    head: Vec<(&'static str, Vec<u8>)>,
}

/// Members of a response that its last event repeats.
const HEAD: [&str; 4] = ["id", "created_at", "model", "previous_response_id"];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Finished,
    /// And the provider has said so.
    Reported,
    Broken,
}

impl Meter {
    /// Takes the provider's next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        let Meter {
            shortener,
            splitter,
            state,
        } = self;
        if state.end != End::Open {
            return;
        }
        let mut is_whole = true;
        shortener.push(chunk, |piece, left_out| {
            state.left_out = state.left_out.saturating_add(left_out);
            is_whole &= splitter.push(piece, |event| state.event(&event)).is_ok();
        });
        if !is_whole {
            state.finish(End::Broken);
        }
    }

    /// The provider has closed the stream: one without an end of its own is broken.
    pub fn end(&mut self) {
        self.state.is_torn = self.pending() > 0;
        let Meter {
            splitter, state, ..
        } = self;
        splitter.finish(|event| {
            // Without its blank line it may be cut anywhere.
            if json::document(event.data.trim_ascii()).is_ok() {
                state.event(&event);
            }
        });
        state.finish(End::Broken);
    }

    /// Whether the provider's own end was seen.
    pub fn finished(&self) -> bool {
        self.state.end == End::Finished
    }

    /// Whether the stream broke off or reported an error.
    pub fn failed(&self) -> bool {
        matches!(self.state.end, End::Reported | End::Broken)
    }

    /// Whether it failed by an error that the provider sent: the client has been told.
    pub fn reported(&self) -> bool {
        self.state.end == End::Reported
    }

    /// What the provider says the exchange consumed.
    pub fn usage(&self) -> Option<Usage> {
        self.state.usage
    }

    /// Bytes that [`Meter::take_text`] would give. One push adds no more than its own length and
    /// that of an event held back.
    pub fn text_bytes(&self) -> usize {
        self.state.text.len()
    }

    /// The text that [`Meter::take_text`] would give.
    pub fn text(&self) -> &str {
        &self.state.text
    }

    /// Ends the stream before its provider does. The last event names the
    /// response and does not repeat its output, which the client has.
    pub fn stop(&mut self, why: Stop, usage: &Usage, out: &mut Vec<u8>) {
        let state = &mut self.state;
        // What is not to be shown may have come with the provider's own end.
        if state.end != End::Open && why == Stop::Length {
            return;
        }
        let reason = match why {
            Stop::Length => "max_output_tokens",
            Stop::ContentFilter => "content_filter",
        };
        write_incomplete(state.sequence, &state.head, reason, usage, out);
        state.end = End::Finished;
    }

    /// The client has seen other events than the provider's: the next one has this number.
    pub fn go_on_from(&mut self, sequence: u64) {
        self.state.sequence = sequence;
    }

    /// The text delivered since the last take, for counting.
    pub fn take_text(&mut self) -> Option<String> {
        let text = std::mem::take(&mut self.state.text);
        (!text.is_empty()).then_some(text)
    }

    /// How many of the bytes pushed last belong to an event that is not complete. A client that
    /// has them takes what follows for the rest of that event.
    pub fn pending(&self) -> usize {
        self.splitter
            .pending()
            .saturating_add(self.shortener.pending())
            .saturating_add(self.state.left_out)
    }

    /// An error event for the client of a stream that broke off, to follow what it has.
    pub fn cut_event(&self, code: Code) -> Vec<u8> {
        let mut event = Vec::new();
        if self.state.is_torn || self.pending() > 0 {
            event.extend_from_slice(b"\n\n");
        }
        let row = code.row();
        let parts = (row.message, row.kind, row.name);
        write_error_event(self.state.sequence, parts, &mut event);
        event
    }
}

impl State {
    fn finish(&mut self, end: End) {
        if self.end == End::Open {
            self.end = end;
        }
    }

    fn event(&mut self, event: &Event<'_>) {
        let left_out = std::mem::take(&mut self.left_out);
        let data = event.data.trim_ascii();
        if self.end != End::Open || data.is_empty() {
            return;
        }
        let found = Found::read(data, event.name.unwrap_or_default());
        if let Some(sequence) = found.sequence {
            self.sequence = sequence.saturating_add(1);
        }
        match Stage::of(found.kind) {
            Stage::Begun => self.begin(data, &found),
            Stage::Going => self.note(data, &found),
            Stage::Finished => {
                self.usage = found.usage(data, left_out > 0);
                self.end = End::Finished;
            }
            Stage::Failed => {
                self.usage = found.usage(data, left_out > 0);
                self.end = End::Reported;
            }
        }
    }

    fn begin(&mut self, data: &[u8], found: &Found<'_>) {
        let Some(response) = found.response.filter(|_| self.head.is_empty()) else {
            return;
        };
        for name in HEAD {
            if let Some(value) = json::member(data, response, name) {
                self.head.push((name, value.of(data).to_vec()));
            }
        }
    }

    /// Adds what the event delivers.
    fn note(&mut self, data: &[u8], found: &Found<'_>) {
        if let Some(delta) = found
            .delta
            .filter(|_| found.kind != b"response.audio.delta")
            && let Some(delta) = json::string(data, delta)
        {
            self.text.push_str(&delta);
        }
        if found.kind == b"response.output_item.added"
            && let Some(item) = found.item
            && let Some(name) = super::text(data, item, "name")
        {
            self.text.push_str(&name);
        }
    }
}

/// What matters in an event, found in one look. It need not be a valid document.
#[derive(Debug, Default)]
struct Found<'a> {
    kind: &'a [u8],
    sequence: Option<u64>,
    delta: Option<Span>,
    item: Option<Span>,
    response: Option<Span>,
    is_error: bool,
}

impl<'a> Found<'a> {
    fn read(data: &'a [u8], name: &'a [u8]) -> Found<'a> {
        let whole = Span {
            start: 0,
            end: data.len(),
        };
        let mut found = Found {
            kind: name,
            ..Found::default()
        };
        for member in json::members(data, whole) {
            match member.key.of(data) {
                b"type" => found.kind = member.value.unquoted().of(data),
                b"sequence_number" => found.sequence = json::number_u64(data, member.value),
                b"delta" => found.delta = Some(member.value),
                b"item" => found.item = Some(member.value),
                b"response" => found.response = Some(member.value),
                b"error" => {
                    found.is_error = json::kind(data, member.value) == Some(Kind::Object);
                }
                _ => {}
            }
        }
        if found.kind.is_empty() && found.is_error {
            found.kind = b"error";
        }
        found
    }

    /// The usage of the response. Of one without its middle it is looked for from the end: within
    /// a string its quotes would be escaped.
    fn usage(&self, data: &[u8], is_shortened: bool) -> Option<Usage> {
        if !is_shortened {
            let value = json::member(data, self.response?, "usage")?;
            return usage(data, value);
        }
        let name = b"\"usage\":";
        let start = memmem::rfind(data, name)?.checked_add(name.len())?;
        let end = data.len();
        let rest = Span { start, end }.of(data);
        let space = rest.len().saturating_sub(rest.trim_ascii_start().len());
        let start = start.checked_add(space)?;
        usage(data, Span { start, end })
    }
}
