//! A message stream as chat completion chunks.

use super::{Figures, finish_reason};
use crate::dialect::failure;
use crate::dialect::mould::Mould;
use crate::dialect::stream::{Context, Head, Step};
use crate::json::{self, Span, Writer};
use crate::usage::Usage;

/// Thinking that is carried to the client with its signature. A longer block is still delivered
/// as `reasoning_content`, but can not be brought back.
const THINKING_BYTES_MAX: usize = 1024 * 1024;

/// What a stream's events change.
#[derive(Clone, Debug, Default)]
pub(in crate::dialect) struct Stream {
    begun: bool,
    /// Why the message ends, once that is said.
    reason: Option<&'static str>,
    figures: Figures,
    /// The final output figure has come; the one of `message_start` is only a first token.
    counted: bool,
    /// Tool calls so far: OpenAI counts calls, Anthropic counts blocks of any kind.
    calls: u64,
    /// The open call block and whether it has had any argument text.
    call: Option<Call>,
    /// The block that has begun and not ended, of any kind.
    open_block: Option<u64>,
    /// Text of the open thinking block: the client needs it whole beside its signature, to bring
    /// both back with the results of calls. `None` beyond [`THINKING_BYTES_MAX`].
    thinking: Option<String>,
    /// Blocks of thinking so far.
    thoughts: u64,
    /// Of the events that deliver text.
    mould: Mould,
    /// What every chunk has before and after its delta.
    frame: (Vec<u8>, Vec<u8>),
}

#[derive(Clone, Copy, Debug)]
struct Call {
    block: Option<u64>,
    index: u64,
    has_arguments: bool,
}

impl Stream {
    /// Takes the data of one event. Events of unknown type are passed over, as the API demands.
    pub(in crate::dialect) fn event(
        &mut self,
        data: &[u8],
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        if let Some(inside) = self.mould.text_of(data)
            && let Some(text) = plain(inside)
        {
            context.text.push_str(text);
            out.extend_from_slice(&self.frame.0);
            out.extend_from_slice(b"{\"content\":\"");
            out.extend_from_slice(inside);
            out.extend_from_slice(b"\"}");
            out.extend_from_slice(&self.frame.1);
            return Step::Go;
        }
        let Ok(root) = json::document(data) else {
            return Step::Invalid;
        };
        let event = Event { data, root };
        match event.text(root, "type").as_deref() {
            Some("message_start") => self.message_start(event, context, out),
            Some("content_block_start") => {
                self.block_start(event, context, out);
                self.open_block = event.index();
            }
            Some("content_block_delta") => self.block_delta(event, context, out),
            Some("content_block_stop") => self.block_stop(context, out),
            Some("message_delta") => self.message_delta(event, context, out),
            Some("message_stop") => {
                self.finish(context, out);
                return Step::Finished;
            }
            Some("error") => {
                return Step::Reported(failure::reported(data, root).unwrap_or_default());
            }
            _ => {}
        }
        Step::Go
    }

    /// The figures so far, once the provider has counted its output.
    pub(in crate::dialect) fn usage(&self) -> Option<Usage> {
        if self.counted {
            self.figures.usage()
        } else {
            None
        }
    }

    /// Number of the block that has begun and not ended.
    pub(in crate::dialect) fn open_block(&self) -> Option<u64> {
        self.open_block
    }

    fn message_start(&mut self, event: Event<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) {
        let Some(message) = event.member(event.root, "message") else {
            return;
        };
        let head = |name| event.member(message, name);
        context
            .head
            .take(event.data, head("id"), None, head("model"));
        if let Some(usage) = event.member(message, "usage") {
            self.figures = self.figures.updated(Figures::read(event.data, usage));
        }
        self.begin(context, out);
    }

    fn block_start(&mut self, event: Event<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) {
        self.block_stop(context, out);
        let Some(block) = event.member(event.root, "content_block") else {
            return;
        };
        match event.text(block, "type").as_deref() {
            Some("text") => self.piece("content", event, block, "text", context, out),
            Some("thinking") => {
                self.thinking = Some(String::new());
                self.think(event, block, context, out);
            }
            Some("redacted_thinking") => {
                if let Some(hidden) = event.member(block, "data") {
                    self.thought(context, out, |out| {
                        out.key("type").string("redacted_thinking");
                        out.key("data").copy(event.data, hidden);
                    });
                }
            }
            Some("tool_use") => self.call_start(event, block, context, out),
            _ => {}
        }
    }

    fn call_start(
        &mut self,
        event: Event<'_>,
        block: Span,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let index = self.calls;
        self.calls = self.calls.saturating_add(1);
        self.call = Some(Call {
            block: event.index(),
            index,
            has_arguments: false,
        });
        let name = event.text(block, "name").unwrap_or_default();
        context.text.push_str(&name);
        self.chunk(context, out, |out| {
            out.key("tool_calls").array(|out| {
                out.object(|out| {
                    out.key("index").number(index);
                    out.key("id")
                        .string(&event.text(block, "id").unwrap_or_default());
                    out.key("type").string("function");
                    out.key("function").object(|out| {
                        out.key("name").string(&name);
                        out.key("arguments").string("");
                    });
                });
            });
        });
    }

    fn block_delta(&mut self, event: Event<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) {
        let Some(delta) = event.member(event.root, "delta") else {
            return;
        };
        match event.text(delta, "type").as_deref() {
            Some("text_delta") => {
                self.piece("content", event, delta, "text", context, out);
                if let Some(text) = event.member(delta, "text").filter(|text| text.len() > 2) {
                    self.mould.remember(event.data, text.unquoted(), None);
                }
            }
            Some("thinking_delta") => self.think(event, delta, context, out),
            Some("signature_delta") => self.signature(event, delta, context, out),
            Some("input_json_delta") => self.arguments(event, delta, context, out),
            _ => {}
        }
    }

    fn think(
        &mut self,
        event: Event<'_>,
        object: Span,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        if let Some(text) = event.text(object, "thinking") {
            self.thinking = self
                .thinking
                .take()
                .filter(|thinking| thinking.len().saturating_add(text.len()) <= THINKING_BYTES_MAX)
                .map(|thinking| thinking + &text);
        }
        self.piece("reasoning_content", event, object, "thinking", context, out);
    }

    fn signature(
        &mut self,
        event: Event<'_>,
        delta: Span,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let Some(signature) = event.member(delta, "signature") else {
            return;
        };
        let Some(thinking) = self.thinking.take() else {
            return;
        };
        self.thought(context, out, |out| {
            out.key("type").string("thinking");
            out.key("thinking").string(&thinking);
            out.key("signature").copy(event.data, signature);
        });
    }

    /// A block of thinking. Clients put lists together by `index`.
    fn thought(
        &mut self,
        context: &Context<'_>,
        out: &mut Vec<u8>,
        members: impl FnOnce(&mut Writer<'_>),
    ) {
        let index = self.thoughts;
        self.thoughts = self.thoughts.saturating_add(1);
        self.chunk(context, out, |out| {
            out.key("thinking_blocks").array(|out| {
                out.object(|out| {
                    out.key("index").number(index);
                    members(out);
                });
            });
        });
    }

    fn arguments(
        &mut self,
        event: Event<'_>,
        delta: Span,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let Some(json) = event.member(delta, "partial_json") else {
            return;
        };
        let Some(text) = json::string(event.data, json).filter(|text| !text.is_empty()) else {
            return;
        };
        // Pieces for a block that is not the open call belong to one of the provider's own tools.
        let Some(call) = self
            .call
            .as_mut()
            .filter(|call| call.block == event.index())
        else {
            return;
        };
        call.has_arguments = true;
        let index = call.index;
        context.text.push_str(&text);
        self.argument_chunk(index, json.of(event.data), context, out);
    }

    /// Ends the open block. A call without any argument text still has arguments: none.
    fn block_stop(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) {
        self.open_block = None;
        if let Some(call) = self.call.take()
            && !call.has_arguments
        {
            self.argument_chunk(call.index, b"\"{}\"", context, out);
        }
    }

    fn argument_chunk(
        &mut self,
        index: u64,
        json: &[u8],
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        self.chunk(context, out, |out| {
            out.key("tool_calls").array(|out| {
                out.object(|out| {
                    out.key("index").number(index);
                    out.key("function")
                        .object(|out| out.key("arguments").raw(json));
                });
            });
        });
    }

    fn message_delta(&mut self, event: Event<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) {
        if let Some(usage) = event.member(event.root, "usage") {
            let later = Figures::read(event.data, usage);
            self.counted |= later.output.is_some();
            self.figures = self.figures.updated(later);
        }
        let Some(delta) = event.member(event.root, "delta") else {
            return;
        };
        if let Some(reason) = event.text(delta, "stop_reason") {
            self.block_stop(context, out);
            self.reason = Some(finish_reason(&reason, self.calls > 0));
        }
    }

    /// Says why it ended, when it did: what breaks off before must not look finished.
    fn finish(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) {
        self.block_stop(context, out);
        self.begin(context, out);
        let reason = self.reason.unwrap_or(finish_reason("", self.calls > 0));
        out.extend_from_slice(&self.frame.0);
        Writer::new(out).object(|_| {});
        out.extend_from_slice(&after_delta(Some(reason), context.include_usage));
    }

    /// A piece of text under `name`, its JSON string copied as it is.
    fn piece(
        &mut self,
        name: &str,
        event: Event<'_>,
        object: Span,
        member: &str,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let Some(value) = event.member(object, member) else {
            return;
        };
        let Some(text) = json::string(event.data, value).filter(|text| !text.is_empty()) else {
            return;
        };
        context.text.push_str(&text);
        self.chunk(context, out, |out| out.key(name).raw(value.of(event.data)));
    }

    fn chunk(
        &mut self,
        context: &Context<'_>,
        out: &mut Vec<u8>,
        delta: impl FnOnce(&mut Writer<'_>),
    ) {
        self.begin(context, out);
        self.write_chunk(out, delta);
    }

    /// The first chunk of a choice carries the role, and nothing comes before it.
    fn begin(&mut self, context: &Context<'_>, out: &mut Vec<u8>) {
        if self.begun {
            return;
        }
        self.begun = true;
        self.frame = (
            before_delta(context.head),
            after_delta(None, context.include_usage),
        );
        self.write_chunk(out, |out| {
            out.key("role").string("assistant");
            out.key("content").string("");
        });
    }

    fn write_chunk(&self, out: &mut Vec<u8>, delta: impl FnOnce(&mut Writer<'_>)) {
        out.extend_from_slice(&self.frame.0);
        Writer::new(out).object(delta);
        out.extend_from_slice(&self.frame.1);
    }
}

fn before_delta(head: &Head) -> Vec<u8> {
    let mut before = b"data: {".to_vec();
    head.write(&mut Writer::new(&mut before));
    before.extend_from_slice(br#","choices":[{"index":0,"delta":"#);
    before
}

fn after_delta(finish: Option<&str>, include_usage: bool) -> Vec<u8> {
    let finish = finish.map_or("null".to_owned(), |reason| format!("\"{reason}\""));
    let usage = if include_usage {
        r#","usage":null"#
    } else {
        ""
    };
    format!(",\"finish_reason\":{finish}}}]{usage}}}\n\n").into_bytes()
}

/// The inside of a string that needs no validation: no escape, no control character.
fn plain(inside: &[u8]) -> Option<&str> {
    let odd = |byte: &u8| *byte == b'\\' || *byte < b' ';
    if inside.iter().any(odd) {
        return None;
    }
    std::str::from_utf8(inside).ok()
}

/// One event's data, validated.
#[derive(Clone, Copy)]
struct Event<'a> {
    data: &'a [u8],
    root: Span,
}

impl<'a> Event<'a> {
    fn member(&self, object: Span, name: &str) -> Option<Span> {
        json::member(self.data, object, name)
    }

    fn text(&self, object: Span, name: &str) -> Option<std::borrow::Cow<'a, str>> {
        json::string(self.data, self.member(object, name)?)
    }

    /// Index of the block that the event is about.
    fn index(&self) -> Option<u64> {
        self.member(self.root, "index")
            .and_then(|index| json::number_u64(self.data, index))
    }
}
