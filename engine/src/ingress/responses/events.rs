//! The events of a stream, numbered.

use super::answer::Response;
use super::item::{Call, CallKind, Holds, Item, Part, Reasoning, write_list};
use crate::dialect::responses::write_error_event;
use crate::json::Writer;

/// Writes events.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    /// Of the next event.
    sequence: u64,
}

/// Where in the output something happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) item: &'a Item,
    pub(super) output_index: usize,
}

impl Place<'_> {
    fn write(&self, out: &mut Writer<'_>) {
        out.key("item_id").string(&self.item.id);
        out.key("output_index").number(number(self.output_index));
    }

    fn write_part(&self, index: usize, out: &mut Writer<'_>) {
        self.write(out);
        out.key("content_index").number(number(index));
    }

    fn write_summary(&self, out: &mut Writer<'_>) {
        self.write(out);
        out.key("summary_index").number(0);
    }
}

fn number(index: usize) -> u64 {
    u64::try_from(index).unwrap_or(u64::MAX)
}

impl Events {
    pub(super) fn write(
        &mut self,
        kind: &str,
        out: &mut Vec<u8>,
        members: impl FnOnce(&mut Writer<'_>),
    ) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        Writer::new(out).object(|out| {
            out.key("type").string(kind);
            out.key("sequence_number").number(self.sequence);
            members(out);
        });
        out.extend_from_slice(b"\n\n");
        self.sequence = self.sequence.saturating_add(1);
    }

    /// An event that carries the whole response.
    pub(super) fn response(&mut self, kind: &str, response: &Response, out: &mut Vec<u8>) {
        self.write(kind, out, |out| response.write(out.key("response")));
    }

    /// An item begins: without what it will hold.
    pub(super) fn item_added(&mut self, place: Place<'_>, out: &mut Vec<u8>) {
        let item = match &place.item.holds {
            Holds::Call(call) => Holds::Call(call.without_arguments()),
            Holds::Message(_) => Holds::Message(Vec::new()),
            Holds::Reasoning(_) => Holds::Reasoning(Reasoning::default()),
        };
        let item = Item {
            id: place.item.id.clone(),
            is_open: true,
            holds: item,
        };
        self.write("response.output_item.added", out, |out| {
            out.key("output_index").number(number(place.output_index));
            item.write("in_progress", out.key("item"));
        });
    }

    pub(super) fn item_done(&mut self, place: Place<'_>, status: &str, out: &mut Vec<u8>) {
        self.write("response.output_item.done", out, |out| {
            out.key("output_index").number(number(place.output_index));
            place.item.write(status, out.key("item"));
        });
    }

    pub(super) fn summary_added(&mut self, place: Place<'_>, out: &mut Vec<u8>) {
        self.write("response.reasoning_summary_part.added", out, |out| {
            place.write_summary(out);
            Reasoning::default().write_part(out.key("part"));
        });
    }

    pub(super) fn summary_delta(&mut self, place: Place<'_>, text: &[u8], out: &mut Vec<u8>) {
        self.write("response.reasoning_summary_text.delta", out, |out| {
            place.write_summary(out);
            out.key("delta").escaped(&[text]);
        });
    }

    pub(super) fn summary_done(
        &mut self,
        place: Place<'_>,
        reasoning: &Reasoning,
        out: &mut Vec<u8>,
    ) {
        self.write("response.reasoning_summary_text.done", out, |out| {
            place.write_summary(out);
            out.key("text").escaped(&[&reasoning.text]);
        });
        self.write("response.reasoning_summary_part.done", out, |out| {
            place.write_summary(out);
            reasoning.write_part(out.key("part"));
        });
    }

    pub(super) fn part_added(
        &mut self,
        place: Place<'_>,
        index: usize,
        is_refusal: bool,
        out: &mut Vec<u8>,
    ) {
        let part = Part::new(is_refusal);
        self.write("response.content_part.added", out, |out| {
            place.write_part(index, out);
            part.write(out.key("part"));
        });
    }

    pub(super) fn text_delta(
        &mut self,
        place: Place<'_>,
        index: usize,
        text: &[u8],
        logprobs: &[u8],
        out: &mut Vec<u8>,
    ) {
        self.write("response.output_text.delta", out, |out| {
            place.write_part(index, out);
            out.key("delta").escaped(&[text]);
            out.key("logprobs").array(|out| write_list(logprobs, out));
        });
    }

    pub(super) fn refusal_delta(
        &mut self,
        place: Place<'_>,
        index: usize,
        text: &[u8],
        out: &mut Vec<u8>,
    ) {
        self.write("response.refusal.delta", out, |out| {
            place.write_part(index, out);
            out.key("delta").escaped(&[text]);
        });
    }

    pub(super) fn annotation_added(
        &mut self,
        place: Place<'_>,
        index: usize,
        (number, annotation): (u64, &[u8]),
        out: &mut Vec<u8>,
    ) {
        self.write("response.output_text.annotation.added", out, |out| {
            place.write_part(index, out);
            out.key("annotation_index").number(number);
            out.key("annotation").raw(annotation);
        });
    }

    pub(super) fn part_done(
        &mut self,
        place: Place<'_>,
        index: usize,
        part: &Part,
        out: &mut Vec<u8>,
    ) {
        let kind = if part.is_refusal {
            "response.refusal.done"
        } else {
            "response.output_text.done"
        };
        self.write(kind, out, |out| {
            place.write_part(index, out);
            if part.is_refusal {
                out.key("refusal").escaped(&[&part.text]);
            } else {
                out.key("text").escaped(&[&part.text]);
                out.key("logprobs")
                    .array(|out| write_list(&part.logprobs, out));
            }
        });
        self.write("response.content_part.done", out, |out| {
            place.write_part(index, out);
            part.write(out.key("part"));
        });
    }

    pub(super) fn call_delta(
        &mut self,
        place: Place<'_>,
        kind: CallKind,
        piece: &[u8],
        out: &mut Vec<u8>,
    ) {
        let kind = match kind {
            CallKind::Function => "response.function_call_arguments.delta",
            CallKind::Custom | CallKind::Wrapped => "response.custom_tool_call_input.delta",
        };
        self.write(kind, out, |out| {
            place.write(out);
            out.key("delta").escaped(&[piece]);
        });
    }

    pub(super) fn call_done(&mut self, place: Place<'_>, call: &Call, out: &mut Vec<u8>) {
        let (kind, member) = match call.kind {
            CallKind::Function => ("response.function_call_arguments.done", "arguments"),
            CallKind::Custom | CallKind::Wrapped => {
                ("response.custom_tool_call_input.done", "input")
            }
        };
        self.write(kind, out, |out| {
            place.write(out);
            out.key("name").escaped(&[&call.name]);
            out.key(member).escaped(&[&call.arguments]);
        });
    }

    /// The error that ended a stream.
    pub(super) fn error(&mut self, message: &str, kind: &str, code: &str, out: &mut Vec<u8>) {
        write_error_event(self.sequence, (message, kind, code), out);
        self.sequence = self.sequence.saturating_add(1);
    }
}
