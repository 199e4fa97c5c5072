//! JSON Schema, as far as answers need it: types, members, elements, values and bounds. A keyword that
//! is not known here is refused when the rule is read, so that nothing passes for checked that is not.

use serde_json::Value;

/// Keywords that are checked, and those that say nothing about a value.
#[rustfmt::skip]
const KEYWORDS: &[&str] = &[
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "minimum", "maximum",
    "minLength", "maxLength", "minItems", "maxItems", "anyOf", "allOf", "oneOf", "not",
    "title", "description", "default", "examples", "$schema", "$id", "$comment",
];
const TYPES: &[&str] = &[
    "array", "boolean", "integer", "null", "number", "object", "string",
];
/// Nesting of a schema.
const DEPTH_MAX: usize = 32;

/// Whether every keyword of a schema is known; names the first that is not.
pub(crate) fn check(schema: &Value, depth: usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err("is nested too deeply".to_owned());
    }
    let object = match schema {
        Value::Bool(_) => return Ok(()),
        Value::Object(object) => object,
        _ => return Err("must be an object".to_owned()),
    };
    for (name, value) in object {
        if !KEYWORDS.contains(&name.as_str()) {
            return Err(format!("`{name}` is not supported"));
        }
        let list = || value.as_array().map(Vec::as_slice).unwrap_or_default();
        match name.as_str() {
            "type" => {
                let one = std::slice::from_ref(value);
                let names = value.as_array().map_or(one, Vec::as_slice);
                let known = |name: &Value| name.as_str().is_some_and(|name| TYPES.contains(&name));
                if !names.iter().all(known) {
                    return Err(format!("`type` must be of {}", TYPES.join(", ")));
                }
            }
            "items" | "additionalProperties" | "not" => check(value, depth + 1)?,
            "anyOf" | "allOf" | "oneOf" => {
                for one in list() {
                    check(one, depth + 1)?;
                }
            }
            "properties" => {
                for one in value.as_object().into_iter().flat_map(|it| it.values()) {
                    check(one, depth + 1)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a value is as the schema says.
pub(super) fn fits(schema: &Value, value: &Value) -> bool {
    let object = match schema {
        Value::Bool(fits) => return *fits,
        Value::Object(object) => object,
        _ => return false,
    };
    object
        .iter()
        .all(|(name, wanted)| keyword(name, wanted, object, value))
}

fn keyword(
    name: &str,
    wanted: &Value,
    schema: &serde_json::Map<String, Value>,
    value: &Value,
) -> bool {
    let list = || wanted.as_array().map(Vec::as_slice).unwrap_or_default();
    let within = |count: Option<usize>, fits: fn(u64, u64) -> bool| {
        count.is_none_or(|count| {
            wanted
                .as_u64()
                .is_none_or(|bound| fits(count as u64, bound))
        })
    };
    let compared = |fits: fn(f64, f64) -> bool| {
        value
            .as_f64()
            .is_none_or(|number| wanted.as_f64().is_none_or(|bound| fits(number, bound)))
    };
    let letters = value.as_str().map(|text| text.chars().count());
    let elements = value.as_array().map(Vec::len);
    match name {
        "type" => {
            let one = std::slice::from_ref(wanted);
            let names = wanted.as_array().map_or(one, Vec::as_slice);
            names
                .iter()
                .filter_map(Value::as_str)
                .any(|name| is_type(name, value))
        }
        "properties" => wanted
            .as_object()
            .into_iter()
            .flatten()
            .all(|(name, schema)| value.get(name).is_none_or(|member| fits(schema, member))),
        "required" => {
            let has = |name: &Value| name.as_str().is_some_and(|name| value.get(name).is_some());
            !value.is_object() || list().iter().all(has)
        }
        "additionalProperties" => {
            let named = schema.get("properties").and_then(Value::as_object);
            value
                .as_object()
                .into_iter()
                .flatten()
                .all(|(name, member)| {
                    named.is_some_and(|named| named.contains_key(name)) || fits(wanted, member)
                })
        }
        "items" => value
            .as_array()
            .into_iter()
            .flatten()
            .all(|item| fits(wanted, item)),
        "enum" => list().contains(value),
        "const" => wanted == value,
        "minimum" => compared(|number, bound| number >= bound),
        "maximum" => compared(|number, bound| number <= bound),
        "minLength" => within(letters, |count, bound| count >= bound),
        "maxLength" => within(letters, |count, bound| count <= bound),
        "minItems" => within(elements, |count, bound| count >= bound),
        "maxItems" => within(elements, |count, bound| count <= bound),
        "anyOf" => list().iter().any(|schema| fits(schema, value)),
        "allOf" => list().iter().all(|schema| fits(schema, value)),
        "oneOf" => list().iter().filter(|schema| fits(schema, value)).count() == 1,
        "not" => !fits(wanted, value),
        _ => true,
    }
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        _ => false,
    }
}
