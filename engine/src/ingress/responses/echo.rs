//! What the answer repeats of its request.

use super::request::Request;
use super::tools;
use crate::json::{self, Kind, Span, Writer};
use crate::limits::RESPONSE_ECHO_BYTES_MAX;

/// Members that are copied where they have the type of their kind, with what stands for none.
const COPIED: [(&str, &[Kind], &str); 10] = [
    ("max_output_tokens", &[Kind::Number], "null"),
    ("metadata", &[Kind::Object], "{}"),
    ("parallel_tool_calls", &[Kind::True, Kind::False], "true"),
    (
        "reasoning",
        &[Kind::Object],
        r#"{"effort":null,"summary":null}"#,
    ),
    ("temperature", &[Kind::Number], "null"),
    ("text", &[Kind::Object], r#"{"format":{"type":"text"}}"#),
    ("tool_choice", &[Kind::Object, Kind::String], r#""auto""#),
    ("top_logprobs", &[Kind::Number], "0"),
    ("top_p", &[Kind::Number], "null"),
    ("user", &[Kind::String], "null"),
];
/// Members that are repeated only when they were given.
const GIVEN: [&str; 2] = ["prompt_cache_key", "safety_identifier"];

/// For the answer to a request of which nothing is known.
const NONE: &str = concat!(
    r#""instructions":null,"metadata":{},"parallel_tool_calls":true,"temperature":null,"#,
    r#""tool_choice":"auto","tools":[],"top_p":null"#,
);

/// The members for the response object, without brackets.
pub(super) fn members(echo: &[u8]) -> Vec<u8> {
    let response = json::document(echo)
        .ok()
        .and_then(|root| json::member(echo, root, "response"));
    match response.map(|object| object.unquoted().of(echo)) {
        Some(members) if !members.is_empty() => members.to_vec(),
        _ => NONE.as_bytes().to_vec(),
    }
}

/// Names of the custom tools.
pub(super) fn custom_tools(echo: &[u8]) -> Vec<String> {
    let names = json::document(echo)
        .ok()
        .and_then(|root| json::member(echo, root, "custom_tools"));
    json::elements(echo, names.unwrap_or_default())
        .filter_map(|name| json::string(echo, name))
        .map(|name| name.into_owned())
        .collect()
}

/// Writes `{"custom_tools":[names],"response":{members}}`.
pub(super) fn write(request: &Request<'_>) -> Vec<u8> {
    let body = request.body;
    let mut echo = Vec::new();
    let long = |value: &Option<Span>| value.is_some_and(|it| it.len() > RESPONSE_ECHO_BYTES_MAX);
    let short = |name: &str| request.get(name).filter(|value| !long(&Some(*value)));
    Writer::new(&mut echo).object(|out| {
        out.key("custom_tools").array(|out| {
            for name in tools::custom_names(request) {
                out.string(&name);
            }
        });
        out.key("response").object(|out| {
            for (name, kinds, none) in COPIED {
                let fits = |value: &Span| {
                    json::kind(body, *value).is_some_and(|kind| kinds.contains(&kind))
                };
                match short(name).filter(fits) {
                    Some(value) => out.key(name).copy(body, value),
                    None => out.key(name).raw(none.as_bytes()),
                }
            }
            for name in GIVEN {
                if let Some(value) = short(name) {
                    out.key(name).copy(body, value);
                }
            }
            match short("instructions") {
                Some(instructions) => out.key("instructions").copy(body, instructions),
                None => out.key("instructions").null(),
            }
            match short("tools") {
                Some(tools) => out.key("tools").copy(body, tools),
                None => out.key("tools").array(|_| {}),
            }
            out.key("background").boolean(false);
            out.key("previous_response_id").null();
            out.key("store").boolean(false);
            out.key("truncation").string("disabled");
        });
    });
    echo
}
