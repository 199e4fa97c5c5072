//! A ConverseStream as chat completion chunks.

use super::{finish_reason, reasoning_tokens, text, usage};
use crate::dialect::begin::{FirstEvent, failed, refuse};
use crate::dialect::completion::Chunks;
use crate::dialect::failure::{self, Reported};
use crate::dialect::stream::{Context, Step};
use crate::event_stream::{Message, Splitter};
use crate::json::{self, Span, Writer};
use crate::limits::EVENT_BYTES_MAX;
use crate::reply::Code;
use crate::usage::Usage;
use crate::wire::Dialect;

/// Thinking that is carried to the client with its signature. A longer one is still delivered as
/// `reasoning_content`, but can not be brought back.
const THINKING_BYTES_MAX: usize = 1024 * 1024;

/// What a stream's messages change.
#[derive(Clone, Debug, Default)]
pub(in crate::dialect) struct Stream {
    chunks: Chunks,
    /// Tool calls so far: OpenAI counts calls, Converse counts blocks of any kind.
    calls: u64,
    /// The open call's block, index, and whether it has had any argument text.
    call: Option<(Option<u64>, u64, bool)>,
    /// Text of the open thinking block; `None` beyond [`THINKING_BYTES_MAX`].
    thinking: Option<String>,
    /// Blocks of thinking so far.
    thoughts: u64,
    reasoning: u64,
    usage: Option<Usage>,
}

/// The error that a message is, if it is one.
fn reported(message: Message<'_>) -> Option<Reported> {
    match message.header(":message-type")? {
        "exception" => {
            let payload = message.payload;
            let said = json::document(payload).ok().and_then(|root| {
                text(payload, root, "message").or_else(|| text(payload, root, "Message"))
            });
            let kind = message.header(":exception-type").unwrap_or_default();
            Some(Reported::new(&said.unwrap_or_default(), kind))
        }
        "error" => {
            let said = message.header(":error-message").unwrap_or_default();
            let kind = message.header(":error-code").unwrap_or_default();
            Some(Reported::new(said, kind))
        }
        _ => None,
    }
}

/// Judges the beginning of a stream: by the first message that carries content.
pub(in crate::dialect) fn first_message(so_far: &[u8], end: bool) -> FirstEvent {
    let mut verdict = FirstEvent::NeedMore;
    let mut splitter = Splitter::default();
    let split = splitter.push(so_far, |message| {
        if verdict != FirstEvent::NeedMore {
            return;
        }
        if let Some(error) = reported(message) {
            verdict = failed(failure::reported_answer(Dialect::Bedrock, &error));
        } else if !matches!(message.header(":event-type"), None | Some("messageStart")) {
            verdict = FirstEvent::Good;
        }
    });
    match verdict {
        FirstEvent::NeedMore if split.is_err() || so_far.len() > EVENT_BYTES_MAX => {
            refuse(Code::UpstreamInvalidAnswer)
        }
        FirstEvent::NeedMore if end => refuse(Code::UpstreamStreamInterrupted),
        verdict => verdict,
    }
}

impl Stream {
    pub(in crate::dialect) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Takes one message. Those of unknown type are passed over.
    pub(in crate::dialect) fn message(
        &mut self,
        message: Message<'_>,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        if let Some(error) = reported(message) {
            return Step::Reported(error);
        }
        let data = message.payload;
        let Ok(root) = json::document(data) else {
            return Step::Invalid;
        };
        let member = |name: &str| json::member(data, root, name);
        match message.header(":event-type") {
            Some("messageStart") => self.chunks.begin(context, out),
            Some("contentBlockStart") => {
                self.block_stop(context, out);
                let tool = member("start").and_then(|start| json::member(data, start, "toolUse"));
                if let Some(tool) = tool {
                    self.call_start(data, root, tool, context, out);
                }
            }
            Some("contentBlockDelta") => {
                if let Some(delta) = member("delta") {
                    self.delta(data, root, delta, context, out);
                }
            }
            Some("contentBlockStop") => self.block_stop(context, out),
            Some("messageStop") => {
                self.block_stop(context, out);
                self.reasoning = reasoning_tokens(data, root);
                let reason = text(data, root, "stopReason").unwrap_or_default();
                let reason = finish_reason(&reason, self.calls > 0);
                if !self.chunks.ended {
                    self.chunks.finish(reason, &[], context, out);
                }
                return Step::MayEnd;
            }
            Some("metadata") => {
                let figures = member("usage");
                self.usage = figures.and_then(|it| usage(data, it, self.reasoning));
                if self.chunks.ended {
                    return Step::Finished;
                }
            }
            _ => {}
        }
        Step::Go
    }

    fn call_start(
        &mut self,
        data: &[u8],
        root: Span,
        tool: Span,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let index = self.calls;
        self.calls = self.calls.saturating_add(1);
        self.call = Some((block(data, root), index, false));
        let name = text(data, tool, "name").unwrap_or_default();
        let id = text(data, tool, "toolUseId").unwrap_or_default();
        context.text.push_str(&name);
        self.chunks.delta(context, out, |out| {
            out.key("tool_calls").array(|out| {
                out.object(|out| {
                    out.key("index").number(index);
                    out.key("id").string(&id);
                    out.key("type").string("function");
                    out.key("function").object(|out| {
                        out.key("name").string(&name);
                        out.key("arguments").string("");
                    });
                });
            });
        });
    }

    fn delta(
        &mut self,
        data: &[u8],
        root: Span,
        delta: Span,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        if let Some(piece) = text(data, delta, "text") {
            if !piece.is_empty() {
                context.text.push_str(&piece);
                self.chunks
                    .delta(context, out, |out| out.key("content").string(&piece));
            }
        } else if let Some(tool) = json::member(data, delta, "toolUse") {
            let piece = text(data, tool, "input").unwrap_or_default();
            let open = self
                .call
                .as_mut()
                .filter(|call| call.0 == block(data, root));
            if let Some((_, index, has_arguments)) = open
                && !piece.is_empty()
            {
                *has_arguments = true;
                let index = *index;
                context.text.push_str(&piece);
                self.arguments(index, &piece, context, out);
            }
        } else if let Some(reasoning) = json::member(data, delta, "reasoningContent") {
            self.reasoning_delta(data, reasoning, context, out);
        }
    }

    fn reasoning_delta(
        &mut self,
        data: &[u8],
        reasoning: Span,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        if let Some(piece) = text(data, reasoning, "text") {
            let thinking = self.thinking.take().unwrap_or_default();
            let length = thinking.len().saturating_add(piece.len());
            self.thinking = (length <= THINKING_BYTES_MAX).then(|| thinking + &piece);
            context.text.push_str(&piece);
            self.chunks.delta(context, out, |out| {
                out.key("reasoning_content").string(&piece)
            });
        } else if let Some(signature) = text(data, reasoning, "signature") {
            let Some(thinking) = self.thinking.take() else {
                return;
            };
            self.thought(context, out, |out| {
                out.key("type").string("thinking");
                out.key("thinking").string(&thinking);
                out.key("signature").string(&signature);
            });
        } else if let Some(redacted) = text(data, reasoning, "redactedContent") {
            self.thought(context, out, |out| {
                out.key("type").string("redacted_thinking");
                out.key("data").string(&redacted);
            });
        }
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
        self.chunks.delta(context, out, |out| {
            out.key("thinking_blocks").array(|out| {
                out.object(|out| {
                    out.key("index").number(index);
                    members(out);
                });
            });
        });
    }

    /// Ends the open block. A call without any argument text still has arguments: none.
    fn block_stop(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) {
        if let Some((_, index, false)) = self.call.take() {
            context.text.push_str("{}");
            self.arguments(index, "{}", context, out);
        }
    }

    fn arguments(&mut self, index: u64, piece: &str, context: &Context<'_>, out: &mut Vec<u8>) {
        self.chunks.delta(context, out, |out| {
            out.key("tool_calls").array(|out| {
                out.object(|out| {
                    out.key("index").number(index);
                    out.key("function")
                        .object(|out| out.key("arguments").string(piece));
                });
            });
        });
    }
}

fn block(data: &[u8], root: Span) -> Option<u64> {
    super::count(data, root, "contentBlockIndex")
}
