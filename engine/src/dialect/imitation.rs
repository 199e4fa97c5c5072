//! OpenAI's format as others write it: read with patience, written as OpenAI would.
//!
//! Azure, Mistral, Ollama and Perplexity speak it with differences that break clients: no id, calls
//! without an index, contents in parts, usage wherever it pleases. What they take is a table
//! ([`super::parameters`]); what they send goes through one reader that expects all of it.

use std::borrow::Cow;

use crate::json::{self, Kind, Span, Writer};

mod answer;
mod request;
mod stream;

pub(super) use answer::decode_answer;
pub(super) use request::encode;
pub(super) use stream::Stream;

/// A provider says that generating failed in a choice's finish reason (Mistral).
const FAILED: &str = "error";

/// A member that says something.
fn some(body: &[u8], object: Span, name: &str) -> Option<Span> {
    json::member(body, object, name).filter(|value| json::kind(body, *value) != Some(Kind::Null))
}

fn text<'a>(body: &'a [u8], object: Span, name: &str) -> Option<Cow<'a, str>> {
    json::string(body, json::member(body, object, name)?)
}

/// OpenAI's reason for an end; `None` while there is none. Some send `""` until the end.
fn finish_reason(reason: &str, has_calls: bool) -> Option<&'static str> {
    Some(match reason {
        "" => return None,
        "length" | "max_tokens" | "model_length" => "length",
        "content_filter" => "content_filter",
        "function_call" => "function_call",
        // A reason nobody knows is an ordinary end, and an end with calls is one for them.
        _ if has_calls => "tool_calls",
        "tool_calls" => "tool_calls",
        _ => "stop",
    })
}

/// Content and reasoning of a message or delta, whatever shape they have.
#[derive(Debug, Default)]
struct Said<'a> {
    content: Option<Cow<'a, str>>,
    reasoning: Option<Cow<'a, str>>,
}

impl<'a> Said<'a> {
    fn read(body: &'a [u8], message: Span) -> Said<'a> {
        // OpenRouter and Groq call it `reasoning`.
        let reasoning = text(body, message, "reasoning_content")
            .filter(|it| !it.is_empty())
            .or_else(|| text(body, message, "reasoning"));
        let mut said = Said {
            content: None,
            reasoning,
        };
        let Some(content) = json::member(body, message, "content") else {
            return said;
        };
        match json::kind(body, content) {
            Some(Kind::String) => said.content = json::string(body, content),
            Some(Kind::Array) => said.read_parts(body, content),
            _ => {}
        }
        said
    }

    /// Mistral: `[{type:thinking,thinking:[{type:text,text}]},{type:text,text}]`.
    fn read_parts(&mut self, body: &[u8], parts: Span) {
        let (mut content, mut reasoning) = (String::new(), String::new());
        for part in json::elements(body, parts) {
            if let Some(thinking) = json::member(body, part, "thinking") {
                match json::string(body, thinking) {
                    Some(thinking) => reasoning.push_str(&thinking),
                    None => {
                        for piece in json::elements(body, thinking) {
                            reasoning.push_str(&text(body, piece, "text").unwrap_or_default());
                        }
                    }
                }
            } else if let Some(piece) = text(body, part, "text") {
                content.push_str(&piece);
            }
        }
        if !content.is_empty() {
            self.content = Some(Cow::Owned(content));
        }
        if self.reasoning.is_none() && !reasoning.is_empty() {
            self.reasoning = Some(Cow::Owned(reasoning));
        }
    }

    fn write_reasoning(&self, out: &mut Writer<'_>) {
        if let Some(reasoning) = self.reasoning.as_deref().filter(|it| !it.is_empty()) {
            out.key("reasoning_content").string(reasoning);
        }
    }
}

/// Arguments of a call as text; local servers write an object. `None` where there are none.
fn arguments(body: &[u8], function: Span) -> Option<Cow<'_, str>> {
    let value = some(body, function, "arguments")?;
    if let Some(text) = json::string(body, value) {
        return Some(text).filter(|text| !text.is_empty());
    }
    let mut compact = Vec::new();
    json::compact_into(body, value, &mut compact);
    String::from_utf8(compact).ok().map(Cow::Owned)
}

/// Copies the members of `object` that are not among `known`.
fn copy_others(body: &[u8], object: Span, known: &[&str], out: &mut Writer<'_>) {
    for member in json::members(body, object) {
        if let Some(name) = json::unescaped(member.key.of(body))
            && !known.contains(&&*name)
        {
            out.key(&name).copy(body, member.value);
        }
    }
}
