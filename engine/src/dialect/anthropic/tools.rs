//! Tools and the choice among them.

use std::borrow::Cow;

use super::gate::Gate;
use crate::dialect::writer::Writer;
use crate::json::{self, Kind, Span};

/// Which tool the model may or must call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Any,
    Auto,
    Never,
    Tool(String),
}

impl Choice {
    pub(super) fn is_forced(&self) -> bool {
        matches!(self, Choice::Any | Choice::Tool(_))
    }

    /// `disable_parallel_tool_use` is a part of the choice: it needs one to be in.
    pub(super) fn write(&self, one_at_a_time: bool, out: &mut Writer<'_>) {
        let (kind, name) = match self {
            Choice::Any => ("any", None),
            Choice::Auto => ("auto", None),
            Choice::Never => ("none", None),
            Choice::Tool(name) => ("tool", Some(name)),
        };
        out.object(|out| {
            out.key("type").string(kind);
            if let Some(name) = name {
                out.key("name").string(name);
            }
            if one_at_a_time && *self != Choice::Never {
                out.key("disable_parallel_tool_use").boolean(true);
            }
        });
    }
}

/// The tools of a request, as places in its body.
#[derive(Debug, Default)]
pub(super) struct Tools {
    definitions: Vec<Span>,
    pub(super) choice: Option<Choice>,
    /// Names that the choice leaves; `None` leaves all.
    allowed: Option<Vec<String>>,
}

impl Tools {
    /// Reads `tools` and `tool_choice`, or the older `functions` and `function_call`.
    pub(super) fn read(body: &[u8], root: Span) -> Tools {
        let list = |name: &str| json::member(body, root, name).unwrap_or_default();
        let definitions: Vec<Span> = json::elements(body, list("tools"))
            .chain(json::elements(body, list("functions")))
            .collect();
        let mut tools = Tools {
            definitions,
            ..Tools::default()
        };
        for name in ["tool_choice", "function_call"] {
            if let Some(choice) = json::member(body, root, name) {
                tools.read_choice(body, choice);
            }
        }
        tools
    }

    pub(super) fn is_empty(&self) -> bool {
        self.definitions.is_empty()
    }

    fn read_choice(&mut self, body: &[u8], choice: Span) {
        let text = |object: Span, name: &str| {
            let value = json::member(body, object, name)?;
            json::string(body, value)
        };
        if let Some(mode) = json::string(body, choice) {
            self.choice = of_mode(&mode);
            return;
        }
        let kind = text(choice, "type").unwrap_or_default();
        if let Some(group) = json::member(body, choice, "allowed_tools") {
            self.choice = of_mode(&text(group, "mode").unwrap_or_default());
            let list = json::member(body, group, "tools").unwrap_or_default();
            let names = json::elements(body, list).filter_map(|tool| name_of(body, tool));
            self.allowed = Some(names.map(Cow::into_owned).collect());
        } else if let Some(name) = name_of(body, choice) {
            self.choice = Some(Choice::Tool(name.into_owned()));
        } else {
            self.choice = of_mode(&kind);
        }
    }

    pub(super) fn write(&self, body: &[u8], gate: Gate, out: &mut Writer<'_>) {
        out.array(|out| {
            for tool in &self.definitions {
                let name = name_of(body, *tool).unwrap_or_default();
                let left = self.allowed.as_ref();
                if left.is_none_or(|allowed| allowed.iter().any(|allowed| *allowed == *name)) {
                    write_definition(body, *tool, &name, gate, out);
                }
            }
        });
    }
}

/// Definitions for a history with calls whose request brings no tools: the API refuses call blocks
/// without any. The caller forbids calling them.
pub(super) fn write_stand_ins(called: &[String], out: &mut Writer<'_>) {
    out.array(|out| {
        for name in called {
            out.object(|out| {
                out.key("name").string(name);
                out.key("input_schema")
                    .object(|out| out.key("type").string("object"));
            });
        }
    });
}

fn of_mode(mode: &str) -> Option<Choice> {
    match mode {
        "any" | "required" => Some(Choice::Any),
        "auto" => Some(Choice::Auto),
        "none" => Some(Choice::Never),
        _ => None,
    }
}

/// The name in `{function:{name}}`, `{custom:{name}}` or `{name}`.
fn name_of(body: &[u8], tool: Span) -> Option<Cow<'_, str>> {
    let inner = json::member(body, tool, "function").or_else(|| json::member(body, tool, "custom"));
    let name = json::member(body, inner.unwrap_or(tool), "name")?;
    json::string(body, name)
}

fn write_definition(body: &[u8], tool: Span, name: &str, gate: Gate, out: &mut Writer<'_>) {
    let function = json::member(body, tool, "function");
    let custom = json::member(body, tool, "custom");
    let is_old = json::member(body, tool, "type").is_none();
    let Some(definition) = function.or(custom).or(is_old.then_some(tool)) else {
        // One of Anthropic's own tools (web search and the like).
        return out.copy(body, tool);
    };
    let member = |name: &str| json::member(body, definition, name);
    out.object(|out| {
        out.key("name").string(name);
        let description = member("description").and_then(|text| json::string(body, text));
        if let Some(description) = description.filter(|text| !text.trim().is_empty()) {
            out.key("description").string(&description);
        }
        out.key("input_schema");
        match member("parameters") {
            Some(schema) if json::kind(body, schema) == Some(Kind::Object) => {
                write_object_schema(body, schema, out);
            }
            _ if custom.is_some() => write_free_text(out),
            _ => out.object(|out| {
                out.key("type").string("object");
                out.key("properties").object(|_| {});
            }),
        }
        let strict = member("strict").and_then(|strict| json::boolean(body, strict));
        if strict == Some(true) && gate.structured {
            out.key("strict").boolean(true);
        }
        if let Some(cache_control) = json::member(body, tool, "cache_control") {
            out.key("cache_control").copy(body, cache_control);
        }
    });
}

/// The schema as it is, but for its type: the API takes `object` only.
fn write_object_schema(body: &[u8], schema: Span, out: &mut Writer<'_>) {
    let kind = json::member(body, schema, "type").and_then(|kind| json::string(body, kind));
    if kind.as_deref() == Some("object") {
        return out.copy(body, schema);
    }
    out.object(|out| {
        out.key("type").string("object");
        for member in json::members(body, schema) {
            if !json::is_named(body, member.key, "type") {
                let name = json::unescaped(member.key.of(body)).unwrap_or_default();
                out.key(&name).copy(body, member.value);
            }
        }
    });
}

/// A custom tool takes any text; here that is an object with one.
fn write_free_text(out: &mut Writer<'_>) {
    out.object(|out| {
        out.key("type").string("object");
        out.key("properties").object(|out| {
            out.key("input")
                .object(|out| out.key("type").string("string"));
        });
        out.key("required").array(|out| out.string("input"));
    });
}
