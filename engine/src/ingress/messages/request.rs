//! A Messages request as a chat completion request.

use std::borrow::Cow;

use super::{THINKS, schema, some, text, tools, turns};
use crate::dialect::DroppedNames;
use crate::ingress::Translated;
use crate::json::{self, Kind, Span, Writer};
use crate::request::RequestError;

/// Members that have a meaning here; any other is dropped by name.
const KNOWN: &[&str] = &[
    "cache_control",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

/// Writes a request in the middle form.
///
/// # Errors
/// What Anthropic would refuse as well, and what only Anthropic has: tools that it runs.
pub(in crate::ingress) fn to_chat(body: &[u8], root: Span) -> Result<Translated, RequestError> {
    translate(body, root, Cap::Required)
}

/// The same of a request whose tokens are to be counted: it has no `max_tokens`.
///
/// # Errors
/// As of a request that is to be answered.
pub fn count_to_chat(body: &[u8], root: Span) -> Result<Translated, RequestError> {
    translate(body, root, Cap::Free)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cap {
    Required,
    Free,
}

fn translate(body: &[u8], root: Span, cap: Cap) -> Result<Translated, RequestError> {
    if json::kind(body, root) != Some(Kind::Object) {
        return Err(RequestError::invalid("body", "Input should be an object"));
    }
    let mut mapping = Mapping {
        body,
        root,
        dropped: DroppedNames::default(),
    };
    let mut chat = Vec::with_capacity(body.len().saturating_add(256));
    let mut result = Ok(());
    Writer::new(&mut chat).object(|out| result = mapping.write(cap, out));
    result?;
    let echo = if mapping.thinks() { THINKS } else { &[] };
    Ok(Translated {
        body: chat,
        dropped: mapping.dropped.into_names(),
        echo: echo.to_vec(),
    })
}

struct Mapping<'a> {
    body: &'a [u8],
    root: Span,
    dropped: DroppedNames,
}

impl<'a> Mapping<'a> {
    fn get(&self, name: &str) -> Option<Span> {
        some(self.body, self.root, name)
    }

    /// A member of `kind`, under the name that it has there.
    fn typed(&self, name: &str, kind: Kind, what: &str) -> Result<Option<Span>, RequestError> {
        match self.get(name) {
            Some(value) if json::kind(self.body, value) != Some(kind) => Err(
                RequestError::invalid(name, format!("Input should be {what}")),
            ),
            value => Ok(value),
        }
    }

    fn object(&self, name: &str) -> Result<Option<Span>, RequestError> {
        self.typed(name, Kind::Object, "an object")
    }

    fn write(&mut self, cap: Cap, out: &mut Writer<'_>) -> Result<(), RequestError> {
        let (body, root) = (self.body, self.root);
        match text(body, root, "model").filter(|model| !model.is_empty()) {
            Some(model) => out.key("model").string(&model),
            None => return Err(RequestError::invalid("model", "Field required")),
        }
        self.refuse_servers()?;
        turns::write(body, root, &mut self.dropped, out.key("messages"))?;
        self.write_cap(cap, out)?;
        self.write_stream(out)?;
        self.write_sampling(out)?;
        tools::write(body, root, &mut self.dropped, out)?;
        self.write_output(out)?;
        self.write_rest(out)?;
        self.write_thinking(out)?;
        for member in json::members(body, root) {
            let name = json::unescaped(member.key.of(body)).unwrap_or_default();
            if !KNOWN.contains(&&*name) && json::kind(body, member.value) != Some(Kind::Null) {
                self.dropped.add(&name);
            }
        }
        Ok(())
    }

    /// Servers whose tools Anthropic would call.
    fn refuse_servers(&self) -> Result<(), RequestError> {
        let servers = self.get("mcp_servers").unwrap_or_default();
        match json::elements(self.body, servers).next() {
            Some(_) => Err(RequestError::invalid(
                "mcp_servers",
                "only Anthropic connects to MCP servers; offer their tools under tools",
            )),
            None => Ok(()),
        }
    }

    fn write_cap(&self, cap: Cap, out: &mut Writer<'_>) -> Result<(), RequestError> {
        match (self.get("max_tokens"), cap) {
            (None, Cap::Free) => Ok(()),
            (None, Cap::Required) => Err(RequestError::invalid("max_tokens", "Field required")),
            (Some(value), _) => match json::number_u64(self.body, value) {
                Some(most) if most > 0 => {
                    out.key("max_tokens").number(most);
                    Ok(())
                }
                _ => Err(RequestError::invalid(
                    "max_tokens",
                    "Input should be an integer greater than 0",
                )),
            },
        }
    }

    fn write_stream(&self, out: &mut Writer<'_>) -> Result<(), RequestError> {
        let Some(stream) = self.get("stream") else {
            return Ok(());
        };
        match json::boolean(self.body, stream) {
            Some(true) => {
                out.key("stream").boolean(true);
                out.key("stream_options")
                    .object(|out| out.key("include_usage").boolean(true));
                Ok(())
            }
            Some(false) => Ok(()),
            None => Err(RequestError::invalid("stream", "Input should be a boolean")),
        }
    }

    fn write_sampling(&self, out: &mut Writer<'_>) -> Result<(), RequestError> {
        for name in ["temperature", "top_p", "top_k"] {
            if let Some(value) = self.typed(name, Kind::Number, "a number")? {
                out.key(name).copy(self.body, value);
            }
        }
        if let Some(stops) = self.typed("stop_sequences", Kind::Array, "a list of strings")? {
            let is_text = |stop: Span| json::kind(self.body, stop) == Some(Kind::String);
            if !json::elements(self.body, stops).all(is_text) {
                let why = "Input should be a list of strings";
                return Err(RequestError::invalid("stop_sequences", why));
            }
            if json::elements(self.body, stops).next().is_some() {
                out.key("stop").copy(self.body, stops);
            }
        }
        Ok(())
    }

    /// The form of the answer: `output_config.format`, or `output_format` as betas had it.
    fn write_output(&mut self, out: &mut Writer<'_>) -> Result<(), RequestError> {
        let body = self.body;
        let config = self.object("output_config")?;
        let format = config.and_then(|config| some(body, config, "format"));
        let (place, format) = match format {
            Some(format) => ("output_config.format", Some(format)),
            None => ("output_format", self.get("output_format")),
        };
        if let Some(format) = format {
            let kind = text(body, format, "type").unwrap_or_default();
            let schema = some(body, format, "schema")
                .filter(|schema| json::kind(body, *schema) == Some(Kind::Object));
            let Some(schema) = schema.filter(|_| kind == "json_schema") else {
                return Err(RequestError::invalid(
                    place,
                    "Input should be of type json_schema and have a schema",
                ));
            };
            out.key("response_format").object(|out| {
                out.key("type").string("json_schema");
                out.key("json_schema").object(|out| {
                    out.key("name").string("answer");
                    out.key("schema").copy(body, schema);
                    if schema::is_strict(body, schema) {
                        out.key("strict").boolean(true);
                    }
                });
            });
        }
        for member in json::members(body, config.unwrap_or_default()) {
            let name = json::unescaped(member.key.of(body)).unwrap_or_default();
            if !matches!(&*name, "effort" | "format")
                && json::kind(body, member.value) != Some(Kind::Null)
            {
                self.dropped.add(&format!("output_config.{name}"));
            }
        }
        Ok(())
    }

    fn write_rest(&mut self, out: &mut Writer<'_>) -> Result<(), RequestError> {
        let body = self.body;
        if let Some(metadata) = self.object("metadata")? {
            for member in json::members(body, metadata) {
                let name = json::unescaped(member.key.of(body)).unwrap_or_default();
                if name != "user_id" {
                    self.dropped.add(&format!("metadata.{name}"));
                }
            }
            if let Some(user) = text(body, metadata, "user_id").filter(|user| !user.is_empty()) {
                out.key("user").string(&user);
            }
        }
        match self.text("service_tier").as_deref() {
            None => {}
            Some("auto") => out.key("service_tier").string("auto"),
            Some("standard_only") => out.key("service_tier").string("default"),
            Some(_) => self.dropped.add("service_tier"),
        }
        if let Some(cache_control) = self.get("cache_control") {
            out.key("cache_control").copy(body, cache_control);
        }
        Ok(())
    }

    /// What a model thinks by itself says `thinking` as it came; an effort says how much, in the one
    /// word that each provider has its own for.
    fn write_thinking(&mut self, out: &mut Writer<'_>) -> Result<(), RequestError> {
        let body = self.body;
        let effort = self.effort()?;
        let Some(thinking) = self.object("thinking")? else {
            if let Some(effort) = effort {
                out.key("reasoning_effort").string(&effort);
            }
            return Ok(());
        };
        let Some(kind) = text(body, thinking, "type") else {
            return Err(RequestError::invalid("thinking.type", "Field required"));
        };
        if kind == "adaptive"
            && let Some(effort) = effort
        {
            out.key("reasoning_effort").string(&effort);
            if some(body, thinking, "display").is_some() {
                self.dropped.add("thinking.display");
            }
            return Ok(());
        }
        if let Some(effort) = effort {
            out.key("reasoning_effort").string(&effort);
        }
        out.key("thinking").copy(body, thinking);
        Ok(())
    }

    fn effort(&self) -> Result<Option<Cow<'a, str>>, RequestError> {
        let config = self.object("output_config")?.unwrap_or_default();
        let Some(effort) = some(self.body, config, "effort") else {
            return Ok(None);
        };
        json::string(self.body, effort).map(Some).ok_or_else(|| {
            RequestError::invalid("output_config.effort", "Input should be a string")
        })
    }

    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        text(self.body, self.root, name)
    }

    /// Whether the client wants to see the model think.
    fn thinks(&self) -> bool {
        let thinking = self.get("thinking").unwrap_or_default();
        text(self.body, thinking, "type").is_some_and(|kind| kind != "disabled")
    }
}
