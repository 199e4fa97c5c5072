//! Rules for answers where provider and client speak the same form besides chat: the answer is
//! rewritten in place, and what only that form knows is not lost.

use std::sync::Arc;

use e2e::behaviour::{Behaviour, Split};
use e2e::client::{Answer, marker};
use e2e::gateway::Gateway;
use e2e::provider::FakeProvider;
use e2e::run_cases;
use e2e::setup::{KEY, Setup};
use serde_json::{Value, json};

use crate::clients::packages;

const MAIL: &str = "ann.lee@example.com";
const NATIVE: &str = "native/gpt-5";
const CLAUDE: &str = "claude-3-sonnet";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn native_answers_under_rules() {
    let setup = Setup::default().with_native(json!({"input": 1, "output": 4}));
    let gateway = Arc::new(Gateway::start(setup).await);
    run_cases!(
        gateway,
        [
            a_message_keeps_what_only_claude_says,
            a_streamed_message_keeps_what_only_claude_says,
            a_response_keeps_what_only_openai_says,
            a_streamed_response_keeps_what_only_openai_says,
            placeholders_cut_by_the_provider_come_back,
            native_streams_that_are_denied_end,
            checks_of_native_streams,
            a_stream_too_long_to_be_held,
            reports_reach_official_packages,
            the_ledger_tells_what_was_done,
            images_are_left_alone_and_said_so,
        ]
    );
}

fn output(action: &str) -> Value {
    json!({"guardrails": {"output": [{"type": "pii_detection", "action": action}]}})
}

/// Asks in the form of `path` for exactly that answer.
async fn told(gateway: &Gateway, path: &str, body: &str, stream: bool, rules: &Value) -> Answer {
    let mark = marker();
    let kind = if stream {
        "text/event-stream"
    } else {
        "application/json"
    };
    let behaviour = Behaviour {
        body: Some(body.to_owned()),
        headers: vec![("content-type".to_owned(), kind.to_owned())],
        ..Behaviour::default()
    };
    gateway.provider.next(1, &mark, behaviour).await;
    let ask = match path {
        "/v1/messages" => json!({"model": CLAUDE, "max_tokens": 100, "stream": stream,
            "messages": [{"role": "user", "content": mark}]}),
        _ => json!({"model": NATIVE, "stream": stream, "input": mark}),
    };
    let answer = gateway.post(path, &ask).config(rules).send().await;
    let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
    assert!(seen.path.ends_with(path), "{seen:?}");
    answer
}

fn sse(events: &[Value]) -> String {
    let event = |event: &Value| {
        let kind = event["type"].as_str().expect("type");
        format!("event: {kind}\ndata: {event}\n\n")
    };
    events.iter().map(event).collect()
}

/// Everything in its answer that chat completions have no place for.
fn message() -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": CLAUDE,
        "content": [
            {"type": "thinking", "thinking": "think of it", "signature": "EqQBCkYIBx"},
            {"type": "redacted_thinking", "data": "EmwKAhgB"},
            {"type": "text", "text": format!("Write to {MAIL} today"), "citations": [
                {"type": "char_location", "cited_text": "the grass", "document_index": 0,
                 "document_title": "A", "start_char_index": 0, "end_char_index": 9}]},
            {"type": "tool_use", "id": "toolu_1", "name": "mail", "input": {"to": MAIL, "n": 1}},
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 5, "cache_creation_input_tokens": 7,
            "cache_read_input_tokens": 11, "output_tokens": 9, "service_tier": "standard",
            "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 0}}})
}

async fn a_message_keeps_what_only_claude_says(gateway: Arc<Gateway>) {
    let body = message().to_string();
    let answer = told(&gateway, "/v1/messages", &body, false, &output("redact")).await;
    answer.good();
    assert_eq!(
        answer.json(),
        serde_json::from_str::<Value>(&body.replace(MAIL, "[EMAIL_REDACTED]")).expect("JSON")
    );
    assert_eq!(answer.header("x-weir-pii-output"), Some("EMAIL=2"));
    let refused = told(&gateway, "/v1/messages", &body, false, &output("deny")).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["type"], "error", "{refused}");
    assert!(!refused.text().contains(MAIL));
}

fn message_events() -> Vec<Value> {
    let mut head = message();
    head["content"] = json!([]);
    head["stop_reason"] = Value::Null;
    let delta = |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let start = |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let stop = |index: u32| json!({"type": "content_block_stop", "index": index});
    vec![
        json!({"type": "message_start", "message": head}),
        start(
            0,
            json!({"type": "thinking", "thinking": "", "signature": ""}),
        ),
        json!({"type": "ping"}),
        delta(
            0,
            json!({"type": "thinking_delta", "thinking": "think of "}),
        ),
        delta(0, json!({"type": "thinking_delta", "thinking": "ann.lee@"})),
        delta(
            0,
            json!({"type": "thinking_delta", "thinking": "example.com"}),
        ),
        delta(
            0,
            json!({"type": "signature_delta", "signature": "EqQBCkYIBx"}),
        ),
        stop(0),
        start(1, json!({"type": "text", "text": "", "citations": []})),
        delta(1, json!({"type": "text_delta", "text": "Write to ann."})),
        delta(
            1,
            json!({"type": "text_delta", "text": "lee@example.com today"}),
        ),
        delta(
            1,
            json!({"type": "citations_delta", "citation": {"type": "char_location",
            "cited_text": "the grass", "document_index": 0, "document_title": "A",
            "start_char_index": 0, "end_char_index": 9}}),
        ),
        stop(1),
        start(
            2,
            json!({"type": "tool_use", "id": "toolu_1", "name": "mail", "input": {}}),
        ),
        delta(2, json!({"type": "input_json_delta", "partial_json": ""})),
        delta(
            2,
            json!({"type": "input_json_delta", "partial_json": "{\"to\": \"ann.lee\\u00"}),
        ),
        delta(
            2,
            json!({"type": "input_json_delta", "partial_json": "40example.com\"}"}),
        ),
        stop(2),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use",
            "stop_sequence": null}, "usage": {"output_tokens": 9, "cache_read_input_tokens": 11}}),
        json!({"type": "message_stop"}),
    ]
}

/// The members `name` of all deltas of one block.
fn deltas(answer: &Answer, index: u64, name: &str) -> String {
    let events = answer.chunks().into_iter();
    let of_block = events.filter(|event| event["index"] == index);
    of_block
        .filter_map(|event| event["delta"][name].as_str().map(str::to_owned))
        .collect()
}

async fn a_streamed_message_keeps_what_only_claude_says(gateway: Arc<Gateway>) {
    let events = message_events();
    let answer = told(
        &gateway,
        "/v1/messages",
        &sse(&events),
        true,
        &output("redact"),
    )
    .await;
    answer.good();
    assert_eq!(
        deltas(&answer, 0, "thinking"),
        "think of [EMAIL_REDACTED]",
        "{answer}"
    );
    assert_eq!(deltas(&answer, 0, "signature"), "EqQBCkYIBx");
    assert_eq!(
        deltas(&answer, 1, "text"),
        "Write to [EMAIL_REDACTED] today"
    );
    assert_eq!(
        deltas(&answer, 2, "partial_json"),
        "{\"to\": \"[EMAIL_REDACTED]\"}"
    );
    let came = answer.chunks();
    // Whatever is no text passes as it came, in its order.
    let others = |events: &[Value]| -> Vec<Value> {
        let others = events.iter().filter(|event| {
            let kind = event["delta"]["type"].as_str().unwrap_or_default();
            !matches!(kind, "text_delta" | "thinking_delta" | "input_json_delta")
        });
        others.cloned().collect()
    };
    assert_eq!(others(&came), others(&events), "{answer}");
}

fn response() -> Value {
    json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed",
        "model": "gpt-5", "error": null, "incomplete_details": null, "instructions": null,
        "output": [
            {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAAAAB",
             "summary": [{"type": "summary_text", "text": format!("of {MAIL}")}]},
            {"type": "web_search_call", "id": "ws_1", "status": "completed",
             "action": {"type": "search", "query": "q"}},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": format!("Write to {MAIL} today"),
                "annotations": [{"type": "url_citation", "url": "https://a.example/",
                    "title": "A", "start_index": 0, "end_index": 5}], "logprobs": []}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "mail",
             "status": "completed", "arguments": format!("{{\"to\":\"{MAIL}\"}}")}],
        "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
        "usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 2},
            "output_tokens": 9, "output_tokens_details": {"reasoning_tokens": 4},
            "total_tokens": 14}})
}

async fn a_response_keeps_what_only_openai_says(gateway: Arc<Gateway>) {
    let body = response().to_string();
    let answer = told(&gateway, "/v1/responses", &body, false, &output("redact")).await;
    answer.good();
    assert_eq!(
        answer.json(),
        serde_json::from_str::<Value>(&body.replace(MAIL, "[EMAIL_REDACTED]")).expect("JSON")
    );
    assert_eq!(answer.header("x-weir-pii-output"), Some("EMAIL=3"));
}

fn response_events() -> Vec<Value> {
    let whole = response();
    let (thought, search) = (&whole["output"][0], &whole["output"][1]);
    let (message, call) = (&whole["output"][2], &whole["output"][3]);
    let part = &message["content"][0];
    let mut begun = whole.clone();
    begun["output"] = json!([]);
    begun["status"] = json!("in_progress");
    let delta = |kind: &str, item: u32, delta: &str| {
        json!({"type": kind, "output_index": item, "content_index": 0, "item_id": "x",
            "delta": delta})
    };
    let text = "response.output_text.delta";
    let arguments = "response.function_call_arguments.delta";
    let mut events = vec![
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": thought}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": search}),
        json!({"type": "response.output_item.added", "output_index": 2, "item":
            {"type": "message", "id": "msg_1", "role": "assistant", "content": []}}),
        delta(text, 2, "Write to ann.lee@"),
        delta(text, 2, "example.com today"),
        json!({"type": "response.output_text.annotation.added", "output_index": 2,
            "content_index": 0, "annotation_index": 0, "annotation": part["annotations"][0]}),
        json!({"type": "response.output_text.done", "output_index": 2, "content_index": 0,
            "text": part["text"], "logprobs": []}),
        json!({"type": "response.content_part.done", "output_index": 2, "content_index": 0,
            "part": part}),
        json!({"type": "response.output_item.done", "output_index": 2, "item": message}),
        delta(arguments, 3, "{\"to\":\"ann.lee@exam"),
        delta(arguments, 3, "ple.com\"}"),
        json!({"type": "response.function_call_arguments.done", "output_index": 3,
            "arguments": call["arguments"]}),
        json!({"type": "response.output_item.done", "output_index": 3, "item": call}),
        json!({"type": "response.completed", "response": whole}),
    ];
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    events
}

async fn a_streamed_response_keeps_what_only_openai_says(gateway: Arc<Gateway>) {
    let events = response_events();
    let answer = told(
        &gateway,
        "/v1/responses",
        &sse(&events),
        true,
        &output("redact"),
    )
    .await;
    answer.good();
    assert_eq!(answer.text().matches(MAIL).count(), 0, "{answer}");
    let came = answer.chunks();
    let texts = |kind: &str| -> String {
        let of_kind = came.iter().filter(|event| event["type"] == kind);
        of_kind
            .filter_map(|event| event["delta"].as_str())
            .collect()
    };
    let written = "Write to [EMAIL_REDACTED] today";
    assert_eq!(texts("response.output_text.delta"), written);
    assert_eq!(
        texts("response.function_call_arguments.delta"),
        "{\"to\":\"[EMAIL_REDACTED]\"}"
    );
    for (number, event) in came.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{answer}");
    }
    let wanted = response().to_string().replace(MAIL, "[EMAIL_REDACTED]");
    let last = came.last().expect("events");
    assert_eq!(
        last["response"],
        serde_json::from_str::<Value>(&wanted).expect("JSON")
    );
}

async fn placeholders_cut_by_the_provider_come_back(gateway: Arc<Gateway>) {
    let rules = json!({"guardrails": {"input": [
        {"type": "pii_detection", "action": "pseudonymize"}]}});
    for split in [Split::Seven, Split::Byte] {
        let mark = marker();
        let behaviour = Behaviour {
            split,
            ..Behaviour::default()
        };
        let text = format!("{mark} I am {MAIL} {}", behaviour.directive());
        for (path, body) in [
            (
                "/v1/messages",
                json!({"model": CLAUDE, "max_tokens": 500, "stream": true,
                    "messages": [{"role": "user", "content": text}]}),
            ),
            (
                "/v1/responses",
                json!({"model": NATIVE, "stream": true, "input": text}),
            ),
        ] {
            let answer = gateway.post(path, &body).config(&rules).send().await;
            answer.good();
            let said: String = answer
                .chunks()
                .iter()
                .filter_map(|event| event["delta"]["text"].as_str().or(event["delta"].as_str()))
                .collect();
            assert!(said.contains(&format!("I am {MAIL}")), "{path}: {answer}");
            assert!(!answer.text().contains("[EMAIL_"), "{path}: {answer}");
        }
        for seen in gateway.provider.requests(&mark).await {
            let native = seen.path.ends_with("/messages") || seen.path.ends_with("/responses");
            assert!(native && !seen.body.contains(MAIL), "{seen:?}");
        }
    }
}

async fn native_streams_that_are_denied_end(gateway: Arc<Gateway>) {
    let mut events = message_events();
    events.drain(1..8);
    let answer = told(
        &gateway,
        "/v1/messages",
        &sse(&events),
        true,
        &output("deny"),
    )
    .await;
    assert_eq!(deltas(&answer, 1, "text"), "Write to ", "{answer}");
    let kinds: Vec<Value> = answer
        .chunks()
        .iter()
        .map(|it| it["type"].clone())
        .collect();
    assert_eq!(
        kinds[kinds.len() - 3..],
        ["content_block_stop", "message_delta", "message_stop"],
        "{answer}"
    );
    let reason = &answer.chunks()[kinds.len() - 2]["delta"]["stop_reason"];
    assert_eq!(*reason, "refusal");
    let mut events = response_events();
    events.remove(1);
    let answer = told(
        &gateway,
        "/v1/responses",
        &sse(&events),
        true,
        &output("deny"),
    )
    .await;
    let came = answer.chunks();
    let last = came.last().expect("events");
    assert_eq!(last["type"], "response.incomplete", "{answer}");
    assert_eq!(
        last["response"]["incomplete_details"]["reason"],
        "content_filter"
    );
    assert_eq!(last["response"]["id"], "resp_1");
    let before = &came[came.len() - 2];
    assert_eq!(
        last["sequence_number"].as_u64(),
        before["sequence_number"].as_u64().map(|number| number + 1)
    );
    assert!(!answer.text().contains(MAIL), "{answer}");
}

fn check(check: Value) -> Value {
    json!({"guardrails": {"output": [check]}})
}

async fn checks_of_native_streams(gateway: Arc<Gateway>) {
    let pattern = |pattern: &str| check(json!({"type": "regex", "pattern": pattern}));
    let absent = json!({"type": "regex", "pattern": "never said", "mode": "allow"});
    for (path, events) in [
        ("/v1/messages", message_events()),
        ("/v1/responses", response_events()),
    ] {
        let stream = sse(&events);
        // What must not be said ends a stream on its way; across the pieces it came in.
        let ended = told(&gateway, path, &stream, true, &pattern("lee@exam")).await;
        assert_eq!(ended.status, 200);
        assert_eq!(ended.header("x-weir-guardrails-held"), None);
        assert!(!ended.text().contains("lee@exam"), "{ended}");
        let last = ended.chunks().pop().expect("events");
        let kinds = ["message_stop", "response.incomplete"];
        assert!(
            kinds.contains(&last["type"].as_str().unwrap_or_default()),
            "{ended}"
        );
        let answer = told(&gateway, path, &stream, true, &pattern("never said")).await;
        answer.good();
        assert_eq!(answer.chunks(), events, "{answer}");
        // What has to be said is known at the end only.
        let refused = told(&gateway, path, &stream, true, &check(absent.clone())).await;
        assert_eq!(refused.status, 400, "{refused}");
        assert_eq!(refused.header("x-weir-guardrails-held"), Some("regex"));
        assert!(refused.text().contains("regex (missing)"), "{refused}");
        let mut present = absent.clone();
        present["pattern"] = json!("Write to");
        let answer = told(&gateway, path, &stream, true, &check(present)).await;
        answer.good();
        assert_eq!(answer.header("x-weir-guardrails-held"), Some("regex"));
        assert_eq!(answer.chunks(), events, "{answer}");
    }
}

async fn a_stream_too_long_to_be_held(gateway: Arc<Gateway>) {
    let mut events = response_events();
    let mut delta = events[4].clone();
    delta["delta"] = json!("word ".repeat(100_000));
    for _ in 0..20 {
        events.insert(4, delta.clone());
    }
    let present = json!({"type": "regex", "pattern": "Write to", "mode": "allow"});
    let refused = told(
        &gateway,
        "/v1/responses",
        &sse(&events),
        true,
        &check(present),
    )
    .await;
    refused.refused(400, "guardrail_violation");
    let message = refused.json()["error"]["message"].to_string();
    assert!(message.contains("longer than 8388608 bytes"), "{refused}");
}

async fn reports_reach_official_packages(gateway: Arc<Gateway>) {
    let models = ["gpt-4o-mini", CLAUDE, NATIVE];
    packages::node("reports.mjs", &gateway, &models).await;
    let models = models.map(str::to_owned);
    let arguments = [gateway.url(""), KEY.to_owned()].into_iter().chain(models);
    packages::python("reports.py", arguments).await;
}

async fn the_ledger_tells_what_was_done(gateway: Arc<Gateway>) {
    let deed = |usage: &Value, action: &str| {
        let deeds = usage["by_guardrail"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let wanted = |deed: &&Value| {
            deed["type"] == "IBAN" && deed["on"] == "input" && deed["action"] == action
        };
        deeds.iter().find(wanted).cloned().unwrap_or_default()
    };
    let rules = json!({"guardrails": {"input": [
        {"type": "pii_detection", "action": "hash", "types": ["IBAN"]}]}});
    let text = format!("{} DE89 3704 0044 0532 0130 00", marker());
    let body = json!({"model": CLAUDE, "max_tokens": 50,
        "messages": [{"role": "user", "content": text}]});
    gateway
        .post("/v1/messages", &body)
        .config(&rules)
        .send()
        .await
        .good();
    for _ in 0..50 {
        let usage = gateway.admin("GET", "/admin/usage", None).await.json();
        let found = deed(&usage, "hash");
        if found["findings"] == 1 {
            assert_eq!(found["rule"], "pii_detection");
            assert!(!usage.to_string().contains("3704"));
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the ledger does not tell");
}

async fn images_are_left_alone_and_said_so(gateway: Arc<Gateway>) {
    let rules = json!({"guardrails": {"input": [{"type": "pii_detection", "action": "redact"}]}});
    let image = "data:image/png;base64,iVBORw0KGgo=";
    let mark = marker();
    let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": [
        {"type": "text", "text": format!("{mark} what is this?")},
        {"type": "image_url", "image_url": {"url": image}}]}]});
    let answer = gateway.chat(&body).config(&rules).send().await;
    answer.good();
    let unread = "x-weir-guardrails-unread";
    assert_eq!(answer.header(unread), Some("images=1"), "{answer}");
    let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
    assert!(seen.body.contains(image));
    let body = json!({"model": CLAUDE, "max_tokens": 50, "messages": [{"role": "user", "content": [
        {"type": "text", "text": "what is this?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png",
            "data": "iVBORw0KGgo="}}]}]});
    let answer = gateway
        .post("/v1/messages", &body)
        .config(&rules)
        .send()
        .await;
    assert_eq!(answer.header(unread), Some("images=1"), "{answer}");
    let plain = gateway.chat(&json!({"model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "hello"}]}));
    let plain = plain.config(&rules).send().await;
    assert_eq!(plain.header(unread), None, "{plain}");
}
