use proptest::prelude::*;

use super::*;
use crate::request::ChatRequest;

fn key_of(body: &str) -> String {
    let request = ChatRequest::parse(body.as_bytes()).unwrap();
    cache_key(
        "tenant",
        "openai",
        "m",
        (body.as_bytes(), request.root),
        WITHOUT_INFLUENCE,
    )
}

const BASE: &str =
    r#"{"model":"m","messages":[{"role":"user","content":"a b"}],"temperature":0.5}"#;

#[test]
fn sha256_of_known_texts() {
    assert_eq!(
        sha256_hex(b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(
        sha256_hex(b""),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

#[test]
fn the_form_is_pinned() {
    // A change here orphans every stored answer: change FORM with it.
    assert_eq!(
        key_of(BASE),
        "59a0bea55b5e3d7097810f5c13ac261cd1c175e70e83bd9e87cf074e42f94c3f"
    );
}

#[test]
fn what_cannot_change_an_answer_does_not_count() {
    for same in [
        r#" { "temperature" : 0.5, "messages":[ {"content":"a b","role":"user"} ], "model":"m" } "#,
        r#"{"mod\u0065l":"\u006d","messages":[{"role":"user","content":"a\u0020b"}],"temperature":0.5}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"a b"}],"temperature":0.5,"user":"x",
            "metadata":{"a":"b"},"store":true,"stream_options":{"include_usage":true},
            "service_tier":"flex","safety_identifier":"y","prompt_cache_key":"z","prompt_cache_retention":"24h"}"#,
    ] {
        assert_eq!(key_of(same), key_of(BASE), "{same}");
    }
}

#[test]
fn everything_else_counts() {
    let of = |members: &str| format!(r#"{{"model":"m",{members}}}"#);
    let hi = r#""messages":[{"role":"user","content":"hi"}]"#;
    let bodies = [
        of(hi),
        of(r#""messages":[{"role":"user","content":"hi "}]"#),
        of(r#""messages":[{"role":"user","content":"Hi"}]"#),
        of(r#""messages":[{"role":"system","content":"hi"}]"#),
        of(r#""messages":[{"role":"user","content":"hi","name":"x"}]"#),
        of(r#""messages":[{"role":"user","content":"hi","user":"x"}]"#),
        of(r#""messages":[{"role":"user","content":["hi"]}]"#),
        of(r#""messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]"#),
        of(r#""messages":[{"role":"user","content":"hi"},{"role":"user","content":"hi"}]"#),
        of(r#""messages":[{"role":"user","content":"\ud800"}]"#),
        of(r#""messages":[{"role":"user","content":"\ud801"}]"#),
        of("\"messages\":[{\"role\":\"user\",\"content\":\"\u{fffd}\"}]"),
        of(r#""messages":[{"role":"user","content":null}]"#),
        of(r#""messages":[{"role":"user","content":"null"}]"#),
        of(&format!(r#"{hi},"temperature":0"#)),
        of(&format!(r#"{hi},"temperature":1"#)),
        of(&format!(r#"{hi},"seed":1"#)),
        of(&format!(r#"{hi},"seed":"1""#)),
        of(&format!(r#"{hi},"stream":true"#)),
        of(&format!(r#"{hi},"n":2"#)),
        of(&format!(r#"{hi},"max_tokens":5"#)),
        of(&format!(r#"{hi},"tools":[{{"type":"function"}}]"#)),
        of(&format!(
            r#"{hi},"response_format":{{"type":"json_object"}}"#
        )),
        of(&format!(r#"{hi},"not_known":[[],[1]]"#)),
        of(&format!(r#"{hi},"not_known":[[1],[]]"#)),
        of(&format!(r#"{hi},"not_known":[[[]],1]"#)),
        of(&format!(r#"{hi},"not_known":{{"a":1,"b":2}}"#)),
        of(&format!(r#"{hi},"not_known":{{"a":2,"b":1}}"#)),
        of(&format!(r#"{hi},"not_known":{{"a":1,"a":2}}"#)),
        of(&format!(r#"{hi},"not_known":{{"a":2,"a":1}}"#)),
    ];
    let keys: std::collections::HashSet<String> = bodies.iter().map(|body| key_of(body)).collect();
    assert_eq!(keys.len(), bodies.len());
}

#[test]
fn scope_provider_and_model_do_not_run_into_each_other() {
    let request = ChatRequest::parse(BASE.as_bytes()).unwrap();
    let of = |scope: &str, provider: &str, model: &str| {
        cache_key(
            scope,
            provider,
            model,
            (BASE.as_bytes(), request.root),
            WITHOUT_INFLUENCE,
        )
    };
    let keys = [
        of("ab", "c", "d"),
        of("a", "bc", "d"),
        of("a", "b", "cd"),
        of("abc", "", "d"),
        of("", "abc", "d"),
        of("ab", "c", "e"),
    ];
    let distinct: std::collections::HashSet<&String> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
}

#[test]
fn the_deepest_document_has_a_key() {
    let depth = crate::limits::JSON_DEPTH_MAX - 1;
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user"}}],"x":{deep}}}"#);
    assert_eq!(key_of(&body).len(), 64);
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        (0_u8..3).prop_map(Into::into),
        "[a\"]{0,2}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            prop::collection::btree_map("[ab]", inner, 0..3)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// JSON text of a value with its members backwards and white space everywhere.
fn disguised(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(items) => {
            format!(
                "[ {} ]",
                items.iter().map(disguised).collect::<Vec<_>>().join(" ,\n")
            )
        }
        serde_json::Value::Object(members) => {
            let members = members.iter().rev().map(|(name, value)| {
                format!("{} :\t{}", serde_json::json!(name), disguised(value))
            });
            format!("{{ {} }}", members.collect::<Vec<_>>().join(" , "))
        }
        scalar => scalar.to_string(),
    }
}

proptest! {
    #[test]
    fn one_key_per_value(left in value(), right in value()) {
        let body = |x: &str| {
            key_of(&format!(r#"{{"model":"m","messages":[{{"role":"user"}}],"x":{x}}}"#))
        };
        prop_assert_eq!(body(&left.to_string()), body(&disguised(&left)));
        prop_assert_eq!(left == right, body(&left.to_string()) == body(&right.to_string()));
    }
}
