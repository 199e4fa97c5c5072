//! Anthropic's Messages in front of every provider: what Claude Code and Anthropic's SDKs ask for,
//! through the real Envoy, with Anthropic's own format behind it and with others.

use std::sync::Arc;
use std::time::Duration;

use e2e::behaviour::{Behaviour, Ending, Split, Tokens};
use e2e::client::{Answer, Ask, marker};
use e2e::gateway::Gateway;
use e2e::provider::FakeProvider;
use e2e::run_cases;
use e2e::setup::KEY;
use serde_json::{Value, json};

use crate::providers;

/// Model, and the path that its provider is asked at.
const TARGETS: [(&str, &str); 7] = [
    ("gpt-4o-mini", "/v1/chat/completions"),
    ("claude-3-sonnet", "/anthropic/v1/messages"),
    ("gemini/gemini-3-pro", "/gemini/v1beta/models/gemini-3-pro:"),
    (
        "bedrock/us.anthropic.claude-sonnet-4-5-v1:0",
        "/bedrock/model/us.anthropic.claude-sonnet-4-5-v1%3A0/converse",
    ),
    ("azure/gpt-deploy", "/azure/openai/deployments/gpt-deploy/"),
    (
        "mistral/mistral-small-latest",
        "/mistral/v1/chat/completions",
    ),
    ("llama/llama3:8b", "/llama/v1/chat/completions"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_over_every_provider() {
    let gateway = Arc::new(Gateway::start(providers::setup()).await);
    run_cases!(
        gateway,
        [
            answers,
            streams,
            tools,
            what_others_know_arrives,
            refusals,
            errors_of_providers,
            streams_that_break,
            a_budget_ends,
            tokens_are_counted,
            models_are_listed,
            personal_data_is_redacted,
            the_exact_cache,
        ]
    );
}

fn ask(gateway: &Gateway, path: &str, body: &Value) -> Ask {
    let builder = gateway.http.post(gateway.url(path)).json(body);
    Ask { builder }.header("anthropic-version", "2023-06-01")
}

/// Asks as Anthropic's SDKs do: with `x-api-key`.
async fn send(gateway: &Gateway, body: &Value) -> Answer {
    let ask = ask(gateway, "/v1/messages", body);
    ask.header("x-api-key", KEY).send().await
}

fn question(model: &str, text: &str) -> Value {
    json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}]})
}

/// The message that a client has in the end, of an answer or of a stream.
#[track_caller]
fn message(answer: &Answer) -> Value {
    answer.good();
    let kind = answer.header("content-type").unwrap_or_default();
    if !kind.starts_with("text/event-stream") {
        return answer.json();
    }
    let (mut message, mut input) = (Value::Null, String::new());
    for (name, event) in events(answer) {
        match name.as_str() {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                input.clear();
                let blocks = message["content"].as_array_mut().expect("content");
                assert_eq!(event["index"], blocks.len(), "{answer}");
                blocks.push(event["content_block"].clone());
            }
            "content_block_delta" => {
                let block = message["content"]
                    .as_array_mut()
                    .and_then(|blocks| blocks.last_mut())
                    .expect("an open block");
                let delta = &event["delta"];
                input.push_str(delta["partial_json"].as_str().unwrap_or_default());
                if let Some(piece) = delta["text"].as_str() {
                    let text = block["text"].as_str().expect("a text block");
                    block["text"] = json!(format!("{text}{piece}"));
                }
            }
            "content_block_stop" if !input.is_empty() => {
                let blocks = message["content"].as_array_mut();
                let block = blocks
                    .and_then(|blocks| blocks.last_mut())
                    .expect("a block");
                block["input"] = serde_json::from_str(&input).expect("an input");
            }
            "message_delta" => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                message["usage"] = event["usage"].clone();
            }
            "content_block_stop" | "message_stop" | "ping" => {}
            other => panic!("{other}: {answer}"),
        }
    }
    let last = events(answer).pop().map(|(name, _)| name);
    assert_eq!(last.as_deref(), Some("message_stop"), "{answer}");
    message
}

/// Events by name; each says its name in its data as well.
#[track_caller]
fn events(answer: &Answer) -> Vec<(String, Value)> {
    let text = answer.text();
    let blocks = text
        .split("\n\n")
        .filter(|block| block.starts_with("event: "));
    let events = blocks.map(|block| {
        let (name, data) = block.split_once("\ndata: ").expect("data");
        let data: Value = serde_json::from_str(data).expect("JSON");
        let name = name.trim_start_matches("event: ").to_owned();
        assert_eq!(data["type"], name, "{answer}");
        (name, data)
    });
    events.collect()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, kind: &str, code: &str) -> Value {
    let body = answer.json();
    assert_eq!(answer.status, status, "{answer}");
    assert_eq!(body["type"], "error", "{answer}");
    assert_eq!(body["error"]["type"], kind, "{answer}");
    assert_eq!(body["error"]["details"]["error_code"], code, "{answer}");
    assert!(
        body["request_id"].as_str().is_some_and(|id| !id.is_empty()),
        "{answer}"
    );
    body
}

fn usage() -> Tokens {
    Tokens {
        input: 40,
        output: 9,
        ..Tokens::default()
    }
}

async fn answers(gateway: Arc<Gateway>) {
    for (model, path) in TARGETS {
        let mark = marker();
        let behaviour = Behaviour {
            usage: Some(usage()),
            text: Some(format!("Chào bạn {mark}")),
            ..Behaviour::default()
        };
        let mut body = question(model, &behaviour.directive());
        body["system"] = json!([{"type": "text", "text": "Be brief.",
            "cache_control": {"type": "ephemeral"}}]);
        let answer = send(&gateway, &body).await;
        let message = message(&answer);
        let id = message["id"].as_str().expect("id");
        assert!(id.starts_with("msg_"), "{answer}");
        assert_eq!(message["type"], "message", "{answer}");
        let text = json!([{"type": "text", "text": format!("Chào bạn {mark}")}]);
        assert_eq!(message["content"], text, "{answer}");
        assert_eq!(message["stop_reason"], "end_turn", "{answer}");
        assert_eq!(message["usage"]["input_tokens"], 40, "{answer}");
        assert_eq!(message["usage"]["output_tokens"], 9, "{answer}");
        assert!(answer.header("x-weir-cost-usd").is_some(), "{answer}");
        let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
        assert!(seen.path.starts_with(path), "{model}: {}", seen.path);
        assert!(seen.body.contains("Be brief."), "{}", seen.body);
        let all = format!("{:?}", seen.headers);
        assert!(!all.contains(KEY), "the client's key went on: {all}");
        // Only those who know marks for caches get them.
        assert_eq!(
            seen.body.contains("cache_control"),
            model == "claude-3-sonnet",
            "{model}: {}",
            seen.body
        );
    }
}

async fn streams(gateway: Arc<Gateway>) {
    for ((model, path), split) in TARGETS.into_iter().flat_map(|target| {
        [Split::Event, Split::Byte, Split::Seven, Split::Whole].map(|split| (target, split))
    }) {
        let mark = marker();
        let behaviour = Behaviour {
            usage: Some(usage()),
            text: Some(format!("Chào bb ccc {mark}")),
            split,
            ..Behaviour::default()
        };
        let mut body = question(model, &behaviour.directive());
        body["stream"] = json!(true);
        let answer = send(&gateway, &body).await;
        let message = message(&answer);
        assert_eq!(
            message["content"][0]["text"],
            format!("Chào bb ccc {mark}"),
            "{model} {split:?}"
        );
        assert_eq!(message["stop_reason"], "end_turn", "{answer}");
        assert_eq!(message["usage"]["output_tokens"], 9, "{answer}");
        assert!(!answer.text().contains("[DONE]"), "{answer}");
        // What it cost is told once, after everything that clients read.
        let text = answer.text();
        let (before, after) = text.split_once(": weir {").expect("the comment");
        assert!(
            before.contains("message_stop") && !after.contains(": weir"),
            "{text}"
        );
        let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
        assert!(seen.path.starts_with(path), "{model}: {}", seen.path);
    }
}

async fn tools(gateway: Arc<Gateway>) {
    for ((model, _), stream) in TARGETS
        .into_iter()
        .flat_map(|target| [(target, false), (target, true)])
    {
        let mut body = question(model, &marker());
        body["stream"] = json!(stream);
        body["tools"] = json!([{"name": "weather", "description": "Weather of a city",
            "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]);
        let answer = send(&gateway, &body).await;
        let called = message(&answer);
        assert_eq!(called["stop_reason"], "tool_use", "{model}: {answer}");
        let blocks = called["content"].as_array().expect("content");
        let call = blocks
            .iter()
            .find(|block| block["type"] == "tool_use")
            .unwrap_or_else(|| panic!("{model}: {answer}"));
        assert_eq!(call["name"], "weather", "{answer}");
        assert_eq!(call["input"], json!({"city": "Hà Nội"}), "{answer}");
        let history = body["messages"].as_array_mut().expect("messages");
        history.push(json!({"role": "assistant", "content": blocks}));
        history.push(json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": call["id"], "content": "sunny"}]}));
        let answer = send(&gateway, &body).await;
        assert_eq!(
            message(&answer)["content"][0]["text"],
            "Echo: sunny",
            "{model}"
        );
    }
}

async fn what_others_know_arrives(gateway: Arc<Gateway>) {
    let mark = marker();
    let image = json!({"type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}});
    let body = json!({
        "model": "gpt-4o-mini", "max_tokens": 77, "stop_sequences": ["END"], "temperature": 0.5,
        "top_k": 5, "metadata": {"user_id": "u-1"}, "context_management": {"edits": []},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": mark}, image]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [image]}]},
        ],
    });
    let answer = send(&gateway, &body).await;
    answer.good();
    let dropped = answer.header("x-weir-dropped-params").unwrap_or_default();
    for name in ["top_k", "thinking", "context_management"] {
        assert!(dropped.contains(name), "{answer}");
    }
    let sent = FakeProvider::only(gateway.provider.requests(&mark).await).json();
    assert_eq!(sent["max_tokens"], 77);
    assert_eq!(
        (&sent["stop"], &sent["user"]),
        (&json!(["END"]), &json!("u-1"))
    );
    let url = json!({"url": "data:image/png;base64,iVBORw0KGgo="});
    let expect = json!([
        {"role": "user", "content": [{"type": "text", "text": mark},
            {"type": "image_url", "image_url": url}]},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "toolu_1",
            "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "[image 1] (in the next message)"},
        {"role": "user", "content": [{"type": "text", "text": "[image 1]"},
            {"type": "image_url", "image_url": url}]},
    ]);
    assert_eq!(sent["messages"], expect, "{sent:#}");
    for name in ["thinking", "top_k", "context_management", "system"] {
        assert!(sent.get(name).is_none(), "{sent:#}");
    }
}

async fn refusals(gateway: Arc<Gateway>) {
    let body = question("gpt-4o-mini", "x");
    let answer = ask(&gateway, "/v1/messages", &body).send().await;
    refused(&answer, 401, "authentication_error", "missing_api_key");
    let nobody = ask(&gateway, "/v1/messages", &body).header("x-api-key", "vk-nobody");
    refused(
        &nobody.send().await,
        401,
        "authentication_error",
        "invalid_api_key",
    );
    let unknown = send(&gateway, &question("nothing/like-this", "x")).await;
    assert_eq!(unknown.json()["type"], "error", "{unknown}");
    assert!((400..=404).contains(&unknown.status), "{unknown}");

    let mut wrong = question("gpt-4o-mini", "x");
    wrong["messages"] = json!([{"role": "user", "content": [{"type": "audio"}]}]);
    let body = refused(
        &send(&gateway, &wrong).await,
        400,
        "invalid_request_error",
        "invalid_request",
    );
    let message = body["error"]["message"].as_str().unwrap_or_default();
    assert!(
        message.starts_with("messages.0.content.0.type: "),
        "{message}"
    );

    let mut search = question("gpt-4o-mini", "x");
    search["tools"] = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    let body = refused(
        &send(&gateway, &search).await,
        400,
        "invalid_request_error",
        "invalid_request",
    );
    let message = body["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("web_search_20250305"), "{message}");
    // Anthropic itself has it.
    search["model"] = json!("claude-3-sonnet");
    send(&gateway, &search).await.good();
}

async fn errors_of_providers(gateway: Arc<Gateway>) {
    for (model, _) in TARGETS {
        for (status, kind) in [(429, "rate_limit_error"), (400, "invalid_request_error")] {
            let behaviour = Behaviour {
                status: Some(status),
                ..Behaviour::default()
            };
            let answer = send(&gateway, &question(model, &behaviour.directive())).await;
            assert_eq!(answer.status, status, "{model}: {answer}");
            assert_eq!(answer.json()["type"], "error", "{model}: {answer}");
            assert_eq!(answer.json()["error"]["type"], kind, "{model}: {answer}");
        }
    }
    let too_long = json!({"error": {"message": "At most 8 tokens fit.", "type": "invalid_request_error",
        "param": "messages", "code": "context_length_exceeded"}});
    let behaviour = Behaviour {
        status: Some(400),
        body: Some(too_long.to_string()),
        ..Behaviour::default()
    };
    let answer = send(&gateway, &question("gpt-4o-mini", &behaviour.directive())).await;
    let message = answer.json()["error"]["message"].clone();
    assert_eq!(
        message, "prompt is too long: At most 8 tokens fit.",
        "{answer}"
    );
}

async fn streams_that_break(gateway: Arc<Gateway>) {
    for (model, _) in TARGETS {
        for behaviour in [
            Behaviour {
                error_after: Some(2),
                ..Behaviour::default()
            },
            Behaviour {
                ending: Ending::Close,
                after_chunks: 2,
                ..Behaviour::default()
            },
        ] {
            let text = format!("a b c d e f {}", behaviour.directive());
            let mut body = question(model, &text);
            body["stream"] = json!(true);
            let answer = send(&gateway, &body).await;
            assert_eq!(answer.status, 200, "{model}: {answer}");
            let (name, last) = events(&answer).pop().expect("events");
            assert_eq!(name, "error", "{model}: {answer}");
            assert!(last["error"]["message"].is_string(), "{answer}");
            assert!(!answer.text().contains("message_stop"), "{model}: {answer}");
        }
    }
}

async fn a_budget_ends(gateway: Arc<Gateway>) {
    let limits = json!({"provider": "openai", "budget_limit_usd": 0.000_001});
    let (key, _) = gateway.new_key(limits).await;
    let body = question("gpt-4o-mini", "a question that costs more than there is");
    let answer = ask(&gateway, "/v1/messages", &body).key(&key).send().await;
    refused(&answer, 429, "rate_limit_error", "budget_exceeded");
    assert!(answer.header("retry-after").is_some(), "{answer}");
}

async fn tokens_are_counted(gateway: Arc<Gateway>) {
    let body = json!({"model": "gpt-4o-mini", "system": "Be brief.",
        "messages": [{"role": "user", "content": "Xin chào"}]});
    let count = |body: Value| {
        let gateway = Arc::clone(&gateway);
        async move {
            let ask = ask(&gateway, "/v1/messages/count_tokens?beta=true", &body);
            let answer = ask.key(KEY).send().await;
            answer.good();
            answer.json()["input_tokens"].as_u64().expect("a count")
        }
    };
    let few = count(body.clone()).await;
    let mut long = body;
    long["messages"][0]["content"] = json!("Xin chào ".repeat(50));
    let many = count(long).await;
    assert!(few > 5 && many > few + 50, "{few} {many}");
}

async fn models_are_listed(gateway: Arc<Gateway>) {
    let get = |path: &'static str| {
        let builder = gateway.http.get(gateway.url(path));
        let ask = Ask { builder }.header("anthropic-version", "2023-06-01");
        ask.header("x-api-key", KEY).send()
    };
    let list = get("/v1/models").await;
    list.good();
    let body = list.json();
    assert_eq!(body["has_more"], false, "{list}");
    let models = body["data"].as_array().expect("data");
    let one = models.iter().find(|model| model["id"] == "gpt-4o-mini");
    assert_eq!(one.expect("a model")["type"], "model", "{list}");
    let one = get("/v1/models/gpt-4o-mini").await;
    one.good();
    assert_eq!(one.json()["display_name"], "gpt-4o-mini", "{one}");
    refused(
        &get("/v1/models/nothing").await,
        404,
        "not_found_error",
        "model_not_found",
    );
}

async fn personal_data_is_redacted(gateway: Arc<Gateway>) {
    let config = json!({"guardrails": {"input": [{"type": "pii_detection", "action": "redact"}]}});
    for (model, _) in TARGETS {
        let mark = marker();
        let mut body = question(model, &format!("{mark} I am jane.doe@acme.com"));
        body["system"] = json!("Write to boss@acme.com.");
        let ask = ask(&gateway, "/v1/messages", &body)
            .key(KEY)
            .config(&config);
        let answer = ask.send().await;
        answer.good();
        assert_eq!(
            answer.header("x-weir-pii"),
            Some("EMAIL=2"),
            "{model}: {answer}"
        );
        let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
        assert!(!seen.body.contains("acme.com"), "{model}: {}", seen.body);
        assert_eq!(seen.body.matches("[EMAIL_REDACTED]").count(), 2, "{model}");
    }
}

async fn the_exact_cache(gateway: Arc<Gateway>) {
    let config = json!({"cache": {"mode": "simple", "ttl": 60}});
    for (model, _) in TARGETS.into_iter().take(4) {
        for stream in [false, true] {
            let mark = marker();
            let mut body = question(model, &mark);
            body["stream"] = json!(stream);
            let mut messages = Vec::new();
            for expected in ["miss", "hit"] {
                let ask = ask(&gateway, "/v1/messages", &body)
                    .key(KEY)
                    .config(&config);
                let answer = ask.send().await;
                let message = message(&answer);
                assert_eq!(
                    answer.header("x-weir-cache"),
                    Some(expected),
                    "{model} {stream}: {answer}"
                );
                messages.push(message["content"].clone());
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            assert_eq!(messages[0], messages[1], "{model}");
            assert_eq!(gateway.provider.requests(&mark).await.len(), 1, "{model}");
        }
    }
}
