use super::*;
use crate::json;
use crate::limits::MESSAGES_MAX;

fn parsed(body: &str) -> ChatRequest {
    ChatRequest::parse(body.as_bytes()).unwrap()
}

fn texts(body: &str) -> Vec<(String, Place, u32)> {
    parsed(body)
        .texts
        .iter()
        .map(|text| {
            let raw = text.span.of(body.as_bytes());
            assert_eq!(text.escaped, raw.contains(&b'\\'));
            (json::unescape(raw), text.place, text.message)
        })
        .collect()
}

fn refused(body: &str) -> (Code, String, String) {
    let error = ChatRequest::parse(body.as_bytes()).unwrap_err();
    (error.code, error.param.unwrap_or_default(), error.message)
}

#[test]
fn a_small_request() {
    let body = r#" {"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}]} "#;
    let request = parsed(body);
    assert_eq!(request.model, "gpt-4o-mini");
    assert_eq!(request.model_span.of(body.as_bytes()), b"\"gpt-4o-mini\"");
    assert_eq!(
        (request.stream, request.include_usage, request.choices),
        (false, false, 1)
    );
    assert_eq!(
        (request.output_cap, request.user, request.images),
        (None, None, 0)
    );
    let [message] = request.messages[..] else {
        panic!()
    };
    assert_eq!(
        message.span.of(body.as_bytes()),
        br#"{"role":"user","content":"Hi"}"#
    );
    assert_eq!((message.role, message.has_name), (Role::User, false));
    assert_eq!(texts(body), [("Hi".to_owned(), Place::User, 0)]);
}

#[test]
fn every_member_weir_acts_upon() {
    let body = r#"{
        "model": "gpt\u002d5", "stream": true, "stream_options": {"x": 1, "include_usage": true},
        "n": 3, "max_tokens": 10, "max_completion_tokens": 20, "user": "u\n1",
        "tools": [{"type":"function"}], "messages": [{"content": null, "role": "assistant"}],
        "unknown": {"messages": []}
    }"#;
    let request = parsed(body);
    assert_eq!(request.model, "gpt-5");
    assert!(request.stream && request.include_usage);
    assert_eq!(
        request.stream_options.unwrap().of(body.as_bytes()),
        br#"{"x": 1, "include_usage": true}"#
    );
    assert_eq!((request.choices, request.output_cap), (3, Some(20)));
    assert_eq!(request.user.as_deref(), Some("u\n1"));
    assert_eq!(
        request.tools.unwrap().of(body.as_bytes()),
        br#"[{"type":"function"}]"#
    );
    assert!(request.texts.is_empty());
}

#[test]
fn null_counts_as_absent() {
    let request = parsed(
        r#"{"model":"m","messages":[{"role":"user","content":"","name":null}],"stream":null,"n":null,
            "max_tokens":null,"max_completion_tokens":null,"stream_options":null,"tools":null,"user":null}"#,
    );
    assert_eq!(
        (request.stream, request.choices, request.output_cap),
        (false, 1, None)
    );
    assert_eq!(
        (request.stream_options, request.tools, request.user),
        (None, None, None)
    );
    assert!(!request.messages[0].has_name);
    let fallback =
        r#"{"model":"m","messages":[{"role":"user"}],"max_completion_tokens":null,"max_tokens":0}"#;
    assert_eq!(parsed(fallback).output_cap, Some(0));
}

#[test]
fn every_shape_of_text_is_found() {
    let body = r#"{"model":"m","messages":[
        {"role":"system","content":"sys"},
        {"content":"dev","role":"developer"},
        {"role":"user","name":"Ann","content":[{"type":"text","text":"a\"b"},
            {"type":"input_text","text":"c"},
            {"type":"image_url","image_url":{"url":"data:x","detail":"low"}},
            {"type":"image_url","image_url":{"url":"https://x"}},
            {"type":"input_image","image_url":"https://x","detail":"low"},
            {"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}},
            {"type":"file","file":{"file_data":"x"}},
            {"type":"later","thinking":"d","content":[{"type":"text","text":"e"}],"data":"not text"},
            "f", 7]},
        {"role":"assistant","content":null,"refusal":"g","reasoning_content":"h",
            "tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
                {"type":"custom","custom":{"name":"c","input":"i"}},
                {"function":{"arguments":{"deep":["j"]}}}, null],
            "function_call":{"name":"old","arguments":"{}"},"audio":{"id":"x"}},
        {"role":"tool","tool_call_id":"1","content":[{"type":"text","text":"k"}]},
        {"role":"function","name":"fn","content":"l"},
        {"role":"critic","content":"m"}],
        "prediction":{"type":"content","content":"n"}}"#;
    let found = texts(body);
    let found: Vec<_> = found
        .iter()
        .map(|(text, place, at)| (text.as_str(), *place, *at))
        .collect();
    assert_eq!(
        found,
        [
            ("sys", Place::System, 0),
            ("dev", Place::System, 1),
            ("Ann", Place::Name, 2),
            ("a\"b", Place::User, 2),
            ("c", Place::User, 2),
            ("x", Place::File, 2),
            ("d", Place::User, 2),
            ("e", Place::User, 2),
            ("f", Place::User, 2),
            ("g", Place::Assistant, 3),
            ("h", Place::Assistant, 3),
            ("{\"a\":1}", Place::ToolArguments, 3),
            ("i", Place::Assistant, 3),
            ("j", Place::Assistant, 3),
            ("{}", Place::ToolArguments, 3),
            ("k", Place::ToolResult, 4),
            ("fn", Place::Name, 5),
            ("l", Place::ToolResult, 5),
            ("m", Place::Other, 6),
            ("n", Place::Other, OUTSIDE_MESSAGES),
        ]
    );
    let request = parsed(body);
    assert_eq!((request.images, request.images_low), (3, 2));
    assert!(request.messages[2].has_name && request.messages[5].has_name);
}

#[test]
fn what_weir_acts_on_is_given_once_and_in_lower_case() {
    let with = |rest: &str| format!(r#"{{"model":"m","messages":[{{"role":"user"}}],{rest}}}"#);
    let message = |rest: &str| {
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}},{{{rest}}}]}}"#)
    };
    for (body, param) in [
        (with(r#""model":"m""#), "model"),
        (with(r#""mod\u0065l":"b""#), "model"),
        (with(r#""messages":[{"role":"user"}]"#), "messages"),
        (with(r#""stream":true,"n":1,"stream":true"#), "stream"),
        (with(r#""max_tokens":1,"max_tokens":null"#), "max_tokens"),
        (
            with(r#""max_completion_tokens":1,"max_completion_tokens":2"#),
            "max_completion_tokens",
        ),
        (with(r#""n":1,"n":2"#), "n"),
        (with(r#""user":"a","user":"b""#), "user"),
        (with(r#""tools":[],"tools":null"#), "tools"),
        (
            with(r#""stream_options":{},"stream_options":{}"#),
            "stream_options",
        ),
        (with(r#""Model":"other""#), "model"),
        (with(r#""MAX_TOKENS":9"#), "max_tokens"),
        (with("\"max_to\u{212a}ens\":9"), "max_tokens"),
        (with("\"me\u{17f}\u{17f}ages\":[]"), "messages"),
        (
            message(r#""role":"user","content":"a","content":"b""#),
            "messages[1].content",
        ),
        (
            message(r#""role":"user","role":"system","content":"b""#),
            "messages[1].role",
        ),
        (
            message(r#""role":"user","c\u006fntent":"a","content":"b""#),
            "messages[1].content",
        ),
        (
            message(r#""role":"user","content":"a","Content":"b""#),
            "messages[1].content",
        ),
    ] {
        let (code, found, message) = refused(&body);
        assert_eq!(
            (code, found.as_str()),
            (Code::InvalidRequest, param),
            "{body}"
        );
        assert!(message.contains(param), "{message}");
    }
    // What Weir does not know may repeat: all of it is inspected.
    let odd = with(r#""x":"first value","x":"second value","Xx":1,"É":2"#);
    let found = texts(&odd);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn strings_outside_the_messages_texts_are_found() {
    let body = r#"{"model":"m-20240806@x","messages":[{"role":"user","tool_call_id":"id-1234567","x_note":"a note",
        "content":[{"type":"text","text":"t","id":"4111111111111111"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA1234567"}},
            {"type":"image_url","image_url":{"url":"https://x/1234567","detail":"low"}},
            {"type":"image_url","image_url":"https://x/7654321"},
            {"type":"file","file":{"file_data":"1234567","filename":"cv of ann.pdf","file_id":"f1234567"}}]}],
        "tools":[{"type":"function","function":{"name":"f_1234567","description":"about f","parameters":{
            "type":"object","properties":{"description":{"type":"string","description":"about it"},
            "a@b.example":{"enum":["one@b.example","plain"],"title":"about a"}}}}}],
        "response_format":{"type":"json_schema","json_schema":{"name":"n_1234567","description":"about n"}},
        "metadata":{"who_7654321":"somebody","data":"in data"},"user":"user-7",
        "stop":["stop here","x"],"later":{"schema":{"description":"about later","const":"later 1234567"}}}"#;
    let found = texts(body);
    let of = |place: Place| -> Vec<&str> {
        let here = found.iter().filter(|(_, at, _)| *at == place);
        here.map(|(text, ..)| text.as_str()).collect()
    };
    assert_eq!(
        of(Place::Parameter),
        [
            "a note",
            "cv of ann.pdf",
            "about f",
            "about it",
            "about a",
            "about n",
            "somebody",
            "in data",
            "user-7",
            "stop here",
            "about later"
        ]
    );
    assert_eq!(
        of(Place::Label),
        [
            "https://x/1234567",
            "https://x/7654321",
            "f_1234567",
            "a@b.example",
            "one@b.example",
            "n_1234567",
            "who_7654321",
            "later 1234567"
        ]
    );
    let request = parsed(body);
    assert_eq!((request.images, request.images_low), (3, 1));
    assert_eq!(of(Place::User), ["t"]);
}

#[test]
fn what_is_refused_names_the_parameter() {
    let with = |rest: &str| format!(r#"{{"model":"m","messages":[{{"role":"user"}}],{rest}}}"#);
    let messages = |messages: &str| format!(r#"{{"model":"m","messages":{messages}}}"#);
    let user = r#"{"role":"user","content":"x"}"#;
    for (body, param) in [
        ("[]".to_owned(), ""),
        ("\"x\"".to_owned(), ""),
        (r#"{"messages":[{"role":"user"}]}"#.to_owned(), "model"),
        (
            r#"{"model":"","messages":[{"role":"user"}]}"#.to_owned(),
            "model",
        ),
        (
            r#"{"model":null,"messages":[{"role":"user"}]}"#.to_owned(),
            "model",
        ),
        (
            r#"{"model":7,"messages":[{"role":"user"}]}"#.to_owned(),
            "model",
        ),
        (r#"{"model":"m"}"#.to_owned(), "messages"),
        (messages("null"), "messages"),
        (messages("{}"), "messages"),
        (messages("[]"), "messages"),
        (messages("[1]"), "messages[0]"),
        (messages(&format!("[{user},null]")), "messages[1]"),
        (
            messages(&format!("[{user},{user},{{}}]")),
            "messages[2].role",
        ),
        (messages(r#"[{"role":null}]"#), "messages[0].role"),
        (
            messages(r#"[{"role":"user","content":7}]"#),
            "messages[0].content",
        ),
        (
            messages(r#"[{"role":"user","content":{}}]"#),
            "messages[0].content",
        ),
        (
            messages(r#"[{"role":"user","content":false}]"#),
            "messages[0].content",
        ),
        (with(r#""stream":"true""#), "stream"),
        (with(r#""stream":1"#), "stream"),
        (with(r#""n":0"#), "n"),
        (with(r#""n":129"#), "n"),
        (with(r#""n":1.0"#), "n"),
        (with(r#""n":"1""#), "n"),
        (with(r#""max_tokens":-1"#), "max_tokens"),
        (with(r#""max_tokens":"9""#), "max_tokens"),
        (
            with(r#""max_completion_tokens":1.5"#),
            "max_completion_tokens",
        ),
        (
            with(r#""max_completion_tokens":18446744073709551616"#),
            "max_completion_tokens",
        ),
    ] {
        let (code, found, message) = refused(&body);
        assert_eq!(
            (code, found.as_str()),
            (Code::InvalidRequest, param),
            "{body}"
        );
        assert!(message.contains(param), "{message}");
    }
    for body in ["", "{", "{\"model\":\"m\",}", "nul"] {
        assert_eq!(refused(body).0, Code::InvalidJson, "{body}");
    }
    assert_eq!(parsed(&with(r#""n":128"#)).choices, 128);
}

#[test]
fn many_messages_are_linear_and_capped() {
    let of = |count: usize| {
        let one = r#"{"role":"user","content":"x"}"#;
        format!(
            r#"{{"model":"m","messages":[{}]}}"#,
            vec![one; count].join(",")
        )
    };
    assert_eq!(parsed(&of(MESSAGES_MAX)).messages.len(), MESSAGES_MAX);
    let (code, param, _) = refused(&of(MESSAGES_MAX + 1));
    assert_eq!((code, param.as_str()), (Code::InvalidRequest, "messages"));
}

#[test]
fn hostile_nesting_is_refused_before_it_is_walked() {
    let deep = format!("{}{}", r#"[{"content":"#.repeat(60), "[".repeat(100_000));
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{deep}"#);
    assert_eq!(refused(&body).0, Code::InvalidJson);
    let open = r#"[{"content":"#.repeat(60);
    let close = "}]".repeat(60);
    let body =
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":{open}"in"{close}}}]}}"#);
    assert_eq!(texts(&body), [("in".to_owned(), Place::User, 0)]);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<u32>().prop_map(Into::into),
            prop::sample::select(vec!["user", "assistant", "text", "x\"y", "image_url"])
                .prop_map(Into::into),
        ];
        let names = prop::sample::select(vec![
            "model",
            "messages",
            "role",
            "content",
            "text",
            "type",
            "tool_calls",
            "function",
            "arguments",
            "name",
            "stream",
            "stream_options",
            "n",
            "max_tokens",
            "image_url",
        ]);
        leaf.prop_recursive(5, 48, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::vec((names.clone(), inner), 0..6).prop_map(|members| {
                    serde_json::Value::Object(
                        members
                            .into_iter()
                            .map(|(name, value)| (name.to_owned(), value))
                            .collect(),
                    )
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_document_is_answered(value in any_json(), messages in any_json(), content in any_json()) {
            let _ = ChatRequest::parse(value.to_string().as_bytes());
            let _ = ChatRequest::parse(
                serde_json::json!({"model": "m", "messages": messages}).to_string().as_bytes(),
            );
            let body = serde_json::json!({
                "model": "m", "messages": [{"role": "user", "content": [content], "tool_calls": value}],
            });
            let body = body.to_string();
            let request = ChatRequest::parse(body.as_bytes()).unwrap();
            for text in &request.texts {
                let quoted = json::Span { start: text.span.start - 1, end: text.span.end + 1 };
                prop_assert!(json::string(body.as_bytes(), quoted).is_some());
                prop_assert_eq!(text.message, 0);
            }
        }
    }
}

#[test]
fn any_call_shows_its_model_and_all_that_people_wrote() {
    let body = br#"{"model":"m","stream":true,"system":[{"type":"text","text":"sys one"}],
        "input":[{"role":"user","content":[{"type":"input_text","text":"item two"}]},
        {"type":"function_call_output","call_id":"call_1","output":"result three"}],
        "messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1",
        "content":[{"type":"text","text":"nested four"}]}]}],"prompt":["five","six"],
        "metadata":{"user_id":"someone@example.com"}}"#;
    let call = Call::parse(body).unwrap();
    assert_eq!((call.model.as_str(), call.stream), ("m", true));
    let texts: Vec<&[u8]> = call.texts.iter().map(|text| text.span.of(body)).collect();
    for text in [
        "sys one",
        "item two",
        "result three",
        "nested four",
        "five",
        "six",
    ] {
        assert!(texts.contains(&text.as_bytes()), "{text} in {texts:?}");
    }
    assert!(texts.contains(&&b"someone@example.com"[..]), "{texts:?}");
    let nameless = Call::parse(b"{\"input\":\"x\"}").unwrap();
    assert_eq!((nameless.model.as_str(), nameless.model_span), ("", None));
    for bad in [
        "[]",
        "{",
        r#"{"model":1}"#,
        r#"{"input":"a","input":"b"}"#,
        r#"{"Model":"x"}"#,
    ] {
        assert!(Call::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}
