//! A translated request for a provider that knows OpenAI's format and nothing beyond it.
//!
//! The middle form carries what only some formats can say (marks for caches, signed thoughts, how
//! to think). A chat client that writes such a member means it for its provider; here nobody chose
//! it for this one, so it is left out, or said in the provider's own way.

use std::borrow::Cow;

use super::openai::gate::{EFFORTS, Gate};
use super::parameters::DroppedNames;
use super::{Encoded, Target, encode};
use crate::cache_key::sha256_hex;
use crate::json::{self, Edits, Kind, Span, Writer};
use crate::request::{ChatRequest, RequestError};
use crate::wire::Dialect;

/// Longest `user` that OpenAI takes, characters.
const USER_CHARS_MAX: usize = 64;

/// Writes a request that was translated into the middle form.
///
/// # Errors
/// As [`encode`].
pub fn encode_translated<'a>(
    target: &Target<'_>,
    request: &ChatRequest,
    body: &'a [u8],
) -> Result<Encoded<'a>, RequestError> {
    let is_plain = match target.dialect {
        Dialect::Anthropic | Dialect::Bedrock | Dialect::Gemini | Dialect::Vertex => false,
        // Who serves Claude in this format (OpenRouter, LiteLLM) takes what Claude takes.
        _ => !target.model.contains("claude"),
    };
    if !is_plain {
        return encode(target, request, body, lowered_cap(target, request, body));
    }
    let mut plain = Plain {
        body,
        root: request.root,
        dialect: target.dialect,
        gate: Gate::of_model(target.dialect, target.model),
        output_max: target.output_max,
        dropped: DroppedNames::default(),
    };
    let mut out = Vec::with_capacity(body.len().saturating_add(64));
    Writer::new(&mut out).object(|out| plain.write(out));
    let request = ChatRequest::parse(&out)?;
    let encoded = encode(target, &request, &out, Edits::default())?;
    let mut dropped = encoded.dropped;
    for name in plain.dropped.into_names() {
        if !dropped.contains(&name) {
            dropped.push(name);
        }
    }
    Ok(Encoded {
        path: encoded.path,
        headers: encoded.headers,
        body: Cow::Owned(encoded.body.into_owned()),
        dropped,
    })
}

/// Never more than the model can give, which clients of other formats do not know.
fn lowered_cap(target: &Target<'_>, request: &ChatRequest, body: &[u8]) -> Edits {
    let mut edits = Edits::default();
    let most = target.output_max;
    if most > 0 && request.output_cap.is_some_and(|cap| cap > most) {
        for name in ["max_tokens", "max_completion_tokens"] {
            if json::member(body, request.root, name).is_some() {
                edits.set_member(body, request.root, name, most.to_string());
            }
        }
    }
    edits
}

struct Plain<'a> {
    body: &'a [u8],
    root: Span,
    dialect: Dialect,
    gate: Gate,
    output_max: u64,
    dropped: DroppedNames,
}

impl<'a> Plain<'a> {
    fn get(&self, name: &str) -> Option<Span> {
        json::member(self.body, self.root, name)
            .filter(|value| json::kind(self.body, *value) != Some(Kind::Null))
    }

    fn text(&self, object: Span, name: &str) -> Option<Cow<'a, str>> {
        json::string(self.body, json::member(self.body, object, name)?)
    }

    fn write(&mut self, out: &mut Writer<'_>) {
        let body = self.body;
        let effort = self.effort();
        let reasons = match effort {
            Some(effort) => effort != "none",
            None => self.gate.reasons,
        };
        for member in json::members(body, self.root) {
            let name = json::unescaped(member.key.of(body)).unwrap_or_default();
            let value = member.value;
            match &*name {
                "messages" => self.write_messages(value, out.key("messages")),
                "tools" => out.key("tools").array(|out| {
                    for tool in json::elements(body, value) {
                        write_without(body, tool, &["cache_control"], out);
                    }
                }),
                // How a cache is to be used changes no answer.
                "thinking" | "reasoning_effort" | "cache_control" => {}
                "max_tokens" | "max_completion_tokens" => self.write_cap(&name, value, out),
                "user" => self.write_user(value, out),
                "top_k" if self.gate.is_own => self.dropped.add(&name),
                "temperature" | "top_p"
                    if self.gate.is_own && reasons && !is_one(value.of(body)) =>
                {
                    self.dropped.add(&name);
                }
                "stop" if self.gate.is_own && self.gate.efforts.is_some() => {
                    self.dropped.add(&name);
                }
                _ => out.key(&name).copy(body, value),
            }
        }
        if let Some(effort) = effort {
            out.key("reasoning_effort").string(effort);
        }
    }

    /// The effort in the model's own words; none for a model that takes none, or may.
    fn effort(&mut self) -> Option<&'static str> {
        let asked = self.get("reasoning_effort");
        let asked = asked.and_then(|effort| json::string(self.body, effort));
        let mut wanted = asked
            .as_ref()
            .and_then(|asked| EFFORTS.iter().position(|effort| effort == asked));
        let mut name = "reasoning_effort";
        if let Some(thinking) = self.get("thinking") {
            let budget = json::member(self.body, thinking, "budget_tokens");
            let budget = budget.and_then(|budget| json::number_u64(self.body, budget));
            match (&*self.text(thinking, "type").unwrap_or_default(), budget) {
                ("disabled", _) => wanted = Some(0),
                ("enabled", budget) if wanted.is_none() => {
                    name = "thinking";
                    wanted = Some(match budget.unwrap_or_default() {
                        ..2048 => 2,
                        2048..8192 => 3,
                        _ => 4,
                    });
                }
                _ => {}
            }
        }
        let has_tools = self
            .get("tools")
            .is_some_and(|tools| json::elements(self.body, tools).next().is_some());
        if has_tools && self.gate.calls_without_reasoning {
            if wanted.is_some_and(|wanted| wanted > 0) {
                self.dropped.add(name);
            }
            return self.gate.effort(0);
        }
        let effort = self.gate.effort(wanted?);
        if effort.is_none() && wanted > Some(0) {
            self.dropped.add(name);
        }
        effort
    }

    /// As [`lowered_cap`].
    fn write_cap(&self, name: &str, value: Span, out: &mut Writer<'_>) {
        match json::number_u64(self.body, value) {
            Some(cap) if self.output_max > 0 => out.key(name).number(cap.min(self.output_max)),
            _ => out.key(name).copy(self.body, value),
        }
    }

    /// Claude Code names its users at a length that OpenAI refuses.
    fn write_user(&self, value: Span, out: &mut Writer<'_>) {
        match json::string(self.body, value) {
            Some(user) if self.gate.is_own && user.chars().count() > USER_CHARS_MAX => {
                out.key("user").string(&sha256_hex(user.as_bytes()));
            }
            _ => out.key("user").copy(self.body, value),
        }
    }

    fn write_messages(&self, messages: Span, out: &mut Writer<'_>) {
        let body = self.body;
        out.array(|out| {
            for message in json::elements(body, messages) {
                out.object(|out| self.write_message(message, out));
            }
        });
    }

    fn write_message(&self, message: Span, out: &mut Writer<'_>) {
        let body = self.body;
        for member in json::members(body, message) {
            let name = json::unescaped(member.key.of(body)).unwrap_or_default();
            match &*name {
                "content" => self.write_content(member.value, out.key("content")),
                "tool_calls" if !self.gate.is_google => out.key("tool_calls").array(|out| {
                    for call in json::elements(body, member.value) {
                        write_without(body, call, &["extra_content"], out);
                    }
                }),
                "thinking_blocks" => {}
                "reasoning_content"
                    if !self.gate.takes_reasoning || self.dialect != Dialect::Openai => {}
                _ => out.key(&name).copy(body, member.value),
            }
        }
    }

    /// Texts become one text: not every server knows lists.
    fn write_content(&self, content: Span, out: &mut Writer<'_>) {
        let body = self.body;
        if json::kind(body, content) != Some(Kind::Array) {
            return out.copy(body, content);
        }
        let texts: Option<Vec<Cow<'_, str>>> = json::elements(body, content)
            .map(|part| match self.text(part, "type").as_deref() {
                Some("text") => self.text(part, "text"),
                _ => None,
            })
            .collect();
        if let Some(texts) = texts {
            let said: Vec<&str> = texts
                .iter()
                .map(|text| &**text)
                .filter(|text| !text.trim().is_empty())
                .collect();
            return out.string(&said.join("\n\n"));
        }
        out.array(|out| {
            for part in json::elements(body, content) {
                write_without(body, part, &["cache_control"], out);
            }
        });
    }
}

fn is_one(number: &[u8]) -> bool {
    let number = std::str::from_utf8(number).ok();
    number.and_then(|number| number.parse::<f64>().ok()) == Some(1.0)
}

/// Writes an object but for some of its members.
fn write_without(body: &[u8], object: Span, names: &[&str], out: &mut Writer<'_>) {
    if json::kind(body, object) != Some(Kind::Object) {
        return out.copy(body, object);
    }
    out.object(|out| {
        for member in json::members(body, object) {
            let name = json::unescaped(member.key.of(body)).unwrap_or_default();
            if !names.contains(&&*name) {
                out.key(&name).copy(body, member.value);
            }
        }
    });
}
