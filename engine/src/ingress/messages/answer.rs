//! A chat completion as a message.

use std::borrow::Cow;

use super::{EXTRA, THINKS, client_id, some, stop_reason, text, write_usage};
use crate::dialect::openai_usage;
use crate::ingress::Context;
use crate::json::{self, Kind, Span, Writer};
use crate::usage::Usage;

/// Writes a `chat.completion` as a `message`. Whatever is missing in it, a message comes of it.
pub(in crate::ingress) fn answer(chat: &[u8], context: &Context<'_>) -> Vec<u8> {
    let root = json::document(chat).unwrap_or_default();
    let choices = some(chat, root, "choices").unwrap_or_default();
    let choice = json::elements(chat, choices).next().unwrap_or_default();
    let said = Said {
        chat,
        message: some(chat, choice, "message").unwrap_or_default(),
        context,
    };
    let reason = text(chat, choice, "finish_reason").unwrap_or_default();
    let usage = some(chat, root, "usage").and_then(|usage| openai_usage(chat, usage));
    let usage = usage.unwrap_or(Usage {
        input: context.tokens_in,
        ..Usage::default()
    });
    let mut out = Vec::with_capacity(chat.len());
    Writer::new(&mut out).object(|out| {
        out.key("id").string(&message_id(
            text(chat, root, "id").as_deref(),
            context.exchange,
        ));
        out.key("type").string("message");
        out.key("role").string("assistant");
        let model = text(chat, root, "model").filter(|model| !model.is_empty());
        out.key("model")
            .string(model.as_deref().unwrap_or(context.model));
        out.key("content").array(|out| said.write_content(out));
        let refusal = said.refusal();
        let reason = stop_reason(&reason, said.has_calls(), refusal.is_some());
        out.key("stop_reason").string(reason);
        out.key("stop_sequence").null();
        if reason == "refusal" {
            out.key("stop_details").object(|out| {
                out.key("type").string("refusal");
                out.key("category").null();
                match &refusal {
                    Some(refusal) => out.key("explanation").string(refusal),
                    None => out.key("explanation").null(),
                }
            });
        }
        write_usage(&usage, out.key("usage"));
    });
    out
}

/// Anthropic's own id when there is one, else one of the exchange's.
pub(super) fn message_id(id: Option<&str>, exchange: &str) -> String {
    match id {
        Some(id) if id.starts_with("msg_") => id.to_owned(),
        _ => format!("msg_{exchange}"),
    }
}

struct Said<'a> {
    chat: &'a [u8],
    /// The choice's message.
    message: Span,
    context: &'a Context<'a>,
}

impl<'a> Said<'a> {
    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        text(self.chat, self.message, name).filter(|text| !text.is_empty())
    }

    fn refusal(&self) -> Option<Cow<'a, str>> {
        self.text("refusal")
    }

    fn calls(&self) -> impl Iterator<Item = Span> + use<'a> {
        let calls = some(self.chat, self.message, "tool_calls").unwrap_or_default();
        json::elements(self.chat, calls)
    }

    fn has_calls(&self) -> bool {
        self.calls().next().is_some() || self.old_call().is_some()
    }

    /// `function_call`, which some servers still answer with.
    fn old_call(&self) -> Option<Span> {
        some(self.chat, self.message, "function_call")
            .filter(|call| json::kind(self.chat, *call) == Some(Kind::Object))
    }

    fn write_content(&self, out: &mut Writer<'_>) {
        self.write_thinking(out);
        let said = match some(self.chat, self.message, "content") {
            Some(content) => joined(self.chat, content),
            None => Cow::Borrowed(""),
        };
        let said = match self.refusal() {
            Some(refusal) if said.is_empty() => refusal,
            _ => said,
        };
        if !said.is_empty() {
            out.object(|out| {
                out.key("type").string("text");
                out.key("text").string(&said);
            });
        }
        for (index, call) in self.calls().enumerate() {
            let function = some(self.chat, call, "function")
                .or_else(|| some(self.chat, call, "custom"))
                .unwrap_or_default();
            self.write_call(index, Some(call), function, out);
        }
        if let Some(call) = self.old_call() {
            self.write_call(0, None, call, out);
        }
    }

    /// Signed thinking has to come back with the results of calls, so it is always given. Other
    /// reasoning goes to clients that asked for thinking, without a signature: to none else would
    /// an answer that begins with it be a usual one.
    fn write_thinking(&self, out: &mut Writer<'_>) {
        let chat = self.chat;
        let wanted = self.context.echo == THINKS;
        let blocks = some(chat, self.message, "thinking_blocks").unwrap_or_default();
        let mut wrote = false;
        for block in json::elements(chat, blocks) {
            let redacted = text(chat, block, "data")
                .filter(|_| text(chat, block, "type").as_deref() == Some("redacted_thinking"));
            let signature = text(chat, block, "signature").unwrap_or_default();
            let thinking = text(chat, block, "thinking").unwrap_or_default();
            if let Some(data) = redacted {
                out.object(|out| {
                    out.key("type").string("redacted_thinking");
                    out.key("data").string(&data);
                });
                wrote = true;
            } else if !signature.is_empty() || (wanted && !thinking.is_empty()) {
                write_thinking(&thinking, &signature, out);
                wrote = true;
            }
        }
        let reasoning = self
            .text("reasoning_content")
            .or_else(|| self.text("reasoning"));
        if let Some(reasoning) = reasoning.filter(|_| wanted && !wrote) {
            write_thinking(&reasoning, "", out);
        }
    }

    fn write_call(&self, index: usize, call: Option<Span>, function: Span, out: &mut Writer<'_>) {
        let chat = self.chat;
        let id = call.and_then(|call| text(chat, call, "id"));
        let id = id.filter(|id| !id.is_empty());
        out.object(|out| {
            out.key("type").string("tool_use");
            match id {
                Some(id) => out.key("id").string(&client_id(&id)),
                None => out
                    .key("id")
                    .string(&made_up_id(self.context.exchange, index)),
            }
            out.key("name")
                .string(&text(chat, function, "name").unwrap_or_default());
            let arguments =
                some(chat, function, "arguments").or_else(|| some(chat, function, "input"));
            write_input(chat, arguments.unwrap_or_default(), out.key("input"));
            if let Some(extra) = call.and_then(|call| some(chat, call, EXTRA)) {
                out.key(EXTRA).copy(chat, extra);
            }
        });
    }
}

/// Id of a call that has none.
pub(super) fn made_up_id(exchange: &str, index: usize) -> String {
    format!("toolu_{exchange}_{index}")
}

fn write_thinking(thinking: &str, signature: &str, out: &mut Writer<'_>) {
    out.object(|out| {
        out.key("type").string("thinking");
        out.key("thinking").string(thinking);
        out.key("signature").string(signature);
    });
}

/// The text of a content that may be a list of parts.
pub(super) fn joined(chat: &[u8], content: Span) -> Cow<'_, str> {
    if let Some(text) = json::string(chat, content) {
        return text;
    }
    let parts = json::elements(chat, content).filter_map(|part| text(chat, part, "text"));
    Cow::Owned(parts.collect())
}

/// Arguments as the object that they spell, numbers as they are written. What spells no object (a
/// call that was cut off, a text) goes into one, so that the client can say what is wrong with it.
fn write_input(chat: &[u8], arguments: Span, out: &mut Writer<'_>) {
    let Some(said) = json::string(chat, arguments) else {
        return match json::kind(chat, arguments) {
            Some(Kind::Object) => out.copy(chat, arguments),
            _ => out.object(|_| {}),
        };
    };
    let inside = said.as_bytes();
    match json::document(inside) {
        Ok(root) if json::kind(inside, root) == Some(Kind::Object) => out.copy(inside, root),
        _ if said.trim().is_empty() => out.object(|_| {}),
        _ => out.object(|out| out.key("arguments").string(&said)),
    }
}
