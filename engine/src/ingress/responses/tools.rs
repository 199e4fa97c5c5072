//! Tools and the choice among them: flat here, nested in a chat completion.

use super::request::Request;
use super::{some, text};
use crate::json::{self, Kind, Span, Writer};
use crate::request::RequestError;

/// Members of a function, in the order in which they are written.
const OF_FUNCTION: [&str; 4] = ["name", "description", "parameters", "strict"];

/// Writes `tools`, `tool_choice` and `parallel_tool_calls`. Without tools OpenAI takes none of the
/// three.
pub(super) fn write(request: &Request<'_>, out: &mut Writer<'_>) -> Result<(), RequestError> {
    let body = request.body;
    let parallel = request.boolean("parallel_tool_calls")?;
    let mut choice = Vec::new();
    if let Some(value) = request.get("tool_choice") {
        write_choice(body, value, &mut Writer::new(&mut choice))?;
    }
    let Some(tools) = request.get("tools") else {
        return Ok(());
    };
    if json::kind(body, tools) != Some(Kind::Array) {
        return Err(RequestError::invalid("tools", "'tools' must be an array"));
    }
    if json::elements(body, tools).next().is_none() {
        return Ok(());
    }
    let mut list = Vec::with_capacity(tools.len());
    let mut written = Ok(());
    Writer::new(&mut list).object(|out| {
        out.key("tools").array(|out| {
            written = json::elements(body, tools)
                .enumerate()
                .try_for_each(|(index, tool)| write_tool(body, index, tool, out));
        });
    });
    written?;
    // They stand one level deeper than they came.
    let nested = json::document(&list).ok();
    let Some(nested) = nested.and_then(|root| json::member(&list, root, "tools")) else {
        return Err(RequestError::invalid(
            "tools",
            "'tools' is nested too deeply",
        ));
    };
    out.key("tools").raw(nested.of(&list));
    if !choice.is_empty() {
        out.key("tool_choice").raw(&choice);
    }
    if let Some(parallel) = parallel {
        out.key("parallel_tool_calls").boolean(parallel);
    }
    Ok(())
}

/// Names of the tools that take any text.
pub(super) fn custom_names(request: &Request<'_>) -> Vec<String> {
    let body = request.body;
    json::elements(body, request.get("tools").unwrap_or_default())
        .filter(|tool| text(body, *tool, "type").as_deref() == Some("custom"))
        .filter_map(|tool| text(body, tool, "name"))
        .map(|name| name.into_owned())
        .collect()
}

fn write_tool(
    body: &[u8],
    index: usize,
    tool: Span,
    out: &mut Writer<'_>,
) -> Result<(), RequestError> {
    let kind = text(body, tool, "type").unwrap_or_default();
    match &*kind {
        "function" | "custom" => {}
        "" => {
            let place = format!("tools[{index}].type");
            return Err(RequestError::invalid(place, "a tool needs a type"));
        }
        _ => {
            let message = "this provider runs no tools of its own: only function and custom tools \
                           can be used";
            return Err(RequestError::invalid(
                format!("tools[{index}].type"),
                message,
            ));
        }
    }
    // Some clients write it as for a chat completion.
    let definition = some(body, tool, &kind).unwrap_or(tool);
    if text(body, definition, "name").is_none_or(|name| name.is_empty()) {
        let place = format!("tools[{index}].name");
        return Err(RequestError::invalid(place, "a tool needs a name"));
    }
    out.object(|out| {
        out.key("type").string(&kind);
        out.key(&kind).object(|out| {
            if kind == "custom" {
                write_custom(body, definition, out);
            } else {
                copy_members(body, definition, &OF_FUNCTION, out);
            }
        });
        copy_members(body, tool, &["cache_control"], out);
    });
    Ok(())
}

fn write_custom(body: &[u8], definition: Span, out: &mut Writer<'_>) {
    copy_members(body, definition, &["name", "description"], out);
    let Some(format) = some(body, definition, "format") else {
        return;
    };
    let is_flat = text(body, format, "type").as_deref() == Some("grammar")
        && some(body, format, "grammar").is_none();
    if !is_flat {
        return out.key("format").copy(body, format);
    }
    out.key("format").object(|out| {
        out.key("type").string("grammar");
        out.key("grammar")
            .object(|out| copy_members(body, format, &["definition", "syntax"], out));
    });
}

fn copy_members(body: &[u8], object: Span, names: &[&str], out: &mut Writer<'_>) {
    for name in names {
        if let Some(value) = some(body, object, name) {
            out.key(name).copy(body, value);
        }
    }
}

fn write_choice(body: &[u8], choice: Span, out: &mut Writer<'_>) -> Result<(), RequestError> {
    let refuse = |message: &str| Err(RequestError::invalid("tool_choice", message));
    if let Some(mode) = json::string(body, choice) {
        if !matches!(&*mode, "auto" | "none" | "required") {
            return refuse("'tool_choice' must be none, auto, required or an object");
        }
        out.string(&mode);
        return Ok(());
    }
    match text(body, choice, "type").as_deref() {
        Some("function" | "custom") => write_named(body, choice, out),
        Some("allowed_tools") => {
            let group = some(body, choice, "allowed_tools").unwrap_or(choice);
            let mut written = Ok(());
            out.object(|out| {
                out.key("type").string("allowed_tools");
                out.key("allowed_tools").object(|out| {
                    let mode = text(body, group, "mode");
                    let is_required = mode.as_deref() == Some("required");
                    out.key("mode")
                        .string(if is_required { "required" } else { "auto" });
                    let tools = some(body, group, "tools").unwrap_or_default();
                    out.key("tools").array(|out| {
                        written = json::elements(body, tools)
                            .try_for_each(|tool| write_named(body, tool, out));
                    });
                });
            });
            written
        }
        _ => refuse(
            "this provider runs no tools of its own: only function and custom tools can be chosen",
        ),
    }
}

/// `{type, name}` of a function or custom tool.
fn write_named(body: &[u8], tool: Span, out: &mut Writer<'_>) -> Result<(), RequestError> {
    let kind = text(body, tool, "type").unwrap_or_default();
    let inner = some(body, tool, &kind).unwrap_or(tool);
    let name = text(body, inner, "name").filter(|name| !name.is_empty());
    let (Some(name), "function" | "custom") = (name, &*kind) else {
        let message = "a choice names function or custom tools";
        return Err(RequestError::invalid("tool_choice", message));
    };
    out.object(|out| {
        out.key("type").string(&kind);
        out.key(&kind).object(|out| out.key("name").string(&name));
    });
    Ok(())
}
