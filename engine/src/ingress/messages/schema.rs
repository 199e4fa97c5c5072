//! Whether a schema can be enforced as OpenAI does it.

use super::{some, text};
use crate::json::{self, Kind, Span};

/// Keywords that OpenAI's strict mode refuses.
const REFUSED: &[&str] = &[
    "allOf",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "not",
    "oneOf",
    "patternProperties",
    "then",
];

/// Whether every object in the schema is closed and needs all its members. Anthropic enforces any
/// schema; OpenAI answers `400` to a strict one that leaves something open.
pub(super) fn is_strict(body: &[u8], schema: Span) -> bool {
    if text(body, schema, "type").as_deref() != Some("object") {
        return false;
    }
    let mut open = vec![schema];
    while let Some(schema) = open.pop() {
        if json::kind(body, schema) != Some(Kind::Object) || !is_closed(body, schema) {
            return false;
        }
        for member in json::members(body, schema) {
            let name = json::unescaped(member.key.of(body)).unwrap_or_default();
            match &*name {
                "properties" | "$defs" | "definitions" => {
                    open.extend(json::members(body, member.value).map(|member| member.value));
                }
                "items" => open.push(member.value),
                "anyOf" => open.extend(json::elements(body, member.value)),
                name if REFUSED.contains(&name) => return false,
                _ => {}
            }
        }
    }
    true
}

/// Whether a schema, if it is one of objects, allows and needs its properties and nothing else.
fn is_closed(body: &[u8], schema: Span) -> bool {
    let properties = some(body, schema, "properties");
    if properties.is_none() && text(body, schema, "type").as_deref() != Some("object") {
        return true;
    }
    let others = some(body, schema, "additionalProperties");
    if others.and_then(|others| json::boolean(body, others)) != Some(false) {
        return false;
    }
    let required = some(body, schema, "required").unwrap_or_default();
    let needed: hashbrown::HashSet<_> = json::elements(body, required)
        .filter_map(|name| json::string(body, name))
        .collect();
    json::members(body, properties.unwrap_or_default()).all(|member| {
        json::unescaped(member.key.of(body)).is_some_and(|name| needed.contains(&name))
    })
}
