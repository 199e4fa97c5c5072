//! A complete message as a chat completion.

use super::{Figures, finish_reason};
use crate::dialect::openai::write_usage;
use crate::dialect::{Answer, DecodeError, failure};
use crate::json::{self, Kind, Span, Writer};
use crate::wire::Dialect;

pub(in crate::dialect) fn decode_answer(
    model_asked: &str,
    created_s: u64,
    body: &[u8],
) -> Result<Answer, DecodeError> {
    let root = json::document(body).map_err(|_| DecodeError::Invalid)?;
    let text = |object: Span, name: &str| {
        let value = json::member(body, object, name)?;
        json::string(body, value)
    };
    let kind = text(root, "type");
    if kind.as_deref() == Some("error") || json::member(body, root, "error").is_some() {
        let error = failure::reported(body, root).unwrap_or_default();
        let answer = failure::reported_answer(Dialect::Anthropic, &error);
        return Err(DecodeError::Reported(answer));
    }
    let content = json::member(body, root, "content").ok_or(DecodeError::Invalid)?;
    if json::kind(body, content) != Some(Kind::Array) {
        return Err(DecodeError::Invalid);
    }
    let message = Message::read(body, content);
    let reason = text(root, "stop_reason").unwrap_or_default();
    let usage = json::member(body, root, "usage").and_then(|usage| {
        Figures::default()
            .updated(Figures::read(body, usage))
            .usage()
    });
    let refusal = json::member(body, root, "stop_details")
        .and_then(|details| text(details, "explanation"))
        .filter(|_| reason == "refusal");
    let mut out = Vec::with_capacity(body.len());
    Writer::new(&mut out).object(|out| {
        out.key("id").string(&text(root, "id").unwrap_or_default());
        out.key("object").string("chat.completion");
        out.key("created").number(created_s);
        out.key("model")
            .string(text(root, "model").as_deref().unwrap_or(model_asked));
        out.key("choices").array(|out| {
            out.object(|out| {
                out.key("index").number(0);
                out.key("message")
                    .object(|out| message.write(body, refusal.as_deref(), out));
                out.key("logprobs").null();
                let reason = finish_reason(&reason, !message.calls.is_empty());
                out.key("finish_reason").string(reason);
            });
        });
        if let Some(usage) = usage {
            write_usage(&usage, out.key("usage"));
        }
    });
    let text = if usage.is_none() {
        message.delivered(body)
    } else {
        String::new()
    };
    Ok(Answer {
        body: out,
        usage,
        text,
        bare_root: None,
    })
}

#[derive(Default)]
struct Message {
    text: String,
    reasoning: String,
    /// Blocks of type thinking and redacted_thinking, to come back unchanged.
    thinking: Vec<Span>,
    /// Blocks of type tool_use.
    calls: Vec<Span>,
}

impl Message {
    /// Sorts the blocks. Those of the provider's own tools, and of types nobody knows, are left out.
    fn read(body: &[u8], content: Span) -> Message {
        let mut message = Message::default();
        for block in json::elements(body, content) {
            let text = |name: &str| {
                let value = json::member(body, block, name)?;
                json::string(body, value)
            };
            match text("type").as_deref() {
                Some("text") => message.text.push_str(&text("text").unwrap_or_default()),
                Some("thinking") => {
                    message
                        .reasoning
                        .push_str(&text("thinking").unwrap_or_default());
                    message.thinking.push(block);
                }
                Some("redacted_thinking") => message.thinking.push(block),
                Some("tool_use") => message.calls.push(block),
                _ => {}
            }
        }
        message
    }

    fn write(&self, body: &[u8], refusal: Option<&str>, out: &mut Writer<'_>) {
        out.key("role").string("assistant");
        if self.text.is_empty() && !self.calls.is_empty() {
            out.key("content").null();
        } else {
            out.key("content").string(&self.text);
        }
        match refusal {
            Some(refusal) => out.key("refusal").string(refusal),
            None => out.key("refusal").null(),
        }
        if !self.reasoning.is_empty() {
            out.key("reasoning_content").string(&self.reasoning);
        }
        if !self.thinking.is_empty() {
            out.key("thinking_blocks").array(|out| {
                for block in &self.thinking {
                    out.copy(body, *block);
                }
            });
        }
        if !self.calls.is_empty() {
            out.key("tool_calls").array(|out| {
                for block in &self.calls {
                    write_call(body, *block, out);
                }
            });
        }
    }

    fn delivered(&self, body: &[u8]) -> String {
        let mut text = format!("{}{}", self.reasoning, self.text);
        for call in &self.calls {
            text.push_str(&arguments(body, *call));
        }
        text
    }
}

fn write_call(body: &[u8], block: Span, out: &mut Writer<'_>) {
    let text = |name: &str| {
        let value = json::member(body, block, name)?;
        json::string(body, value)
    };
    out.object(|out| {
        out.key("id").string(&text("id").unwrap_or_default());
        out.key("type").string("function");
        out.key("function").object(|out| {
            out.key("name").string(&text("name").unwrap_or_default());
            out.key("arguments").string(&arguments(body, block));
        });
    });
}

/// The call's input as text. Its numbers are copied, never read: they may not fit a float.
fn arguments(body: &[u8], block: Span) -> String {
    let mut arguments = Vec::new();
    if let Some(input) = json::member(body, block, "input")
        && json::kind(body, input) == Some(Kind::Object)
    {
        json::compact_into(body, input, &mut arguments);
    }
    match String::from_utf8(arguments) {
        Ok(arguments) if !arguments.is_empty() => arguments,
        _ => "{}".to_owned(),
    }
}
