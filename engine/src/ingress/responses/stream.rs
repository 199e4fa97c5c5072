//! Chunks of a chat completion as the events of a response.
//!
//! The last event repeats the whole answer, and each item ends with its whole text: that is the
//! format, so an answer is collected while it passes, up to [`RESPONSE_BYTES_MAX`]. Every piece is
//! passed on at once: items may be open side by side.

use super::answer::{Response, Status};
use super::events::{Events, Place};
use super::item::{CallKind, Holds};
use super::said::{self, CallPiece, Said, Thought};
use super::{Context, some, text};
use crate::dialect::openai_usage;
use crate::json::{self, Span, Writer};
use crate::limits::RESPONSE_BYTES_MAX;
use crate::reply::Code;

#[derive(Clone, Debug)]
pub(in crate::ingress) struct Stream {
    response: Response,
    events: Events,
    has_begun: bool,
    has_ended: bool,
    /// Why the answer is not complete.
    incomplete: Option<&'static str>,
}

impl Stream {
    pub(in crate::ingress) fn new(context: &Context<'_>) -> Stream {
        Stream {
            response: Response::new(context),
            events: Events::default(),
            has_begun: false,
            has_ended: false,
            incomplete: None,
        }
    }

    /// A chunk: a valid document.
    pub(in crate::ingress) fn chunk(&mut self, data: &[u8], root: Span, out: &mut Vec<u8>) {
        if self.has_ended {
            return;
        }
        self.response.read_head(data, root, !self.has_begun);
        self.begin(out);
        if let Some(usage) = some(data, root, "usage").and_then(|usage| openai_usage(data, usage)) {
            self.response.usage = Some(usage);
        }
        let choices = some(data, root, "choices").unwrap_or_default();
        let Some(choice) = said::choice(data, choices) else {
            return;
        };
        self.choice(data, choice, out);
        self.incomplete = self.incomplete.or(said::incomplete(data, choice));
        if self.response.output.bytes() > RESPONSE_BYTES_MAX {
            let message = "The answer is longer than can be collected for its last event";
            let code = Code::UpstreamInvalidAnswer.row();
            self.fail(message, code.kind, code.name, out);
        }
    }

    /// An error in place of the rest: a valid document with OpenAI's `error`.
    pub(in crate::ingress) fn error(&mut self, data: &[u8], root: Span, out: &mut Vec<u8>) {
        if self.has_ended {
            return;
        }
        let error = some(data, root, "error").unwrap_or_default();
        let part = |name: &str| text(data, error, name).unwrap_or_default();
        self.fail(&part("message"), &part("type"), &part("code"), out);
    }

    /// The end.
    pub(in crate::ingress) fn done(&mut self, out: &mut Vec<u8>) {
        if self.has_ended {
            return;
        }
        self.begin(out);
        self.has_ended = true;
        let (status, kind) = match self.incomplete {
            Some(why) => (Status::Incomplete(why), "response.incomplete"),
            None => (Status::Completed, "response.completed"),
        };
        let last = self.response.output.items.len().saturating_sub(1);
        for at in 0..last {
            self.close(at, "completed", out);
        }
        self.close(last, status.of_last_item(), out);
        self.response.status = status;
        self.events.response(kind, &self.response, out);
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.has_begun {
            self.has_begun = true;
            for kind in ["response.created", "response.in_progress"] {
                self.events.response(kind, &self.response, out);
            }
        }
    }

    /// Ends the stream with an error: some clients look for the response that failed, and some
    /// for the error.
    fn fail(&mut self, message: &str, kind: &str, code: &str, out: &mut Vec<u8>) {
        self.begin(out);
        self.has_ended = true;
        self.response.status = Status::failed(message, kind, code);
        self.events.response("response.failed", &self.response, out);
        let code = if code.is_empty() {
            "server_error"
        } else {
            code
        };
        self.events.error(message, kind, code, out);
    }

    fn choice(&mut self, data: &[u8], choice: Span, out: &mut Vec<u8>) {
        let delta = some(data, choice, "delta").unwrap_or_default();
        let said = Said::read(data, delta);
        if let Some(text) = said.reasoning {
            self.reason(text.unquoted().of(data), said.is_reasoning_content, out);
        }
        for block in json::elements(data, said.thinking_blocks.unwrap_or_default()) {
            if let Some(thought) = Thought::read(data, block) {
                self.think(&thought, out);
            }
        }
        let mut logprobs = said::logprobs(data, choice);
        for text in said::texts(data, said.content) {
            self.say(false, text.unquoted().of(data), &logprobs, out);
            logprobs.clear();
        }
        for annotation in json::elements(data, said.annotations.unwrap_or_default()) {
            self.annotate(data, annotation, out);
        }
        if let Some(refusal) = said.refusal {
            self.say(true, refusal.unquoted().of(data), &[], out);
        }
        for call in json::elements(data, said.tool_calls.unwrap_or_default()) {
            self.call(data, &CallPiece::read(data, call), out);
        }
    }

    /// The reasoning that is open, or one that begins.
    fn reasoning(&mut self, out: &mut Vec<u8>) -> usize {
        let (at, is_new) = self.response.output.reasoning();
        if is_new {
            self.open(at, out);
        }
        at
    }

    fn reason(&mut self, text: &[u8], is_content: bool, out: &mut Vec<u8>) {
        let at = self.reasoning(out);
        let is_first = self.response.output.reason(at, text, is_content);
        let Some(place) = place(&self.response, at) else {
            return;
        };
        if is_first {
            self.events.summary_added(place, out);
        }
        self.events.summary_delta(place, text, out);
    }

    /// What a provider wants back ends the reasoning that it belongs to.
    fn think(&mut self, thought: &Thought<'_>, out: &mut Vec<u8>) {
        let mut at = self.reasoning(out);
        let has_text = self.response.output.has_reasoned(at);
        if thought.is_redacted && has_text {
            self.close(at, "completed", out);
            at = self.reasoning(out);
        } else if !has_text && !thought.text.is_empty() {
            self.reason(thought.text, false, out);
        }
        self.response.output.seal(at, thought);
        self.close(at, "completed", out);
    }

    /// The part of the open message that takes texts of this kind, opened when there is none: its
    /// item, and its index in that.
    fn part(&mut self, is_refusal: bool, out: &mut Vec<u8>) -> (usize, usize) {
        let (at, is_new) = self.response.output.message();
        if is_new {
            self.open(at, out);
        }
        let (index, is_new) = self.response.output.part(at, is_refusal);
        if is_new {
            if let Some(before) = index.checked_sub(1) {
                self.close_part(at, before, out);
            }
            if let Some(place) = place(&self.response, at) {
                self.events.part_added(place, index, is_refusal, out);
            }
        }
        (at, index)
    }

    fn say(&mut self, is_refusal: bool, text: &[u8], logprobs: &[u8], out: &mut Vec<u8>) {
        let (at, index) = self.part(is_refusal, out);
        self.response.output.say(at, text, logprobs);
        match place(&self.response, at) {
            Some(place) if is_refusal => self.events.refusal_delta(place, index, text, out),
            Some(place) => self.events.text_delta(place, index, text, logprobs, out),
            None => {}
        }
    }

    fn annotate(&mut self, data: &[u8], annotation: Span, out: &mut Vec<u8>) {
        let mut flat = Vec::new();
        said::write_annotation(data, annotation, &mut Writer::new(&mut flat));
        let (at, index) = self.part(false, out);
        let number = self.response.output.annotate(at, &flat);
        if let Some(place) = place(&self.response, at) {
            self.events
                .annotation_added(place, index, (number, &flat), out);
        }
    }

    fn call(&mut self, data: &[u8], piece: &CallPiece, out: &mut Vec<u8>) {
        let count = self.response.output.items.len();
        let at = self.response.output.call(data, piece);
        if at == count {
            self.close_before(at, out);
        }
        let has_name = |item: &Holds| matches!(item, Holds::Call(call) if !call.name.is_empty());
        if place(&self.response, at).is_some_and(|place| has_name(&place.item.holds)) {
            self.tell(at, &piece.arguments(data), out);
        }
    }

    /// Tells of a call, at first with all of its arguments, then with a piece of them. What a
    /// custom tool gets is known only at the end when it is called as a function.
    fn tell(&mut self, at: usize, piece: &[u8], out: &mut Vec<u8>) {
        let is_told = self.response.output.tell(at);
        let Some(place) = place(&self.response, at) else {
            return;
        };
        let Holds::Call(call) = &place.item.holds else {
            return;
        };
        if !is_told {
            self.events.item_added(place, out);
        }
        let piece = if is_told { piece } else { &call.arguments };
        if call.kind != CallKind::Wrapped && !piece.is_empty() {
            self.events.call_delta(place, call.kind, piece, out);
        }
    }

    /// An item begins.
    fn open(&mut self, at: usize, out: &mut Vec<u8>) {
        self.close_before(at, out);
        if let Some(place) = place(&self.response, at) {
            self.events.item_added(place, out);
        }
    }

    /// What was said before the item is complete. Calls are not: their pieces may come mixed.
    fn close_before(&mut self, at: usize, out: &mut Vec<u8>) {
        let Some(before) = at.checked_sub(1) else {
            return;
        };
        let item = self.response.output.items.get(before);
        if item.is_some_and(|item| !matches!(item.holds, Holds::Call(_))) {
            self.close(before, "completed", out);
        }
    }

    fn close(&mut self, at: usize, status: &str, out: &mut Vec<u8>) {
        let Some(item) = self.response.output.items.get(at).filter(|it| it.is_open) else {
            return;
        };
        match &item.holds {
            Holds::Call(_) => self.close_call(at, out),
            Holds::Message(parts) => {
                if let Some(last) = parts.len().checked_sub(1) {
                    self.close_part(at, last, out);
                }
            }
            Holds::Reasoning(reasoning) if reasoning.text.is_empty() => {}
            Holds::Reasoning(reasoning) => {
                if let Some(place) = place(&self.response, at) {
                    self.events.summary_done(place, reasoning, out);
                }
            }
        }
        self.response.output.close(at);
        if let Some(place) = place(&self.response, at) {
            self.events.item_done(place, status, out);
        }
    }

    fn close_part(&mut self, at: usize, index: usize, out: &mut Vec<u8>) {
        let Some(place) = place(&self.response, at) else {
            return;
        };
        if let Holds::Message(parts) = &place.item.holds
            && let Some(part) = parts.get(index)
        {
            self.events.part_done(place, index, part, out);
        }
    }

    fn close_call(&mut self, at: usize, out: &mut Vec<u8>) {
        // Of a call without a name the client has not heard.
        if !self.response.output.is_told(at) {
            self.tell(at, &[], out);
        }
        let rest = self.response.output.complete_call(at);
        let Some(place) = place(&self.response, at) else {
            return;
        };
        if let Holds::Call(call) = &place.item.holds {
            if !rest.is_empty() {
                self.events.call_delta(place, call.kind, &rest, out);
            }
            self.events.call_done(place, call, out);
        }
    }
}

fn place(response: &Response, at: usize) -> Option<Place<'_>> {
    let item = response.output.items.get(at)?;
    Some(Place {
        item,
        output_index: at,
    })
}
