//! Tools, and the choice among them.

use super::{some, text};
use crate::dialect::DroppedNames;
use crate::json::{self, Kind, Span, Writer};
use crate::request::RequestError;

/// Writes `tools` and what goes with them. Without a tool nothing is said of a choice either:
/// OpenAI refuses that.
///
/// # Errors
/// A tool that is not the client's own, and what has not the shape of one.
pub(super) fn write(
    body: &[u8],
    root: Span,
    dropped: &mut DroppedNames,
    out: &mut Writer<'_>,
) -> Result<(), RequestError> {
    let choice = some(body, root, "tool_choice").map(|choice| Choice::read(body, choice));
    let choice = choice.transpose()?;
    let Some(tools) = some(body, root, "tools") else {
        return Ok(());
    };
    if json::kind(body, tools) != Some(Kind::Array) {
        return Err(RequestError::invalid("tools", "Input should be a list"));
    }
    if json::elements(body, tools).next().is_none() {
        return Ok(());
    }
    for (index, tool) in json::elements(body, tools).enumerate() {
        check(body, tool, index)?;
    }
    out.key("tools").array(|out| {
        for tool in json::elements(body, tools) {
            write_tool(body, tool, dropped, out);
        }
    });
    if let Some(choice) = choice {
        choice.write(out);
    }
    Ok(())
}

/// # Errors
/// A tool that Anthropic runs, or whose definition only its models know.
fn check(body: &[u8], tool: Span, index: usize) -> Result<(), RequestError> {
    let invalid = |member: &str, why: String| {
        let place = format!("tools.{index}{member}");
        Err(RequestError::invalid(place, why))
    };
    if json::kind(body, tool) != Some(Kind::Object) {
        return invalid("", "Input should be an object".to_owned());
    }
    match some(body, tool, "type").map(|kind| json::string(body, kind)) {
        None => {}
        Some(Some(kind)) if kind == "custom" => {}
        Some(kind) => {
            let kind = kind.unwrap_or_default();
            let kind: String = kind.chars().take(64).collect();
            return invalid(
                ".type",
                format!("{kind} is Anthropic's own tool, which other providers do not have"),
            );
        }
    }
    if text(body, tool, "name").is_none_or(|name| name.is_empty()) {
        return invalid(".name", "Field required".to_owned());
    }
    let schema = some(body, tool, "input_schema");
    if schema.and_then(|schema| json::kind(body, schema)) != Some(Kind::Object) {
        return invalid(".input_schema", "Field required".to_owned());
    }
    Ok(())
}

fn write_tool(body: &[u8], tool: Span, dropped: &mut DroppedNames, out: &mut Writer<'_>) {
    out.object(|out| {
        out.key("type").string("function");
        out.key("function").object(|out| {
            for (from, to) in [
                ("name", "name"),
                ("description", "description"),
                ("input_schema", "parameters"),
                ("strict", "strict"),
            ] {
                if let Some(value) = some(body, tool, from) {
                    out.key(to).copy(body, value);
                }
            }
        });
        if let Some(cache_control) = some(body, tool, "cache_control") {
            out.key("cache_control").copy(body, cache_control);
        }
    });
    for member in json::members(body, tool) {
        let name = json::unescaped(member.key.of(body)).unwrap_or_default();
        let known = [
            "type",
            "name",
            "description",
            "input_schema",
            "strict",
            "cache_control",
        ];
        if !known.contains(&&*name) && says_something(body, member.value) {
            dropped.add(&format!("tools[].{name}"));
        }
    }
}

/// Whether a setting is anything but off.
fn says_something(body: &[u8], value: Span) -> bool {
    !matches!(
        json::kind(body, value),
        None | Some(Kind::Null | Kind::False)
    )
}

/// `tool_choice`.
struct Choice {
    kind: String,
    name: Option<String>,
    one_at_a_time: bool,
}

impl Choice {
    /// # Errors
    /// It is no choice.
    fn read(body: &[u8], choice: Span) -> Result<Choice, RequestError> {
        let kind = text(body, choice, "type").unwrap_or_default();
        let name = text(body, choice, "name").filter(|name| !name.is_empty());
        match (&*kind, &name) {
            ("auto" | "any" | "none", _) | ("tool", Some(_)) => {}
            ("tool", None) => {
                return Err(RequestError::invalid("tool_choice.name", "Field required"));
            }
            _ => {
                return Err(RequestError::invalid(
                    "tool_choice.type",
                    "Input should be auto, any, tool or none",
                ));
            }
        }
        let disabled = some(body, choice, "disable_parallel_tool_use");
        Ok(Choice {
            kind: kind.into_owned(),
            name: name.map(|name| name.into_owned()),
            one_at_a_time: disabled.and_then(|it| json::boolean(body, it)) == Some(true),
        })
    }

    fn write(&self, out: &mut Writer<'_>) {
        match (&*self.kind, &self.name) {
            ("any", _) => out.key("tool_choice").string("required"),
            ("tool", Some(name)) => out.key("tool_choice").object(|out| {
                out.key("type").string("function");
                out.key("function")
                    .object(|out| out.key("name").string(name));
            }),
            (kind, _) => out.key("tool_choice").string(kind),
        }
        if self.one_at_a_time && self.kind != "none" {
            out.key("parallel_tool_calls").boolean(false);
        }
    }
}
