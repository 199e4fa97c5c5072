//! A stream of chunks as the events of a message.

use std::borrow::Cow;

use super::answer::message_id;
use super::queue::{Kind, Piece, Queue, TooMuch, write_event};
use super::{EXTRA, THINKS, failure, some, stop_reason, text, write_usage};
use crate::dialect::{Stop, error_body, openai_usage};
use crate::ingress::Context;
use crate::json::{self, Span, Writer};
use crate::reply::Code;
use crate::usage::Usage;

/// Chunks of reasoning that the client does not get, per `ping` that it gets instead.
const CHUNKS_PER_PING: u32 = 64;

/// One message.
#[derive(Clone, Debug)]
pub(in crate::ingress) struct Stream {
    exchange: String,
    model: String,
    thinks: bool,
    blocks: Queue,
    begun: bool,
    ended: bool,
    /// OpenAI's reason.
    finish_reason: Option<String>,
    refused: bool,
    usage: Usage,
    /// Chunks of reasoning that were left out.
    silent: u32,
}

/// Ends a message that passes as its provider wrote it, before the provider does. `open` is the block
/// that has begun and not ended.
pub(crate) fn stop(open: Option<u64>, why: Stop, usage: &Usage, out: &mut Vec<u8>) {
    if let Some(index) = open {
        write_event("content_block_stop", out, |out| {
            out.key("index").number(index)
        });
    }
    write_event("message_delta", out, |out| {
        out.key("delta").object(|out| {
            out.key("stop_reason")
                .string(stop_reason(why.finish_reason(), false, false));
            out.key("stop_sequence").null();
        });
        out.key("usage")
            .object(|out| out.key("output_tokens").number(usage.output));
    });
    write_event("message_stop", out, |_| {});
}

impl Stream {
    pub(in crate::ingress) fn new(context: &Context<'_>) -> Stream {
        Stream {
            exchange: context.exchange.to_owned(),
            model: context.model.to_owned(),
            thinks: context.echo == THINKS,
            blocks: Queue::new(format!("toolu_{}_", context.exchange)),
            begun: false,
            ended: false,
            finish_reason: None,
            refused: false,
            usage: Usage {
                input: context.tokens_in,
                ..Usage::default()
            },
            silent: 0,
        }
    }

    /// A chunk: a valid document.
    pub(in crate::ingress) fn chunk(&mut self, data: &[u8], root: Span, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        if let Some(usage) = some(data, root, "usage").and_then(|it| openai_usage(data, it)) {
            self.usage = usage;
        }
        let choices = some(data, root, "choices").unwrap_or_default();
        let Some(choice) = json::elements(data, choices).next() else {
            return;
        };
        self.begin(data, root, out);
        if let Some(delta) = some(data, choice, "delta")
            && self.delta(data, delta, out) == Err(TooMuch)
        {
            let row = Code::UpstreamInvalidAnswer.row();
            let message = "the provider's calls come in more pieces than can be held";
            let error = error_body(message, row.kind, None, Some(row.name));
            let root = json::document(&error).unwrap_or_default();
            return self.error(&error, root, out);
        }
        let reason = text(data, choice, "finish_reason").filter(|reason| !reason.is_empty());
        if let Some(reason) = reason {
            self.finish_reason = Some(reason.into_owned());
            self.blocks.finish(out);
        }
    }

    /// An error in place of the rest: a valid document with OpenAI's `error`.
    pub(in crate::ingress) fn error(&mut self, data: &[u8], root: Span, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.ended = true;
        out.extend_from_slice(b"event: error\ndata: ");
        failure::write_event(data, root, &self.exchange, &mut Writer::new(out));
        out.extend_from_slice(b"\n\n");
    }

    /// The end. Without a reason for it, it is none.
    pub(in crate::ingress) fn done(&mut self, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        let Some(reason) = self.finish_reason.take() else {
            let row = Code::UpstreamStreamInterrupted.row();
            let error = error_body(row.message, row.kind, None, Some(row.name));
            let root = json::document(&error).unwrap_or_default();
            return self.error(&error, root, out);
        };
        self.ended = true;
        self.blocks.finish(out);
        let reason = stop_reason(&reason, self.blocks.calls > 0, self.refused);
        write_event("message_delta", out, |out| {
            out.key("delta").object(|out| {
                out.key("stop_reason").string(reason);
                out.key("stop_sequence").null();
            });
            write_usage(&self.usage, out.key("usage"));
        });
        write_event("message_stop", out, |_| {});
    }

    fn begin(&mut self, data: &[u8], root: Span, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let id = message_id(text(data, root, "id").as_deref(), &self.exchange);
        if let Some(model) = text(data, root, "model").filter(|model| !model.is_empty()) {
            self.model = model.into_owned();
        }
        write_event("message_start", out, |out| {
            out.key("message").object(|out| {
                out.key("id").string(&id);
                out.key("type").string("message");
                out.key("role").string("assistant");
                out.key("model").string(&self.model);
                out.key("content").array(|_| {});
                out.key("stop_reason").null();
                out.key("stop_sequence").null();
                write_usage(&self.usage, out.key("usage"));
            });
        });
    }

    fn delta(&mut self, data: &[u8], delta: Span, out: &mut Vec<u8>) -> Result<(), TooMuch> {
        let piece = |name: &str| {
            some(data, delta, name).filter(|value| {
                json::kind(data, *value) == Some(json::Kind::String) && value.len() > 2
            })
        };
        if let Some(reasoning) = piece("reasoning_content").or_else(|| piece("reasoning")) {
            self.reasoning(reasoning.unquoted().of(data), out)?;
        }
        let blocks = some(data, delta, "thinking_blocks").unwrap_or_default();
        for block in json::elements(data, blocks) {
            self.thinking_block(data, block, out)?;
        }
        if let Some(content) = piece("content") {
            self.blocks
                .say(Kind::Text, content.unquoted().of(data), out)?;
        } else if let Some(content) = some(data, delta, "content") {
            // Parts, as Mistral has them.
            for part in json::elements(data, content) {
                let said = json::member(data, part, "text").filter(|it| it.len() > 2);
                if let Some(said) = said.filter(|it| it.of(data).starts_with(b"\"")) {
                    self.blocks.say(Kind::Text, said.unquoted().of(data), out)?;
                }
            }
        }
        if let Some(refusal) = piece("refusal") {
            self.refused = true;
            self.blocks
                .say(Kind::Text, refusal.unquoted().of(data), out)?;
        }
        let calls = some(data, delta, "tool_calls").unwrap_or_default();
        for call in json::elements(data, calls) {
            let function = some(data, call, "function")
                .or_else(|| some(data, call, "custom"))
                .unwrap_or_default();
            let mut extra = Vec::new();
            if let Some(given) = some(data, call, EXTRA) {
                json::compact_into(data, given, &mut extra);
            }
            let piece = Piece {
                number: some(data, call, "index").and_then(|it| json::number_u64(data, it)),
                id: &text(data, call, "id").unwrap_or_default(),
                extra: &extra,
                ..Piece::default()
            };
            self.call(data, function, piece, out)?;
        }
        if let Some(function) = some(data, delta, "function_call") {
            let piece = Piece {
                number: Some(0),
                ..Piece::default()
            };
            self.call(data, function, piece, out)?;
        }
        Ok(())
    }

    fn reasoning(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), TooMuch> {
        if self.thinks {
            return self.blocks.say(Kind::Thinking, piece, out);
        }
        if self.silent.is_multiple_of(CHUNKS_PER_PING) {
            write_event("ping", out, |_| {});
        }
        self.silent = self.silent.wrapping_add(1);
        Ok(())
    }

    /// A whole block of thinking, which ends what came of it as reasoning.
    fn thinking_block(
        &mut self,
        data: &[u8],
        block: Span,
        out: &mut Vec<u8>,
    ) -> Result<(), TooMuch> {
        let inside = |name: &str| {
            let value = some(data, block, name)
                .filter(|it| json::kind(data, *it) == Some(json::Kind::String) && it.len() > 2);
            value.map(Span::unquoted).map(|inside| inside.of(data))
        };
        match (
            &*text(data, block, "type").unwrap_or_default(),
            inside("signature"),
        ) {
            ("redacted_thinking", _) => {
                let mut json = Vec::new();
                Writer::new(&mut json).object(|out| {
                    out.key("type").string("redacted_thinking");
                    out.key("data")
                        .escaped(&[inside("data").unwrap_or_default()]);
                });
                self.blocks.redacted(json, out)
            }
            ("thinking", Some(signature)) => {
                if !self.blocks.sign(signature, out)? {
                    let thinking = inside("thinking").unwrap_or_default();
                    self.blocks.say(Kind::Thinking, thinking, out)?;
                    self.blocks.sign(signature, out)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn call(
        &mut self,
        data: &[u8],
        function: Span,
        piece: Piece<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), TooMuch> {
        let name = text(data, function, "name").unwrap_or_default();
        let arguments = some(data, function, "arguments").or_else(|| some(data, function, "input"));
        let arguments = arguments.unwrap_or_default();
        let (mut escaped, mut object) = (Vec::new(), Vec::new());
        let (arguments, said) = match json::kind(data, arguments) {
            Some(json::Kind::String) => {
                let said = json::string(data, arguments).unwrap_or_default();
                (arguments.unquoted().of(data), said)
            }
            // Local servers write arguments as an object.
            Some(json::Kind::Object) => {
                json::compact_into(data, arguments, &mut object);
                let said = String::from_utf8_lossy(&object);
                json::escape_into(&said, &mut escaped);
                (escaped.as_slice(), said)
            }
            _ => (&[][..], Cow::Borrowed("")),
        };
        let piece = Piece {
            name: &name,
            arguments,
            text: &said,
            ..piece
        };
        self.blocks.call(&piece, out)
    }
}
