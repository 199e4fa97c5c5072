//! Golden files in `testdata/ingress/messages`, and laws that hold for any input. The files with
//! answers and events are read with Anthropic's own types by `tests/python/judge_messages.py`.

use super::*;
use crate::golden::{differs, folder, inputs, pretty};
use crate::ingress::{Context, Ingress, StreamEncoder};
use crate::request::ChatRequest;

mod grammar;
mod laws;

const CREATED_S: u64 = 1_700_000_000;

/// Files called `thinks-...` are of clients that asked for thinking.
fn context(name: &str) -> Context<'_> {
    Context {
        exchange: "x1",
        created_s: CREATED_S,
        model: "model-asked",
        tokens_in: 90,
        echo: if name.starts_with("thinks-") {
            THINKS
        } else {
            &[]
        },
    }
}

fn to_chat(body: &[u8]) -> Result<crate::ingress::Translated, crate::request::RequestError> {
    let root = json::document(body).expect("a document");
    Ingress::Messages.to_chat(body, root)
}

#[test]
fn requests() {
    let folder = folder("ingress/messages/requests");
    let mut wrong = Vec::new();
    for (name, body) in inputs(&folder, 60) {
        let mut seen = Vec::new();
        Writer::new(&mut seen).object(|out| match to_chat(&body) {
            Ok(chat) => {
                out.key("dropped")
                    .array(|out| chat.dropped.iter().for_each(|it| out.string(it)));
                out.key("echo").string(&String::from_utf8_lossy(&chat.echo));
                out.key("body").raw(&chat.body);
                ChatRequest::parse(&chat.body).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            Err(refused) => {
                let param = refused.param.as_deref();
                let openai = crate::dialect::error_body(&refused.message, "t", param, None);
                out.key("refused")
                    .raw(&Ingress::Messages.error(400, openai, "x1"));
            }
        });
        if differs(&folder.join(format!("{name}.chat.json")), &pretty(&seen)) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn answers() {
    let folder = folder("ingress/messages/answers");
    let mut wrong = Vec::new();
    for (name, chat) in inputs(&folder, 15) {
        let seen = Ingress::Messages.answer(&chat, &context(&name));
        if differs(&folder.join(format!("{name}.message.json")), &pretty(&seen)) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn encode(name: &str, chunks: &[&[u8]]) -> Vec<u8> {
    let mut encoder = StreamEncoder::new(Ingress::Messages, &context(name));
    let mut out = Vec::new();
    for chunk in chunks {
        encoder.push(chunk, &mut out);
    }
    out
}

#[test]
fn streams() {
    let folder = folder("ingress/messages/streams");
    let mut wrong = Vec::new();
    for (name, stream) in inputs(&folder, 20) {
        let seen = encode(&name, &[&stream]);
        grammar::check(&seen).unwrap_or_else(|error| panic!("{name}: {error}"));
        for size in [1, 7, 64] {
            let chunks: Vec<&[u8]> = stream.chunks(size).collect();
            assert_eq!(
                String::from_utf8_lossy(&encode(&name, &chunks)),
                String::from_utf8_lossy(&seen),
                "{name} in pieces of {size}"
            );
        }
        if differs(&folder.join(format!("{name}.events.sse")), &seen) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn errors_say_what_clients_branch_on() {
    let error = |status, message: &str, param, code| {
        let openai = crate::dialect::error_body(message, "t", param, code);
        String::from_utf8(Ingress::Messages.error(status, openai, "x1")).unwrap()
    };
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (408, "timeout_error"),
        (409, "conflict_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ] {
        let expect = format!(
            r#"{{"type":"error","error":{{"type":"{kind}","message":"No.","details":{{"error_code":"c"}}}},"request_id":"x1"}}"#
        );
        assert_eq!(error(status, "No.", None, Some("c")), expect);
    }
    let said = |param, code, message| {
        let error: serde_json::Value =
            serde_json::from_str(&error(400, message, param, code)).unwrap();
        error["error"]["message"].as_str().unwrap().to_owned()
    };
    let too_long = Some("context_length_exceeded");
    assert_eq!(
        said(Some("messages"), too_long, "At most 9 tokens."),
        "prompt is too long: At most 9 tokens."
    );
    assert_eq!(
        said(None, too_long, "Prompt is too long: 9 tokens > 8 maximum"),
        "prompt is too long: 9 tokens > 8 maximum"
    );
    assert_eq!(
        said(Some("messages.0.role"), None, "Field required"),
        "messages.0.role: Field required"
    );
    assert_eq!(said(Some("messages[1].role"), None, "No."), "No.");
    assert_eq!(said(Some("n"), None, ""), "n: the request failed");
    let broken = Ingress::Messages.error(500, b"<html>".to_vec(), "x1");
    assert_eq!(
        String::from_utf8_lossy(&broken),
        r#"{"type":"error","error":{"type":"api_error","message":"the request failed"},"request_id":"x1"}"#
    );
}

#[test]
fn models_are_listed_on_one_page() {
    let list = |ids: &[&str]| String::from_utf8(models(ids.iter().copied())).unwrap();
    let one = r#"{"type":"model","id":"gpt-4o","display_name":"gpt-4o","created_at":"1970-01-01T00:00:00Z","lifecycle":"active"}"#;
    assert_eq!(String::from_utf8_lossy(&model("gpt-4o")), one);
    assert_eq!(
        list(&[]),
        r#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#
    );
    let two = list(&["gpt-4o", "b"]);
    assert!(two.starts_with(&format!("{{\"data\":[{one},")), "{two}");
    assert!(
        two.ends_with(r#""first_id":"gpt-4o","last_id":"b"}"#),
        "{two}"
    );
}

#[test]
fn a_count_needs_no_cap() {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#;
    let root = json::document(body).unwrap();
    assert!(to_chat(body).is_err());
    let chat = count_to_chat(body, root).unwrap();
    assert_eq!(chat.body, body);
}

#[test]
fn what_waits_has_a_limit() {
    let chunk = |index: u32, arguments: &str| {
        let call = serde_json::json!({"index": index, "id": format!("c{index}"),
            "function": {"name": "f", "arguments": arguments}});
        let chunk = serde_json::json!({"choices": [{"delta": {"tool_calls": [call]}}]});
        format!("data: {chunk}\n\n").into_bytes()
    };
    let piece = "x".repeat(crate::limits::EVENT_BYTES_MAX / 2);
    let mut encoder = StreamEncoder::new(Ingress::Messages, &context(""));
    let mut out = Vec::new();
    encoder.push(&chunk(0, "{"), &mut out);
    for _ in 0..20 {
        // Pieces of the first call are not held.
        encoder.push(&chunk(0, &piece), &mut out);
    }
    assert!(!String::from_utf8_lossy(&out).contains("event: error"));
    for _ in 0..4 {
        out.clear();
        encoder.push(&chunk(1, &piece), &mut out);
    }
    grammar::check_end(&out).unwrap();
    assert!(out.starts_with(b"event: error\n"), "too much was held");
    out.clear();
    encoder.push(b"data: [DONE]\n\n", &mut out);
    assert!(out.is_empty());

    let mut encoder = StreamEncoder::new(Ingress::Messages, &context(""));
    encoder.push(&chunk(0, "{"), &mut out);
    for index in 1..10_000 {
        encoder.push(&chunk(index, ""), &mut out);
    }
    assert!(String::from_utf8_lossy(&out).contains("event: error"));
}

#[test]
fn what_is_anothers_does_not_go_to_anthropic() {
    let sent = |body: &str| {
        let root = json::document(body.as_bytes()).unwrap();
        let mut edits = crate::json::Edits::default();
        leave_out_foreign(body.as_bytes(), root, &mut edits);
        let changed = !edits.is_empty();
        (
            changed,
            String::from_utf8(edits.apply(body.as_bytes())).unwrap(),
        )
    };
    let (changed, body) = sent(concat!(
        r#"{"model":"m", "messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":""},"#,
        r#"{"type":"thinking","thinking":"b","signature":"s"}, {"type":"text","text":"c"}]},"#,
        r#"{"role":"assistant","content":[{"type":"thinking","thinking":"d"}]},{"role":"user","content":"thinking"},"#,
        r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","extra_content":{"google":1},"name":"f"}]}]}"#,
    ));
    assert!(changed);
    assert_eq!(
        body,
        concat!(
            r#"{"model":"m", "messages":[{"role":"assistant","content":["#,
            r#"{"type":"thinking","thinking":"b","signature":"s"},{"type":"text","text":"c"}]},"#,
            r#"{"role":"assistant","content":[{"type":"text","text":"."}]},{"role":"user","content":"thinking"},"#,
            r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f"}]}]}"#,
        )
    );
    let signed = r#"{"thinking":{"type":"enabled"},"messages":[{"content":[{"type":"thinking","signature":"s"}]}]}"#;
    assert!(!sent(signed).0);
}
