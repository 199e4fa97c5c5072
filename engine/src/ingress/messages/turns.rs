//! The conversation, message by message.

use hashbrown::HashSet;

use super::blocks::{self, Part};
use super::place::Place;
use super::results::ToolMessage;
use super::{EXTRA, provider_id, some, text};
use crate::dialect::DroppedNames;
use crate::json::{self, Kind, Span, Writer};
use crate::request::RequestError;

/// Everything between two messages of the assistant. Results of calls come first in it, whatever
/// their order: OpenAI wants them right behind the calls.
#[derive(Default)]
struct Run<'a> {
    results: Vec<ToolMessage<'a>>,
    said: Vec<(&'static str, Vec<Part<'a>>)>,
}

impl Run<'_> {
    fn write(&mut self, body: &[u8], out: &mut Writer<'_>) {
        for result in self.results.drain(..) {
            result.write(body, out);
        }
        for (role, parts) in self.said.drain(..) {
            out.object(|out| {
                out.key("role").string(role);
                blocks::write_content(&parts, body, out.key("content"));
            });
        }
    }
}

/// Writes system prompt and messages as a list of chat messages.
///
/// # Errors
/// What is missing or has the wrong shape, a block that has no counterpart, the result of a call
/// that was not made.
pub(super) fn write(
    body: &[u8],
    root: Span,
    dropped: &mut DroppedNames,
    out: &mut Writer<'_>,
) -> Result<(), RequestError> {
    let mut turns = Turns {
        body,
        dropped,
        called: HashSet::new(),
        attachments: 0,
        run: Run::default(),
    };
    let mut result = Ok(());
    out.array(|out| result = turns.all(root, out));
    result
}

struct Turns<'a, 'b> {
    body: &'a [u8],
    dropped: &'b mut DroppedNames,
    /// Ids of the calls so far.
    called: HashSet<String>,
    /// Images and documents that came in results.
    attachments: usize,
    run: Run<'a>,
}

impl<'a> Turns<'a, '_> {
    fn all(&mut self, root: Span, out: &mut Writer<'_>) -> Result<(), RequestError> {
        let body = self.body;
        if let Some(system) = some(body, root, "system") {
            self.system(system, Place::System { block: None })?;
        }
        let messages = some(body, root, "messages");
        let Some(messages) = messages else {
            return Err(RequestError::invalid("messages", "Field required"));
        };
        if json::kind(body, messages) != Some(Kind::Array) {
            return Err(RequestError::invalid("messages", "Input should be a list"));
        }
        if json::elements(body, messages).next().is_none() {
            let why = "at least one message is required";
            return Err(RequestError::invalid("messages", why));
        }
        for (index, message) in json::elements(body, messages).enumerate() {
            self.message(message, Place::message(index), out)?;
        }
        self.run.write(body, out);
        Ok(())
    }

    fn message(
        &mut self,
        message: Span,
        place: Place,
        out: &mut Writer<'_>,
    ) -> Result<(), RequestError> {
        let body = self.body;
        if json::kind(body, message) != Some(Kind::Object) {
            return Err(place.invalid("", "Input should be an object"));
        }
        let content = some(body, message, "content");
        match text(body, message, "role").as_deref() {
            Some("user") => self.user(content, place),
            Some("assistant") => {
                self.run.write(body, out);
                self.assistant(content, place, out)
            }
            Some("system") => match content {
                Some(content) => self.system(content, place),
                None => Err(place.invalid(".content", "Field required")),
            },
            _ => Err(place.invalid(".role", "Input should be user, assistant or system")),
        }
    }

    fn system(&mut self, content: Span, place: Place) -> Result<(), RequestError> {
        let mut parts = Vec::new();
        for (block, place) in blocks::blocks(self.body, Some(content), place)? {
            match blocks::text_part(self.body, block, place)? {
                Some(part) => parts.push(part),
                None => return Err(place.invalid(".type", "Input should be text")),
            }
        }
        let is_blank =
            |part: &Part<'_>| matches!(part, Part::Text { text, .. } if text.trim().is_empty());
        if !parts.iter().all(is_blank) {
            self.run.said.push(("system", parts));
        }
        Ok(())
    }

    fn user(&mut self, content: Option<Span>, place: Place) -> Result<(), RequestError> {
        let body = self.body;
        let (mut attached, mut parts) = (Vec::new(), Vec::new());
        let mut has_results = false;
        for (block, place) in blocks::blocks(body, content, place)? {
            if text(body, block, "type").as_deref() != Some("tool_result") {
                blocks::parts(body, block, place, self.dropped, &mut parts)?;
                continue;
            }
            let numbered = &mut self.attachments;
            let result =
                ToolMessage::read(body, block, place, numbered, &mut attached, self.dropped)?;
            if !self.called.contains(&result.id) {
                return Err(place.invalid(".tool_use_id", "no call before it has that id"));
            }
            self.run.results.push(result);
            has_results = true;
        }
        attached.append(&mut parts);
        if !attached.is_empty() || !has_results {
            self.run.said.push(("user", attached));
        }
        Ok(())
    }

    fn assistant(
        &mut self,
        content: Option<Span>,
        place: Place,
        out: &mut Writer<'_>,
    ) -> Result<(), RequestError> {
        let mut said = Said::default();
        for (block, place) in blocks::blocks(self.body, content, place)? {
            self.assistant_block(block, place, &mut said)?;
        }
        let body = self.body;
        out.object(|out| {
            out.key("role").string("assistant");
            out.key("content");
            if said.parts.is_empty() && !said.calls.is_empty() {
                out.null();
            } else {
                blocks::write_content(&said.parts, body, out);
            }
            if !said.calls.is_empty() {
                out.key("tool_calls")
                    .array(|out| said.calls.iter().for_each(|call| call.write(body, out)));
            }
            if !said.reasoning.is_empty() {
                out.key("reasoning_content").string(&said.reasoning);
            }
            if !said.thinking.is_empty() {
                out.key("thinking_blocks")
                    .array(|out| said.thinking.iter().for_each(|it| out.copy(body, *it)));
            }
        });
        Ok(())
    }

    fn assistant_block(
        &mut self,
        block: Span,
        place: Place,
        said: &mut Said<'a>,
    ) -> Result<(), RequestError> {
        let body = self.body;
        if let Some(part) = blocks::text_part(body, block, place)? {
            said.parts.push(part);
            return Ok(());
        }
        let Some(kind) = text(body, block, "type") else {
            return Err(place.invalid(".type", "Field required"));
        };
        match &*kind {
            "tool_use" => {
                let call = Call::read(body, block, place)?;
                self.called.insert(call.id.clone());
                said.calls.push(call);
            }
            // Without a signature it is another provider's, which may want it back as that.
            "thinking" => match text(body, block, "signature").filter(|it| !it.is_empty()) {
                Some(_) => said.thinking.push(block),
                None => said
                    .reasoning
                    .push_str(&text(body, block, "thinking").unwrap_or_default()),
            },
            "redacted_thinking" => said.thinking.push(block),
            "image" | "document" | "search_result" => {
                blocks::parts(body, block, place, self.dropped, &mut said.parts)?;
            }
            kind if is_anthropics(kind) => {
                self.dropped.add(&format!("messages[].content[].{kind}"));
            }
            _ => {
                let kind: String = kind.chars().take(64).collect();
                let why = format!("{kind} is no content that an assistant can give");
                return Err(place.invalid(".type", why));
            }
        }
        Ok(())
    }
}

/// Blocks of tools that Anthropic ran. The conversation goes on without them: the text that came of
/// them is there.
fn is_anthropics(kind: &str) -> bool {
    kind.ends_with("_tool_result")
        || kind.ends_with("_tool_use")
        || matches!(kind, "compaction" | "container_upload" | "fallback")
}

/// A message of the assistant.
#[derive(Default)]
struct Said<'a> {
    parts: Vec<Part<'a>>,
    calls: Vec<Call>,
    /// Signed blocks.
    thinking: Vec<Span>,
    /// Thoughts without a signature.
    reasoning: String,
}

struct Call {
    id: String,
    name: String,
    input: Span,
    /// Google's signature.
    extra: Option<Span>,
}

impl Call {
    fn read(body: &[u8], block: Span, place: Place) -> Result<Call, RequestError> {
        let member = |name: &str| {
            let value = text(body, block, name).filter(|value| !value.is_empty());
            value.ok_or_else(|| place.invalid(&format!(".{name}"), "Field required"))
        };
        let input = some(body, block, "input").unwrap_or_default();
        if json::kind(body, input) != Some(Kind::Object) {
            return Err(place.invalid(".input", "Input should be an object"));
        }
        Ok(Call {
            id: provider_id(member("id")?).into_owned(),
            name: member("name")?.into_owned(),
            input,
            extra: some(body, block, EXTRA),
        })
    }

    fn write(&self, body: &[u8], out: &mut Writer<'_>) {
        let mut arguments = Vec::new();
        json::compact_into(body, self.input, &mut arguments);
        out.object(|out| {
            out.key("id").string(&self.id);
            out.key("type").string("function");
            out.key("function").object(|out| {
                out.key("name").string(&self.name);
                out.key("arguments")
                    .string(&String::from_utf8_lossy(&arguments));
            });
            if let Some(extra) = self.extra {
                out.key(EXTRA).copy(body, extra);
            }
        });
    }
}
