//! JSON schemas as Anthropic's structured output takes them: every object closed, and bounds that
//! it does not enforce told to the model in words.

use crate::json::{self, Kind, Span, Writer};
use crate::limits::JSON_DEPTH_MAX;

/// Keywords that Anthropic's decoder refuses or ignores.
const UNENFORCED: [&str; 10] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "minProperties",
    "maxProperties",
];

/// Writes the schema at `schema`.
pub(in crate::dialect) fn write(body: &[u8], schema: Span, out: &mut Writer<'_>) {
    write_at(body, schema, out, JSON_DEPTH_MAX);
}

fn write_at(body: &[u8], schema: Span, out: &mut Writer<'_>, depth: usize) {
    if json::kind(body, schema) != Some(Kind::Object) || depth == 0 {
        return out.copy(body, schema);
    }
    let depth = depth.saturating_sub(1);
    let mut is_object = false;
    let mut description = String::new();
    let mut bounds = Vec::new();
    out.object(|out| {
        for member in json::members(body, schema) {
            let Some(name) = json::unescaped(member.key.of(body)) else {
                continue;
            };
            let value = member.value;
            if UNENFORCED.contains(&&*name) {
                let value = String::from_utf8_lossy(value.of(body));
                bounds.push(format!("{name}: {value}"));
                continue;
            }
            match &*name {
                "description" => {
                    description = json::string(body, value).unwrap_or_default().into_owned();
                }
                "additionalProperties" => {}
                "type" => {
                    is_object |= json::string(body, value).as_deref() == Some("object");
                    out.key(&name).copy(body, value);
                }
                "properties" | "$defs" | "definitions" => {
                    is_object |= name == "properties";
                    out.key(&name).object(|out| {
                        for member in json::members(body, value) {
                            let name = json::unescaped(member.key.of(body)).unwrap_or_default();
                            write_at(body, member.value, out.key(&name), depth);
                        }
                    });
                }
                "items" | "not" => write_at(body, value, out.key(&name), depth),
                "anyOf" | "allOf" | "oneOf" | "prefixItems" => out.key(&name).array(|out| {
                    for element in json::elements(body, value) {
                        write_at(body, element, out, depth);
                    }
                }),
                _ => out.key(&name).copy(body, value),
            }
        }
        if is_object {
            out.key("additionalProperties").boolean(false);
        }
        if !bounds.is_empty() {
            let separator = if description.is_empty() { "" } else { " " };
            description = format!("{description}{separator}({})", bounds.join(", "));
        }
        if !description.is_empty() {
            out.key("description").string(&description);
        }
    });
}
