//! Items of the input as messages.
//!
//! Here every step of a turn is an item of its own. There an assistant's reasoning, text and calls
//! are one message, and the results of all its calls follow it at once.

use std::borrow::Cow;

use super::parts::{self, Part};
use super::{is_string, some, string, text};
use crate::json::{self, Kind, Span, Writer};
use crate::limits::MESSAGES_MAX;
use crate::request::RequestError;

/// The messages of a request under translation.
pub(super) struct Messages<'a> {
    body: &'a [u8],
    /// `input`.
    input: Span,
    out: Vec<u8>,
    count: usize,
    turn: Turn,
    /// What the latest results hold besides text, with the ids of their calls.
    media: Vec<(Span, Vec<Part>)>,
    /// The model works on the last thing that the user said: what a model wants back of its
    /// reasoning it wants from here on.
    is_last_turn: bool,
}

/// A message of the assistant that is not complete yet.
#[derive(Default)]
struct Turn {
    content: Vec<Part>,
    /// Items.
    calls: Vec<Span>,
    reasoning: String,
    /// Elements of a list.
    thinking: Vec<u8>,
}

fn invalid<T>(place: String, what: &str) -> Result<T, RequestError> {
    let message = format!("'{place}' {what}");
    Err(RequestError::invalid(place, message))
}

impl<'a> Messages<'a> {
    pub(super) fn new(body: &'a [u8], input: Span) -> Messages<'a> {
        Messages {
            body,
            input,
            out: Vec::new(),
            count: 0,
            turn: Turn::default(),
            media: Vec::new(),
            is_last_turn: false,
        }
    }

    /// A message that is one text.
    pub(super) fn text(&mut self, role: &str, text: Span) -> Result<(), RequestError> {
        let body = self.body;
        self.message(role, |out| out.key("content").copy(body, text))
    }

    /// All items of the input.
    pub(super) fn items(&mut self) -> Result<(), RequestError> {
        let body = self.body;
        let is_users = |item: &Span| text(body, *item, "role").as_deref() == Some("user");
        let last_user = json::elements(body, self.input)
            .enumerate()
            .filter(|(_, item)| is_users(item))
            .last()
            .map(|(index, _)| index);
        for (index, item) in json::elements(body, self.input).enumerate() {
            self.is_last_turn = last_user.is_none_or(|last| index > last);
            self.item(index, item)?;
        }
        Ok(())
    }

    /// The elements of `messages`.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, RequestError> {
        self.end_turn()?;
        self.end_results()?;
        if self.count == 0 {
            return invalid("input".to_owned(), "must say something");
        }
        Ok(self.out)
    }

    fn item(&mut self, index: usize, item: Span) -> Result<(), RequestError> {
        let body = self.body;
        let place = |member: &str| format!("input[{index}]{member}");
        if json::kind(body, item) != Some(Kind::Object) {
            return invalid(place(""), "must be an object");
        }
        let kind = match text(body, item, "type") {
            Some(kind) => kind,
            None if some(body, item, "role").is_some() => Cow::Borrowed("message"),
            None if some(body, item, "id").is_some() => Cow::Borrowed("item_reference"),
            None => return invalid(place(".type"), "is required"),
        };
        match &*kind {
            "message" => self.said(index, item),
            "function_call" | "custom_tool_call" => self.call(index, item),
            "function_call_output" | "custom_tool_call_output" => self.result(index, item),
            "reasoning" => self.reasoning(item),
            "item_reference" => {
                let message = "This provider keeps no state between requests: send the item \
                               itself in place of a reference to it";
                Err(RequestError::invalid(place(""), message))
            }
            _ => invalid(
                place(".type"),
                "is no type of item that this provider takes",
            ),
        }
    }

    fn said(&mut self, index: usize, item: Span) -> Result<(), RequestError> {
        let body = self.body;
        let role = match text(body, item, "role").as_deref() {
            Some("assistant") => None,
            Some("user") => Some("user"),
            // Servers that imitate OpenAI may know the older name only, and OpenAI takes both.
            Some("developer" | "system") => Some("system"),
            _ => {
                let what = "must be user, assistant, system or developer";
                return invalid(format!("input[{index}].role"), what);
            }
        };
        let place = format!("input[{index}].content");
        let parts = parts::read(body, json::member(body, item, "content"), &place)?;
        let Some(role) = role else {
            return self.assistant(parts);
        };
        self.end_turn()?;
        self.end_results()?;
        self.message(role, |out| {
            parts::write(body, &parts, out.key("content"));
        })
    }

    fn assistant(&mut self, parts: Vec<Part>) -> Result<(), RequestError> {
        self.end_results()?;
        if self.turn.is_text_only() {
            self.end_turn()?;
        }
        self.turn.content.extend(parts);
        Ok(())
    }

    fn call(&mut self, index: usize, item: Span) -> Result<(), RequestError> {
        for name in ["call_id", "name"] {
            self.required(index, item, name)?;
        }
        self.end_results()?;
        self.turn.calls.push(item);
        Ok(())
    }

    fn required(&self, index: usize, item: Span, name: &str) -> Result<Span, RequestError> {
        // Two quotes are an empty string.
        match string(self.body, item, name).filter(|value| value.len() > 2) {
            Some(value) => Ok(value),
            None => invalid(
                format!("input[{index}].{name}"),
                "must be a string that is not empty",
            ),
        }
    }

    /// What the model thought, as far as it came from here.
    fn reasoning(&mut self, item: Span) -> Result<(), RequestError> {
        let body = self.body;
        let Some(carried) = text(body, item, "encrypted_content") else {
            return Ok(());
        };
        let carried = carried.as_bytes();
        let Ok(root) = json::document(carried) else {
            return Ok(());
        };
        self.end_results()?;
        if self.turn.is_text_only() {
            self.end_turn()?;
        }
        let mut said = String::new();
        for part in json::elements(body, some(body, item, "summary").unwrap_or_default()) {
            said.push_str(&text(body, part, "text").unwrap_or_default());
        }
        let blocks = json::member(carried, root, "thinking_blocks").unwrap_or_default();
        for block in json::elements(carried, blocks) {
            let out = &mut Writer::new(&mut self.turn.thinking);
            write_thinking(carried, block, &said, out);
        }
        if json::member(carried, root, "reasoning_content").is_some() && self.is_last_turn {
            self.turn.reasoning.push_str(&said);
        }
        Ok(())
    }

    fn result(&mut self, index: usize, item: Span) -> Result<(), RequestError> {
        let body = self.body;
        let id = self.required(index, item, "call_id")?;
        let place = format!("input[{index}].output");
        let parts = parts::read(body, json::member(body, item, "output"), &place)?;
        let (texts, media): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(Part::is_text);
        self.end_turn()?;
        self.message("tool", |out| {
            out.key("tool_call_id").copy(body, id);
            parts::write(body, &texts, out.key("content"));
        })?;
        if !media.is_empty() {
            self.media.push((id, media));
        }
        Ok(())
    }

    /// Results are texts in a chat completion: what else they hold the user brings, behind them.
    fn end_results(&mut self) -> Result<(), RequestError> {
        let body = self.body;
        let media = std::mem::take(&mut self.media);
        if media.is_empty() {
            return Ok(());
        }
        self.message("user", |out| {
            out.key("content").array(|out| {
                for (id, parts) in &media {
                    let id = json::string(body, *id).unwrap_or_default();
                    out.object(|out| {
                        out.key("type").string("text");
                        out.key("text").string(&format!("Output of {id}:"));
                    });
                    parts::write_each(body, parts, out);
                }
            });
        })
    }

    fn end_turn(&mut self) -> Result<(), RequestError> {
        let body = self.body;
        let turn = std::mem::take(&mut self.turn);
        if turn.content.is_empty() && turn.calls.is_empty() {
            return Ok(());
        }
        self.message("assistant", |out| turn.write(body, out))
    }

    fn message(
        &mut self,
        role: &str,
        members: impl FnOnce(&mut Writer<'_>),
    ) -> Result<(), RequestError> {
        if self.count >= MESSAGES_MAX {
            let what = format!("must make at most {MESSAGES_MAX} messages");
            return invalid("input".to_owned(), &what);
        }
        self.count = self.count.saturating_add(1);
        Writer::new(&mut self.out).object(|out| {
            out.key("role").string(role);
            members(out);
        });
        Ok(())
    }
}

impl Turn {
    /// A text that comes next is a message of its own.
    fn is_text_only(&self) -> bool {
        self.calls.is_empty() && !self.content.is_empty()
    }

    fn write(&self, body: &[u8], out: &mut Writer<'_>) {
        if self.content.is_empty() {
            out.key("content").null();
        } else {
            parts::write(body, &self.content, out.key("content"));
        }
        if !self.reasoning.is_empty() && !self.calls.is_empty() {
            out.key("reasoning_content").string(&self.reasoning);
        }
        if !self.thinking.is_empty() {
            out.key("thinking_blocks")
                .array(|out| out.raw(&self.thinking));
        }
        if !self.calls.is_empty() {
            out.key("tool_calls").array(|out| {
                for call in &self.calls {
                    out.object(|out| write_call(body, *call, out));
                }
            });
        }
    }
}

/// A block of thinking. What it says is in the item's summary, unless it says it itself.
fn write_thinking(body: &[u8], block: Span, summary: &str, out: &mut Writer<'_>) {
    let kind = text(body, block, "type").unwrap_or_default();
    let seal = match &*kind {
        "thinking" => "signature",
        "redacted_thinking" => "data",
        _ => return,
    };
    out.object(|out| {
        out.key("type").string(&kind);
        if kind == "thinking" {
            let said = text(body, block, "thinking");
            out.key("thinking")
                .string(said.as_deref().unwrap_or(summary));
        }
        if let Some(value) = string(body, block, seal) {
            out.key(seal).copy(body, value);
        }
    });
}

fn write_call(body: &[u8], item: Span, out: &mut Writer<'_>) {
    let copy = |name: &str, out: &mut Writer<'_>| match string(body, item, name) {
        Some(value) => out.key(name).copy(body, value),
        None => out.key(name).string(""),
    };
    let id = string(body, item, "call_id").unwrap_or_default();
    out.key("id").copy(body, id);
    if text(body, item, "type").as_deref() == Some("custom_tool_call") {
        out.key("type").string("custom");
        out.key("custom").object(|out| {
            copy("name", out);
            copy("input", out);
        });
        return;
    }
    out.key("type").string("function");
    out.key("function").object(|out| {
        copy("name", out);
        match some(body, item, "arguments") {
            Some(arguments) if is_string(body, arguments) && arguments.len() > 2 => {
                out.key("arguments").copy(body, arguments);
            }
            // A document in place of its text.
            Some(arguments) if json::kind(body, arguments) == Some(Kind::Object) => {
                out.key("arguments")
                    .string(&super::compact(body, arguments));
            }
            _ => out.key("arguments").string("{}"),
        }
    });
    // Google's signature of the thought that led to the call.
    let signature = some(body, item, "extra_content")
        .and_then(|extra| some(body, extra, "google"))
        .and_then(|google| string(body, google, "thought_signature"));
    if let Some(signature) = signature {
        out.key("extra_content").object(|out| {
            out.key("google")
                .object(|out| out.key("thought_signature").copy(body, signature));
        });
    }
}
