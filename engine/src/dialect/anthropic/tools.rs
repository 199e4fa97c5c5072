//! Tools and the choice among them, as the Messages API has them.

use super::gate::Gate;
use crate::dialect::tools::{Choice, Tools};
use crate::json::{self, Kind, Span, Writer};

/// `disable_parallel_tool_use` is a part of the choice: it needs one to be in.
pub(super) fn write_choice(choice: &Choice, one_at_a_time: bool, out: &mut Writer<'_>) {
    let (kind, name) = match choice {
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
        if one_at_a_time && *choice != Choice::Never {
            out.key("disable_parallel_tool_use").boolean(true);
        }
    });
}

pub(super) fn write_tools(tools: &Tools, body: &[u8], gate: Gate, out: &mut Writer<'_>) {
    out.array(|out| {
        for (tool, name) in tools.offered(body) {
            write_definition(body, tool, &name, gate, out);
        }
    });
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
