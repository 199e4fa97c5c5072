use std::rc::Rc;

use serde_json::{Value, json};

use super::super::{Detectors, Orders as InputOrders, inspect};
use super::*;
use crate::request::ChatRequest;
use crate::wire::PiiAction;

mod borders;
mod native;

fn guard(rules: &Value, pseudonyms: Pseudonyms) -> AnswerGuard {
    let rules = json!({ "output": rules });
    let rules = crate::guard::Guardrails::parse(&rules).expect("rules");
    let actions = Actions::of(&rules.output.pii, None);
    AnswerGuard::new(actions, Rc::new(Detectors::default()), [7; 32], pseudonyms)
}

fn all(action: &str) -> Value {
    json!([{"type": "pii_detection", "action": action}])
}

/// Placeholders of some values, and a text with them.
fn pseudonyms(text: &str) -> (Pseudonyms, String) {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]}).to_string();
    let request = ChatRequest::parse(body.as_bytes()).expect("request");
    let orders = InputOrders::from(PiiAction::Pseudonymize);
    let mut edits = Edits::default();
    let found = inspect(body.as_bytes(), &request.texts, orders, &mut edits);
    let sent: Value = serde_json::from_slice(&edits.apply(body.as_bytes())).expect("JSON");
    let text = sent["messages"][0]["content"].as_str().expect("text");
    (found.pseudonyms, text.to_owned())
}

fn chunk(choice: u64, delta: &Value, reason: Option<&str>) -> String {
    let choices = json!([{"index": choice, "delta": delta, "finish_reason": reason}]);
    let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": choices});
    format!("data: {chunk}\n\n")
}

/// What a client puts together from a stream: content, reasoning, arguments by call, and reasons.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    content: Vec<String>,
    reasoning: String,
    calls: Vec<String>,
    reasons: Vec<String>,
}

fn said(stream: &[u8]) -> Said {
    let mut said = Said::default();
    let stream = std::str::from_utf8(stream).expect("UTF-8");
    let put = |list: &mut Vec<String>, at: u64, text: &str| {
        let at = usize::try_from(at).expect("small");
        list.resize(list.len().max(at + 1), String::new());
        list[at].push_str(text);
    };
    for event in stream
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
    {
        let Ok(event) = serde_json::from_str::<Value>(event) else {
            continue;
        };
        for choice in event["choices"].as_array().into_iter().flatten() {
            let delta = &choice["delta"];
            let text = delta["content"].as_str().unwrap_or_default();
            put(
                &mut said.content,
                choice["index"].as_u64().expect("index"),
                text,
            );
            said.reasoning
                .push_str(delta["reasoning_content"].as_str().unwrap_or_default());
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                let text = call["function"]["arguments"].as_str().unwrap_or_default();
                put(
                    &mut said.calls,
                    call["index"].as_u64().expect("index"),
                    text,
                );
            }
            if let Some(reason) = choice["finish_reason"].as_str() {
                said.reasons.push(reason.to_owned());
            }
        }
    }
    said
}

fn through(mut guard: AnswerGuard, pieces: &[&[u8]]) -> (Said, AnswerGuard) {
    let mut out = Vec::new();
    for piece in pieces {
        guard.push(piece, &mut out);
    }
    guard.finish(&mut out);
    (said(&out), guard)
}

/// A stream that says `text` in pieces of `size` characters.
fn stream(text: &str, size: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut stream = chunk(0, &json!({"role": "assistant", "content": ""}), None);
    for piece in letters.chunks(size) {
        let piece: String = piece.iter().collect();
        stream.push_str(&chunk(0, &json!({"content": piece}), None));
    }
    stream.push_str(&chunk(0, &json!({}), Some("stop")));
    stream.push_str("data: [DONE]\n\n");
    stream
}

const TEXT: &str = "Xin chào! Write to an.nguyen@example.com or call +84 912 345 678; the card is \
    4111 1111 1111 1111, CMND 123456789. Nhân viên Nguyễn Văn An, born on March 22, 1959. \
    password: Tr0ub4dor&3 and server 203.0.113.42, that is all [EMAIL].";

#[test]
fn a_text_reads_the_same_however_it_comes() {
    let wanted = crate::guard::redact(TEXT).expect("findings");
    for size in 1..40 {
        let (said, guard) = through(
            guard(&all("redact"), Pseudonyms::default()),
            &[stream(TEXT, size).as_bytes()],
        );
        assert_eq!(said.content, [wanted.as_str()], "pieces of {size}");
        assert_eq!(said.reasons, ["stop"]);
        assert!(!guard.denied());
    }
    // The document says what the stream says.
    let body = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT},
        "logprobs": {"content": [{"token": "an"}]}, "finish_reason": "stop"}]});
    let mut guard = guard(&all("redact"), Pseudonyms::default());
    let body = guard.document(body.to_string().into_bytes());
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body["choices"][0]["message"]["content"], wanted);
    assert_eq!(body["choices"][0]["logprobs"], Value::Null);
    assert_eq!(guard.take_counts().len(), 8);
}

/// What waits is bounded by the window of 256 bytes and one placeholder, and is mostly much less.
#[test]
fn little_waits() {
    let (pseudonyms, sent) = pseudonyms("mail ann@example.com, card 4111 1111 1111 1111");
    let prose = "The quick brown fox jumps over the lazy dog and runs on through the wood. ";
    let text = format!("{}{TEXT} {sent} {}", prose.repeat(20), prose.repeat(20));
    for size in [1, 4, 9] {
        let mut guard = guard(&all("redact"), pseudonyms.clone());
        let most = 256 + pseudonyms.held_max();
        let (mut events, mut held) = (0, 0);
        let stream = stream(&text, size);
        for event in stream.split_inclusive("\n\n") {
            guard.push(event.as_bytes(), &mut Vec::new());
            assert!(guard.held() <= most, "{} wait", guard.held());
            events += 1;
            held += guard.held();
        }
        assert!(held / events < 64, "{} wait on average", held / events);
        println!("pieces of {size}: {} bytes wait on average", held / events);
    }
}

#[test]
fn bytes_can_be_cut_anywhere() {
    let stream = stream(TEXT, 7);
    let bytes = stream.as_bytes();
    let (wanted, _) = through(guard(&all("mask"), Pseudonyms::default()), &[bytes]);
    for cut in 0..bytes.len() {
        let pieces = [&bytes[..cut], &bytes[cut..]];
        let (said, _) = through(guard(&all("mask"), Pseudonyms::default()), &pieces);
        assert_eq!(said, wanted, "{cut}");
    }
}

#[test]
fn placeholders_get_their_values_back_wherever_they_are_cut() {
    let (pseudonyms, sent) = pseudonyms("mail ann@example.com, card 4111 1111 1111 1111");
    assert!(sent.starts_with("mail [EMAIL_1_"), "{sent}");
    let answer = format!("You said: {sent}. [link](x) é");
    for size in 1..30 {
        for rules in [json!([]), all("redact"), all("deny")] {
            let (said, guard) = through(
                guard(&rules, pseudonyms.clone()),
                &[stream(&answer, size).as_bytes()],
            );
            assert_eq!(
                said.content,
                ["You said: mail ann@example.com, card 4111 1111 1111 1111. [link](x) é"]
            );
            assert!(!guard.denied(), "what the client said itself may be said");
        }
    }
}

#[test]
fn arguments_of_calls_stay_json() {
    let (pseudonyms, sent) = pseudonyms("Họ và tên: Trần Thị Bình");
    let name = sent.strip_prefix("Họ và tên: ").expect("placeholder");
    let arguments = format!(
        "{{\"ssn\":536221234,\"mail\":\"ann@example.com\",\"name\":\"{name}\",\"q\":\"a\\\"b\"}}"
    );
    for size in 1..20 {
        let letters: Vec<char> = arguments.chars().collect();
        let mut stream = chunk(
            0,
            &json!({"tool_calls": [{"index": 0, "id": "x", "function": {"name": "f", "arguments": ""}}]}),
            None,
        );
        for piece in letters.chunks(size) {
            let piece: String = piece.iter().collect();
            let call = json!([{"index": 0, "function": {"arguments": piece}}]);
            stream.push_str(&chunk(0, &json!({ "tool_calls": call }), None));
        }
        stream.push_str(&chunk(0, &json!({}), Some("tool_calls")));
        let (said, _) = through(
            guard(&all("redact"), pseudonyms.clone()),
            &[stream.as_bytes()],
        );
        let read: Value = serde_json::from_str(&said.calls[0])
            .unwrap_or_else(|error| panic!("{error}: {}", said.calls[0]));
        assert_eq!(read["mail"], "[EMAIL_REDACTED]");
        assert_eq!(read["name"], "Trần Thị Bình");
        assert_eq!(read["q"], "a\"b");
        assert_eq!(read["ssn"], "[SSN_REDACTED]");
    }
}

#[test]
fn a_denied_stream_ends_before_the_finding() {
    let text = "Here it is: the address is ann@example.com and nothing after it";
    for size in 1..30 {
        let stream = stream(text, size);
        let (said, guard) = through(
            guard(&all("deny"), Pseudonyms::default()),
            &[stream.as_bytes()],
        );
        assert_eq!(said.content, ["Here it is: the address is "]);
        assert_eq!(said.reasons, [""; 0]);
        assert!(guard.denied());
    }
}

#[test]
fn each_choice_and_each_field_is_a_text_of_its_own() {
    let mut stream = String::new();
    for (first, second) in [("ann@exam", "bob"), ("ple.com says", "@example.org")] {
        stream.push_str(&chunk(0, &json!({"reasoning_content": first}), None));
        stream.push_str(&chunk(1, &json!({"content": second}), None));
    }
    stream.push_str(&chunk(0, &json!({"content": "Hello "}), None));
    stream.push_str(&chunk(0, &json!({"content": "there"}), Some("stop")));
    stream.push_str(&chunk(1, &json!({}), Some("length")));
    let (said, _) = through(
        guard(&all("redact"), Pseudonyms::default()),
        &[stream.as_bytes()],
    );
    assert_eq!(said.reasoning, "[EMAIL_REDACTED] says");
    assert_eq!(said.content, ["Hello there", "[EMAIL_REDACTED]"]);
    assert_eq!(said.reasons, ["stop", "length"]);
}

#[test]
fn members_that_nobody_knows_are_read_too() {
    let body = json!({"choices": [{"index": 0, "message": {"role": "assistant",
        "content": [{"type": "text", "text": "to ann@example.com"}],
        "annotations": [{"type": "note", "title": "ann@example.com"}],
        "audio": {"id": "a", "data": "QUJD", "transcript": "ann@example.com"}}}]});
    let mut guard = guard(&all("redact"), Pseudonyms::default());
    let after = guard.document(body.to_string().into_bytes());
    let wanted = body
        .to_string()
        .replace("ann@example.com", "[EMAIL_REDACTED]");
    assert_eq!(String::from_utf8(after).expect("UTF-8"), wanted);
    assert!(guard.document(b"{\"choices\": [".to_vec()).is_empty());
    assert!(guard.denied(), "what cannot be read is not shown");
}

#[test]
fn a_pattern_ends_a_stream_wherever_it_is_cut() {
    let text = "é Project Phoenix began, said ann@example.com; then more";
    for (pattern, is_flagged, wanted) in [
        ("Phoenix \\w+,", false, "é Project "),
        ("ann@", false, "é Project Phoenix began, said "),
        (
            "Phoenix \\w+,",
            true,
            "é Project Phoenix began, said [EMAIL_REDACTED]; then more",
        ),
        (
            "nowhere",
            false,
            "é Project Phoenix began, said [EMAIL_REDACTED]; then more",
        ),
    ] {
        for size in 1..30 {
            let mut guard = guard(&all("redact"), Pseudonyms::default());
            let pattern = crate::guard::TextPattern::compile(pattern).expect("pattern");
            guard.look_for(pattern, is_flagged);
            let (said, mut guard) = through(guard, &[stream(text, size).as_bytes()]);
            assert_eq!(said.content, [wanted], "{size}");
            assert_eq!(guard.denied(), wanted.ends_with(' '));
            let is_found = guard.denied() || is_flagged;
            assert_eq!(guard.take_patterns(), [is_found]);
        }
    }
}
