//! A request for those that take OpenAI's format with exceptions. What becomes of each member is
//! the table's word ([`parameters`]); what has a shape of its own is written here.

use std::borrow::Cow;

use super::{some, text};
use crate::cache_key::sha256_hex;
use crate::dialect::openai::PATH;
use crate::dialect::parameters::{self, DroppedNames, Fate};
use crate::dialect::tools::{Choice, Tools};
use crate::dialect::{Encoded, Target};
use crate::json::{self, Kind, Span, Writer};
use crate::request::{ChatRequest, Message, RequestError, Role};
use crate::wire::Dialect;

/// Length of a call id at Mistral, letters and digits.
const MISTRAL_ID_CHARS: usize = 9;

pub(in crate::dialect) fn encode(
    target: &Target<'_>,
    request: &ChatRequest,
    body: &[u8],
    dropped: DroppedNames,
) -> Result<Encoded<'static>, RequestError> {
    let mut mapping = Mapping {
        target,
        request,
        body,
        tools: Tools::read(body, request.root),
        dropped,
    };
    mapping.check_messages()?;
    let mut out = Vec::with_capacity(body.len().saturating_add(256));
    Writer::new(&mut out).object(|out| mapping.write(out));
    Ok(Encoded {
        path: Cow::Borrowed(PATH),
        body: Cow::Owned(out),
        headers: Vec::new(),
        dropped: mapping.dropped.into_names(),
    })
}

struct Mapping<'a> {
    target: &'a Target<'a>,
    request: &'a ChatRequest,
    body: &'a [u8],
    tools: Tools,
    dropped: DroppedNames,
}

impl Mapping<'_> {
    /// # Errors
    /// A message that the provider has no role for, an image that it cannot fetch, an order that it
    /// does not take.
    fn check_messages(&self) -> Result<(), RequestError> {
        let dialect = self.target.dialect;
        let refuse = |place: String, why: &str| Err(RequestError::invalid(place, why));
        for (index, message) in self.request.messages.iter().enumerate() {
            let calls = some(self.body, message.span, "tool_calls").is_some();
            let knows_role = match message.role {
                Role::Function | Role::Other => false,
                Role::Tool => dialect != Dialect::Perplexity,
                Role::Assistant => dialect != Dialect::Perplexity || !calls,
                Role::Developer | Role::System | Role::User => true,
            };
            if !knows_role {
                let place = format!("messages[{index}].role");
                return refuse(place, "this provider knows no such messages");
            }
            if dialect == Dialect::Ollama && self.has_linked_image(*message) {
                let place = format!("messages[{index}].content");
                return refuse(place, "this provider takes images as data URLs only");
            }
        }
        let last = self.request.messages.last().map(|message| message.role);
        if dialect == Dialect::Perplexity && last == Some(Role::Assistant) {
            return refuse("messages".to_owned(), "the last message must be the user's");
        }
        Ok(())
    }

    fn has_linked_image(&self, message: Message) -> bool {
        let content = json::member(self.body, message.span, "content").unwrap_or_default();
        json::elements(self.body, content).any(|part| {
            let image = json::member(self.body, part, "image_url");
            let url = image.and_then(|image| {
                text(self.body, image, "url").or_else(|| json::string(self.body, image))
            });
            url.is_some_and(|url| !url.starts_with("data:"))
        })
    }

    fn write(&mut self, out: &mut Writer<'_>) {
        let body = self.body;
        for member in json::members(body, self.request.root) {
            let Some(name) = json::unescaped(member.key.of(body)) else {
                continue;
            };
            let is_last = json::member(body, self.request.root, &name) == Some(member.value);
            if !is_last || json::kind(body, member.value) == Some(Kind::Null) {
                continue;
            }
            match &*name {
                "model" => out.key("model").string(self.target.model),
                "messages" => self.write_messages(out.key("messages")),
                "tools" => self.write_tools(member.value, out),
                // Written below, or said by another member.
                "max_tokens" | "max_completion_tokens" | "tool_choice" | "stream_options" => {}
                "service_tier" => self.write_service_tier(member.value, out),
                _ => match parameters::fate(self.target.dialect, &name) {
                    Fate::Forwarded => out.key(&name).copy(body, member.value),
                    Fate::Renamed(new) => out.key(new).copy(body, member.value),
                    _ => {}
                },
            }
        }
        if let Some(cap) = self.request.output_cap.or(self.target.output_cap) {
            out.key("max_tokens").number(cap);
        }
        self.write_tool_choice(out);
        if self.request.stream && self.target.dialect == Dialect::Ollama {
            out.key("stream_options")
                .object(|out| out.key("include_usage").boolean(true));
        }
    }

    /// Mistral's names for OpenAI's tiers.
    fn write_service_tier(&mut self, tier: Span, out: &mut Writer<'_>) {
        if self.target.dialect != Dialect::Mistral {
            return;
        }
        match json::string(self.body, tier).as_deref() {
            Some("auto") => out.key("service_tier").string("auto"),
            Some("default" | "standard_only") => out.key("service_tier").string("standard_only"),
            _ => self.dropped.add("service_tier"),
        }
    }

    fn write_tools(&mut self, list: Span, out: &mut Writer<'_>) {
        if self.tools.is_empty() || self.target.dialect == Dialect::Perplexity {
            return;
        }
        if self.tools.allowed.is_none() {
            return out.key("tools").copy(self.body, list);
        }
        out.key("tools").array(|out| {
            for (tool, _) in self.tools.offered(self.body) {
                out.copy(self.body, tool);
            }
        });
    }

    fn write_tool_choice(&mut self, out: &mut Writer<'_>) {
        if self.target.dialect != Dialect::Mistral || self.tools.is_empty() {
            return;
        }
        let mode = match &self.tools.choice {
            None => return,
            Some(Choice::Any) => "required",
            Some(Choice::Auto) => "auto",
            Some(Choice::Never) => "none",
            Some(Choice::Tool(name)) => {
                return out.key("tool_choice").object(|out| {
                    out.key("type").string("function");
                    out.key("function")
                        .object(|out| out.key("name").string(name));
                });
            }
        };
        out.key("tool_choice").string(mode);
    }

    fn write_messages(&mut self, out: &mut Writer<'_>) {
        match self.target.dialect {
            Dialect::Perplexity => out.array(|out| self.write_turns(out)),
            Dialect::Mistral => out.array(|out| {
                let named = |it: &Message| it.has_name && it.role != Role::Tool;
                if self.request.messages.iter().any(named) {
                    self.dropped.add("messages[].name");
                }
                let count = self.request.messages.len();
                for (index, message) in self.request.messages.iter().enumerate() {
                    let is_last = index.saturating_add(1) == count;
                    out.object(|out| self.write_for_mistral(*message, is_last, out));
                }
            }),
            _ => out.array(|out| {
                for message in &self.request.messages {
                    out.object(|out| {
                        out.key("role").string(role_name(message.role));
                        self.write_content(message.span, out);
                        super::copy_others(self.body, message.span, &["role", "content"], out);
                    });
                }
            }),
        }
    }

    /// Mistral answers `422` to a member that it does not know, in messages too.
    fn write_for_mistral(&self, message: Message, is_last: bool, out: &mut Writer<'_>) {
        let body = self.body;
        out.key("role").string(role_name(message.role));
        self.write_content(message.span, out);
        if message.role == Role::Tool {
            if let Some(name) = some(body, message.span, "name") {
                out.key("name").copy(body, name);
            }
            let id = text(body, message.span, "tool_call_id").unwrap_or_default();
            out.key("tool_call_id").string(&mistral_id(&id));
        }
        if message.role != Role::Assistant {
            return;
        }
        let calls = some(body, message.span, "tool_calls").unwrap_or_default();
        if json::elements(body, calls).next().is_some() {
            out.key("tool_calls").array(|out| {
                for call in json::elements(body, calls) {
                    out.object(|out| {
                        let id = text(body, call, "id").unwrap_or_default();
                        out.key("id").string(&mistral_id(&id));
                        out.key("type").string("function");
                        if let Some(function) = json::member(body, call, "function") {
                            out.key("function").copy(body, function);
                        }
                    });
                }
            });
        } else if is_last {
            // A last assistant message is a beginning to go on from, and has to say so.
            out.key("prefix").boolean(true);
        }
    }

    fn write_content(&self, message: Span, out: &mut Writer<'_>) {
        let body = self.body;
        match json::member(body, message, "content") {
            Some(content) if json::kind(body, content) == Some(Kind::Array) => {
                out.key("content").array(|out| {
                    for part in json::elements(body, content) {
                        write_part(body, part, out);
                    }
                });
            }
            Some(content) => out.key("content").copy(body, content),
            None => out.key("content").string(""),
        }
    }

    /// Perplexity wants one system message first, then user and assistant in turns.
    fn write_turns(&self, out: &mut Writer<'_>) {
        let mut turns: Vec<(&'static str, Vec<Span>)> = Vec::new();
        for message in &self.request.messages {
            let begun = turns.iter().any(|(role, _)| *role != "system");
            let role = match message.role {
                Role::Assistant => "assistant",
                Role::Developer | Role::System if !begun => "system",
                _ => "user",
            };
            let Some(content) = some(self.body, message.span, "content") else {
                continue;
            };
            match turns.last_mut() {
                Some((last, contents)) if *last == role => contents.push(content),
                _ => turns.push((role, vec![content])),
            }
        }
        for (role, contents) in &turns {
            out.object(|out| {
                out.key("role").string(role);
                match self.joined(contents) {
                    Some(text) => out.key("content").string(&text),
                    None => out.key("content").array(|out| {
                        for content in contents {
                            self.write_parts(*content, out);
                        }
                    }),
                }
            });
        }
    }

    /// Contents that are nothing but text, as one.
    fn joined(&self, contents: &[Span]) -> Option<String> {
        let mut joined = String::new();
        let mut add = |piece: &str| {
            if !joined.is_empty() && !piece.trim().is_empty() {
                joined.push_str("\n\n");
            }
            joined.push_str(piece);
        };
        for content in contents {
            match json::string(self.body, *content) {
                Some(text) => add(&text),
                None => {
                    for part in json::elements(self.body, *content) {
                        let piece = text(self.body, part, "text");
                        add(&piece.or_else(|| text(self.body, part, "refusal"))?);
                    }
                }
            }
        }
        Some(joined)
    }

    fn write_parts(&self, content: Span, out: &mut Writer<'_>) {
        if json::kind(self.body, content) != Some(Kind::String) {
            for part in json::elements(self.body, content) {
                write_part(self.body, part, out);
            }
            return;
        }
        out.object(|out| {
            out.key("type").string("text");
            out.key("text").copy(self.body, content);
        });
    }
}

/// A part of a content. Only OpenAI knows refusals as parts, and members besides a text are
/// unknown to those that refuse what they do not know.
fn write_part(body: &[u8], part: Span, out: &mut Writer<'_>) {
    match text(body, part, "refusal").or_else(|| text(body, part, "text")) {
        Some(text) => out.object(|out| {
            out.key("type").string("text");
            out.key("text").string(&text);
        }),
        None => out.copy(body, part),
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Assistant => "assistant",
        Role::Developer | Role::System => "system",
        Role::Tool => "tool",
        Role::Function | Role::Other | Role::User => "user",
    }
}

/// A call id as Mistral takes it. Call and result get the same one without any memory, and
/// different ids differ but for a chance of one in 10^16.
fn mistral_id(id: &str) -> Cow<'_, str> {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if id.len() == MISTRAL_ID_CHARS && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Cow::Borrowed(id);
    }
    let hash = sha256_hex(id.as_bytes());
    let head = hash.get(..16).unwrap_or_default();
    let mut number = u64::from_str_radix(head, 16).unwrap_or_default();
    let letter = |_| {
        let letter = LETTERS.get((number % 62) as usize).copied().unwrap_or(b'0');
        number /= 62;
        char::from(letter)
    };
    Cow::Owned((0..MISTRAL_ID_CHARS).map(letter).collect())
}
