use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::limits::RESPONSE_BYTES_MAX;

/// Events of the middle form, well-formed and not.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let events = vec![
        r#"data: {"id":"c1","model":"m1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{"content":"ế\n"}}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{"content":"b","reasoning_content":"hm"}}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{"refusal":"no"}}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{"annotations":[{"type":"url_citation","url_citation":{"url":"u"}}]}}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{"thinking_blocks":[{"type":"thinking","thinking":"hm","signature":"s"}]}}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"1"}}]}}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"patch","arguments":"{\"input\":\"x"}}]}}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"id":"c","custom":{"name":"g","input":"x"}},7]}}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#,
        r#"data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        r#"data: {"choices":7}"#,
        r#"data: {"error":{"message":"m","type":"t","code":"c"}}"#,
        "data: [DONE]",
        ": comment",
        "data: {\"cut",
        "data: 1",
    ];
    prop::collection::vec(prop::sample::select(events), 0..24).prop_map(|lines| {
        let text: String = lines.iter().map(|line| format!("{line}\n\n")).collect();
        text.into_bytes()
    })
}

/// The events' data, and that the name of each is its type and the numbers have no gap.
fn events(out: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(out).expect("characters stay whole");
    let blocks = text.split_terminator("\n\n");
    let events: Vec<Value> = blocks
        .filter(|block| !block.starts_with(':'))
        .map(|block| {
            let (name, data) = block.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            data
        })
        .collect();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"].as_u64(), Some(number as u64));
    }
    events
}

/// What a client that collects the pieces has in the end, checked against what it was told.
fn collect(events: &[Value]) {
    let mut items: Vec<(Value, String, bool)> = Vec::new();
    for event in events {
        let at = event["output_index"].as_u64().unwrap_or_default() as usize;
        let kind = event["type"].as_str().unwrap();
        if kind == "response.output_item.added" {
            items.resize(items.len().max(at + 1), (Value::Null, String::new(), false));
            items[at] = (event["item"].clone(), String::new(), true);
            continue;
        }
        if event.get("output_index").is_none() {
            continue;
        }
        let (item, text, is_open) = &mut items[at];
        assert!(*is_open, "{kind} after its item ended");
        if let Some(id) = event.get("item_id") {
            assert_eq!(*id, item["id"]);
        }
        if let Some(delta) = event.get("delta") {
            text.push_str(delta.as_str().unwrap());
        }
        if kind == "response.output_item.done" {
            *is_open = false;
            let done = &event["item"];
            assert_eq!(
                (&done["id"], &done["call_id"]),
                (&item["id"], &item["call_id"])
            );
            assert_eq!(said(done), *text, "the pieces are the whole");
            *item = done.clone();
        }
    }
    let Some(last) = events.last() else { return };
    if matches!(
        last["type"].as_str(),
        Some("response.completed" | "response.incomplete")
    ) {
        assert!(items.iter().all(|(_, _, is_open)| !is_open));
        let whole: Vec<Value> = items.into_iter().map(|(item, _, _)| item).collect();
        assert_eq!(last["response"]["output"], Value::Array(whole));
    }
}

fn said(item: &Value) -> String {
    let list = |name: &str| item[name].as_array().cloned().unwrap_or_default();
    let parts = list("summary").into_iter().chain(list("content"));
    let mut text: String = parts
        .map(|part| {
            let text = part.get("text").or(part.get("refusal"));
            text.and_then(Value::as_str).unwrap().to_owned()
        })
        .collect();
    for name in ["arguments", "input"] {
        text.push_str(item[name].as_str().unwrap_or_default());
    }
    text
}

fn echo() -> Vec<u8> {
    translated(REQUEST.as_bytes()).unwrap().echo
}

proptest! {
    #[test]
    fn any_split_of_a_stream_gives_the_same(
        stream in stream(), cuts in prop::collection::vec(0usize..4000, 0..8),
    ) {
        let echo = echo();
        let whole = replay(&[&stream], &echo);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (stream.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(stream.len());
        let mut start = 0;
        let chunks: Vec<&[u8]> = cuts
            .into_iter()
            .map(|cut| &stream[std::mem::replace(&mut start, cut)..cut])
            .collect();
        prop_assert_eq!(&replay(&chunks, &echo), &whole);
        prop_assert_eq!(&replay(&stream.chunks(1).collect::<Vec<_>>(), &echo), &whole);
    }

    #[test]
    fn what_a_client_collects_is_the_answer(stream in stream()) {
        let out = events(&replay(&[&stream], &echo()));
        collect(&out);
        let ends = |event: &Value| matches!(
            event["type"].as_str(),
            Some("response.completed" | "response.incomplete" | "response.failed")
        );
        // One end, and nothing behind it but the error of one that failed.
        if let Some(end) = out.iter().position(ends) {
            let behind: Vec<_> = out[end + 1..].iter().map(|event| event["type"].as_str()).collect();
            let failed = out[end]["type"] == "response.failed";
            let expect = if failed { vec![Some("error")] } else { vec![] };
            prop_assert_eq!(behind, expect);
        }
    }

    #[test]
    fn any_document_is_translated_or_refused(value in document()) {
        let body = value.to_string();
        if let Ok(translated) = translated(body.as_bytes()) {
            prop_assert!(ChatRequest::parse(&translated.body).is_ok());
            prop_assert!(json::document(&translated.echo).is_ok());
            let answer = Ingress::Responses.answer(body.as_bytes(), &context(&translated.echo));
            prop_assert!(json::document(&answer).is_ok());
        }
    }

    /// Mutilated golden requests: what still parses is either refused or becomes a request.
    #[test]
    fn what_is_made_of_a_request_is_a_request(
        pick in 0usize..1000, at in 0usize..5000, byte in any::<u8>(),
    ) {
        let inputs = inputs("requests");
        let mut body = inputs[pick % inputs.len()].1.clone();
        let at = at % body.len();
        body[at] = byte;
        if json::document(&body).is_ok() && let Ok(translated) = translated(&body) {
            prop_assert!(ChatRequest::parse(&translated.body).is_ok());
            prop_assert!(json::document(&translated.echo).is_ok());
        }
    }

    #[test]
    fn any_answer_becomes_a_response(
        pick in 0usize..1000, at in 0usize..5000, byte in any::<u8>(), echo in any::<Vec<u8>>(),
    ) {
        let inputs = inputs("answers");
        let mut chat = inputs[pick % inputs.len()].1.clone();
        let at = at % chat.len();
        chat[at] = byte;
        let response = Ingress::Responses.answer(&chat, &context(&echo));
        prop_assert!(json::document(&response).is_ok());
    }
}

/// Documents that look like requests.
fn document() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "message",
        "function_call",
        "function_call_output",
        "reasoning",
        "input_text",
        "output_text",
        "input_image",
        "refusal",
        "user",
        "assistant",
        "developer",
        "a",
        "",
        "function",
        "custom",
        "json_schema",
        "required",
        "call_1",
        "{\"thinking_blocks\":[{\"type\":\"thinking\"}]}",
    ]);
    let names = prop::sample::select(vec![
        "model",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "type",
        "role",
        "content",
        "text",
        "call_id",
        "name",
        "arguments",
        "output",
        "format",
        "reasoning",
        "stream",
        "image_url",
        "encrypted_content",
        "summary",
        "parameters",
        "include",
        "max_output_tokens",
        "choices",
        "message",
        "tool_calls",
        "index",
        "metadata",
        "store",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u8>().prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    let inner = leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6).prop_map(|members| {
                Value::Object(
                    members
                        .into_iter()
                        .map(|(name, it)| (name.to_owned(), it))
                        .collect(),
                )
            }),
        ]
    });
    prop::collection::vec(inner, 3).prop_map(|mut values| {
        let mut request = serde_json::json!({"model": "m"});
        for name in ["input", "tools", "text"] {
            request[name] = values.pop().unwrap_or_default();
        }
        if request["input"].is_object() {
            request["input"] = Value::Array(vec![request["input"].take()]);
        }
        request
    })
}

/// The conversation goes on with what the answer was: the provider gets back all that it gave.
#[test]
fn an_answer_comes_back_as_it_was() {
    for (name, chat) in inputs("answers") {
        let chat: Value = serde_json::from_slice(&chat).unwrap();
        let response = Ingress::Responses.answer(chat.to_string().as_bytes(), &context(&echo()));
        let response: Value = serde_json::from_slice(&response).unwrap();
        let mut input = vec![serde_json::json!({"role": "user", "content": "a"})];
        input.extend(response["output"].as_array().unwrap().iter().cloned());
        let request = serde_json::json!({"model": "m", "input": input}).to_string();
        let chat_again = translated(request.as_bytes()).unwrap().body;
        let chat_again: Value = serde_json::from_slice(&chat_again).unwrap();
        let (sent, back) = (&chat["choices"][0]["message"], &chat_again["messages"][1]);
        assert_eq!(back["thinking_blocks"], sent["thinking_blocks"], "{name}");
        if sent["content"]
            .as_str()
            .is_some_and(|content| !content.is_empty())
        {
            assert_eq!(back["content"], sent["content"], "{name}");
        }
        let calls = |message: &Value| message["tool_calls"].as_array().map_or(0, Vec::len);
        assert_eq!(calls(back), calls(sent), "{name}");
        if name.starts_with("tools") || name == "thought-signature" || name == "custom-tool" {
            let mut sent = sent["tool_calls"].clone();
            if name == "tools" {
                sent[1]["function"]["arguments"] = "{}".into();
            }
            assert_eq!(back["tool_calls"], sent, "{name}");
        }
    }
}

#[test]
fn what_was_sealed_here_does_not_go_to_openai() {
    let left = |body: &str| {
        let mut edits = json::Edits::default();
        let root = json::document(body.as_bytes()).unwrap();
        super::super::leave_out_sealed(body.as_bytes(), root, &mut edits);
        String::from_utf8(edits.apply(body.as_bytes())).unwrap()
    };
    let sealed = r#"{"type":"reasoning","summary":[],"encrypted_content":"{\"a\":1}"}"#;
    let own = r#"{"type":"reasoning","summary":[],"encrypted_content":"gAAA"}"#;
    let call = r#"{"type":"function_call","extra_content":{"google":{}},"call_id":"c"}"#;
    for (items, kept) in [
        (format!("{own}, 7"), format!("{own}, 7")),
        (
            format!("{sealed}, {own},{call}"),
            format!(r#"{own},{{"type":"function_call","call_id":"c"}}"#),
        ),
        (sealed.to_owned(), String::new()),
    ] {
        let body = |items: &str| format!(r#"{{"input":[{items}], "a":1}}"#);
        assert_eq!(left(&body(&items)), body(&kept));
    }
    assert_eq!(
        left(r#"{"input":"extra_content"}"#),
        r#"{"input":"extra_content"}"#
    );
}

#[test]
fn nesting_that_becomes_too_deep_is_refused() {
    for depth in 100..130 {
        let schema = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let body = format!(
            r#"{{"model":"m","input":"a","tools":[{{"type":"function","name":"f","parameters":{schema}}}]}}"#
        );
        if json::document(body.as_bytes()).is_err() {
            continue;
        }
        match translated(body.as_bytes()) {
            Ok(translated) => assert!(ChatRequest::parse(&translated.body).is_ok(), "{depth}"),
            Err(refused) => assert_eq!(refused.param.as_deref(), Some("tools")),
        }
    }
}

#[test]
fn a_character_in_two_pieces_is_whole_in_the_end() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"\\ud83d\"}}]}\n\n\
                  data: {\"choices\":[{\"delta\":{\"content\":\"\\ude00\"}}]}\n\ndata: [DONE]\n\n";
    let out = String::from_utf8(replay(&[stream.as_bytes()], b"")).unwrap();
    let last = out.split("data: ").last().unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "😀");
}

#[test]
fn an_answer_too_long_to_collect_fails() {
    let piece = "a".repeat(64 * 1024);
    let chunk = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{piece}\"}}}}]}}\n\n");
    let mut encoder = StreamEncoder::new(Ingress::Responses, &context(b""));
    let mut out = Vec::new();
    for _ in 0..RESPONSE_BYTES_MAX / piece.len() + 2 {
        out.clear();
        encoder.push(chunk.as_bytes(), &mut out);
        if out
            .windows(22)
            .any(|bytes| bytes == b"event: response.failed")
        {
            break;
        }
    }
    let text = String::from_utf8_lossy(&out);
    assert!(text.contains("event: error\n"), "{}", text.len());
    out.clear();
    encoder.push(chunk.as_bytes(), &mut out);
    encoder.push(b"data: [DONE]\n\n", &mut out);
    assert!(out.is_empty());
}

#[test]
fn long_members_are_not_repeated() {
    let body = format!(
        r#"{{"model":"m","input":"a","instructions":"{}","user":"u"}}"#,
        "i".repeat(crate::limits::RESPONSE_ECHO_BYTES_MAX)
    );
    let echo = translated(body.as_bytes()).unwrap().echo;
    let answer = Ingress::Responses.answer(b"{}", &context(&echo));
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(
        (&answer["instructions"], &answer["user"]),
        (&Value::Null, &"u".into())
    );
}
