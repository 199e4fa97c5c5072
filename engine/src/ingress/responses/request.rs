//! The members of a request.

use std::borrow::Cow;

use super::items::Messages;
use super::{Translated, echo, text, tools};
use crate::dialect::DroppedNames;
use crate::json::{self, Kind, Span, Writer};
use crate::request::RequestError;

/// Members that Chat Completions and its extensions have under the same name.
const FORWARDED: &[&str] = &[
    "cache_control",
    "cached_content",
    "frequency_penalty",
    "guardrail_config",
    "logit_bias",
    "moderation",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "safety_settings",
    "seed",
    "service_tier",
    "stop",
    "temperature",
    "thinking",
    "top_k",
    "top_p",
    "user",
];

/// Members that are said in another way, repeated in the answer, or already so. `metadata` belongs
/// to what is stored: OpenAI refuses it in a chat completion that is not.
const READ: &[&str] = &[
    "background",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "metadata",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "reasoning",
    "store",
    "stream",
    "stream_options",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "truncation",
];

/// Members that name something stored elsewhere.
const STATE: [&str; 3] = ["conversation", "previous_response_id", "prompt"];

/// Values of `include` that ask for nothing, as no tool of OpenAI's own runs here, and those met.
const INCLUDED: [&str; 7] = [
    LOGPROBS,
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
];
const LOGPROBS: &str = "message.output_text.logprobs";

pub(in crate::ingress) fn to_chat(body: &[u8], root: Span) -> Result<Translated, RequestError> {
    let mut request = Request {
        body,
        root,
        members: json::members(body, root)
            .filter_map(|member| Some((json::unescaped(member.key.of(body))?, member.value)))
            .collect(),
        dropped: DroppedNames::default(),
    };
    request.refuse_state()?;
    let messages = request.messages()?;
    let mut chat = Vec::with_capacity(body.len());
    let mut written = Ok(());
    Writer::new(&mut chat).object(|out| written = request.write(&messages, out));
    written?;
    request.note_dropped();
    let echo = echo::write(&request);
    Ok(Translated {
        body: chat,
        dropped: request.dropped.into_names(),
        echo,
    })
}

/// A request under translation.
pub(super) struct Request<'a> {
    pub(super) body: &'a [u8],
    root: Span,
    members: Vec<(Cow<'a, str>, Span)>,
    dropped: DroppedNames,
}

impl<'a> Request<'a> {
    /// A member that says something; of several the last.
    pub(super) fn get(&self, name: &str) -> Option<Span> {
        let found = self.members.iter().rev().find(|(known, _)| known == name);
        found
            .map(|(_, value)| *value)
            .filter(|value| json::kind(self.body, *value) != Some(Kind::Null))
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, RequestError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let wrong = || RequestError::invalid(name, format!("'{name}' must be a boolean"));
        json::boolean(self.body, value).map(Some).ok_or_else(wrong)
    }

    /// A member that must be an object; empty when there is none.
    pub(super) fn object(&self, name: &str) -> Result<Span, RequestError> {
        match self.get(name) {
            None => Ok(Span::default()),
            Some(value) if json::kind(self.body, value) == Some(Kind::Object) => Ok(value),
            Some(_) => Err(RequestError::invalid(
                name,
                format!("'{name}' must be an object"),
            )),
        }
    }

    fn refuse_state(&self) -> Result<(), RequestError> {
        for name in STATE {
            if self.get(name).is_some() {
                let message = format!(
                    "This provider keeps no state between requests: leave out '{name}' and send \
                     the whole conversation as 'input'"
                );
                return Err(RequestError::invalid(name, message));
            }
        }
        if self.boolean("background")? == Some(true) {
            let message = "This provider keeps no state between requests, so nothing can run in \
                           the background: leave out 'background' and wait for the answer";
            return Err(RequestError::invalid("background", message));
        }
        Ok(())
    }

    /// Instructions and input as messages.
    fn messages(&self) -> Result<Vec<u8>, RequestError> {
        let body = self.body;
        let input = self.get("input");
        let mut messages = Messages::new(body, input.unwrap_or_default());
        if let Some(instructions) = self.get("instructions") {
            match json::string(body, instructions) {
                Some(text) if text.is_empty() => {}
                Some(_) => messages.text("system", instructions)?,
                None => {
                    let message = "'instructions' must be a string";
                    return Err(RequestError::invalid("instructions", message));
                }
            }
        }
        match input.and_then(|input| json::kind(body, input)) {
            Some(Kind::String) => messages.text("user", input.unwrap_or_default())?,
            Some(Kind::Array) => messages.items()?,
            _ => {
                let message = "'input' must be a string or an array of items";
                return Err(RequestError::invalid("input", message));
            }
        }
        messages.finish()
    }

    fn write(&mut self, messages: &[u8], out: &mut Writer<'_>) -> Result<(), RequestError> {
        let body = self.body;
        match text(body, self.root, "model") {
            Some(model) if !model.is_empty() => out.key("model").string(&model),
            _ => {
                let message = "'model' must be a string that is not empty";
                return Err(RequestError::invalid("model", message));
            }
        }
        if self.boolean("stream")? == Some(true) {
            out.key("stream").boolean(true);
            out.key("stream_options")
                .object(|out| out.key("include_usage").boolean(true));
        }
        out.key("messages").array(|out| out.raw(messages));
        tools::write(self, out)?;
        if let Some(cap) = self.get("max_output_tokens") {
            if json::number_u64(body, cap).is_none() {
                let message = "'max_output_tokens' must be a non-negative integer";
                return Err(RequestError::invalid("max_output_tokens", message));
            }
            // Servers that imitate OpenAI know the older name; the dialects write the newer one
            // for models that want it.
            out.key("max_tokens").copy(body, cap);
        }
        for name in FORWARDED {
            if let Some(value) = self.get(name) {
                out.key(name).copy(body, value);
            }
        }
        self.write_reasoning(out)?;
        self.write_text(out)?;
        self.write_logprobs(out);
        Ok(())
    }

    fn write_reasoning(&mut self, out: &mut Writer<'_>) -> Result<(), RequestError> {
        let body = self.body;
        let reasoning = self.object("reasoning")?;
        for member in json::members(body, reasoning) {
            let Some(name) = json::unescaped(member.key.of(body)) else {
                continue;
            };
            match (&*name, member.value.of(body)) {
                (_, b"null")
                | ("context", b"\"auto\"")
                | ("mode", b"\"standard\"")
                // The answer shows what reasoning the provider shows.
                | ("summary" | "generate_summary", _) => {}
                ("effort", _) => out.key("reasoning_effort").copy(body, member.value),
                _ => self.dropped.add(&format!("reasoning.{name}")),
            }
        }
        Ok(())
    }

    /// The form of the answer's text.
    fn write_text(&mut self, out: &mut Writer<'_>) -> Result<(), RequestError> {
        let body = self.body;
        let settings = self.object("text")?;
        for member in json::members(body, settings) {
            let Some(name) = json::unescaped(member.key.of(body)) else {
                continue;
            };
            match &*name {
                _ if json::kind(body, member.value) == Some(Kind::Null) => {}
                "format" => write_format(body, member.value, out)?,
                "verbosity" => out.key("verbosity").copy(body, member.value),
                _ => self.dropped.add(&format!("text.{name}")),
            }
        }
        Ok(())
    }

    fn write_logprobs(&self, out: &mut Writer<'_>) {
        let body = self.body;
        let top = self.get("top_logprobs");
        let included = self.included().any(|value| value == LOGPROBS);
        if top.is_some() || included {
            out.key("logprobs").boolean(true);
        }
        if let Some(top) = top {
            out.key("top_logprobs").copy(body, top);
        }
    }

    fn included(&self) -> impl Iterator<Item = Cow<'a, str>> {
        let body = self.body;
        json::elements(body, self.get("include").unwrap_or_default())
            .map(move |value| json::string(body, value).unwrap_or_default())
    }

    fn note_dropped(&mut self) {
        let body = self.body;
        let is = |name: &str, value: &str| {
            let found = self.get(name).and_then(|found| json::string(body, found));
            found.as_deref() == Some(value)
        };
        let says_true = |object: Option<Span>, name: &str| {
            json::member(body, object.unwrap_or_default(), name)
                .is_some_and(|value| value.of(body) == b"true")
        };
        let met = |value: Cow<'_, str>| INCLUDED.contains(&&*value);
        let mut names: Vec<String> = Vec::new();
        for (name, value) in &self.members {
            let is_known = FORWARDED.contains(&&**name) || READ.contains(&&**name);
            let is_dropped = match &**name {
                "include" => !self.included().all(met),
                "store" => value.of(body) == b"true",
                "truncation" => !is("truncation", "disabled"),
                _ => !is_known,
            };
            if is_dropped && json::kind(body, *value) != Some(Kind::Null) {
                names.push(name.to_string());
            }
        }
        if says_true(self.get("stream_options"), "include_obfuscation") {
            names.push("stream_options.include_obfuscation".to_owned());
        }
        names.iter().for_each(|name| self.dropped.add(name));
    }
}

/// `text.format`, whose members lie one level deeper in a chat completion.
fn write_format(body: &[u8], format: Span, out: &mut Writer<'_>) -> Result<(), RequestError> {
    let kind = text(body, format, "type").unwrap_or_default();
    match &*kind {
        "text" => {}
        "json_object" => out
            .key("response_format")
            .object(|out| out.key("type").string("json_object")),
        "json_schema" => out.key("response_format").object(|out| {
            out.key("type").string("json_schema");
            out.key("json_schema").object(|out| {
                for name in ["name", "description", "schema", "strict"] {
                    if let Some(value) = super::some(body, format, name) {
                        out.key(name).copy(body, value);
                    }
                }
            });
        }),
        _ => {
            let message = "'text.format.type' must be text, json_object or json_schema";
            return Err(RequestError::invalid("text.format.type", message));
        }
    }
    Ok(())
}
