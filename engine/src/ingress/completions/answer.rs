//! A complete answer.

use super::{Context, Echo, finish_reason, logprobs, said, some, write_head, write_text};
use crate::json::{self, Span, Writer};

/// Members of a chat's answer that have a place of their own here, or none.
const KNOWN: [&str; 7] = [
    "choices", "created", "error", "id", "model", "object", "usage",
];

pub(in crate::ingress) fn answer(chat: &[u8], context: &Context<'_>) -> Vec<u8> {
    let root = Span {
        start: 0,
        end: chat.len(),
    };
    let echo = Echo::read(context);
    let mut answer = Vec::with_capacity(chat.len());
    Writer::new(&mut answer).object(|out| {
        write_head(chat, root, context, out);
        out.key("choices").array(|out| {
            let choices = json::member(chat, root, "choices").unwrap_or_default();
            for (position, choice) in json::elements(chat, choices).enumerate() {
                out.object(|out| write_choice(chat, choice, position, &echo, out));
            }
        });
        if let Some(usage) = some(chat, root, "usage") {
            out.key("usage").copy(chat, usage);
        }
        for member in json::members(chat, root) {
            let name = json::unescaped(member.key.of(chat)).unwrap_or_default();
            if !KNOWN.contains(&&*name) {
                out.key(&name).copy(chat, member.value);
            }
        }
    });
    answer
}

fn write_choice(chat: &[u8], choice: Span, position: usize, echo: &Echo, out: &mut Writer<'_>) {
    let message = json::member(chat, choice, "message").unwrap_or_default();
    write_text(chat, echo.prompt.as_deref(), &said(chat, message), out);
    match some(chat, choice, "index") {
        Some(index) => out.key("index").copy(chat, index),
        None => out.key("index").number(position as u64),
    }
    let start = echo.prompt.as_deref().map_or(0, logprobs::chars);
    logprobs::write(chat, choice, start, out.key("logprobs"));
    out.key("finish_reason")
        .string(finish_reason(chat, choice).unwrap_or("stop"));
}
