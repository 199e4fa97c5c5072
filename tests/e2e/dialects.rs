//! Anthropic's wire format behind OpenAI's, both ways, streaming too.

use std::sync::Arc;

use e2e::behaviour::{Behaviour, Tokens};
use e2e::client::{marker, prompt, streaming_with_usage};
use e2e::gateway::Gateway;
use e2e::provider::FakeProvider;
use e2e::run_cases;
use e2e::setup::Setup;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anthropic_behind_openai() {
    let setup = Setup::default().with(|config| {
        let mut twin = config["providers"][1].clone();
        let base = twin["base_url"].as_str().unwrap_or_default();
        twin["base_url"] = json!(format!("{base}/v1"));
        twin["name"] = json!("versioned");
        twin["default_price"] = json!("free");
        if let Some(providers) = config["providers"].as_array_mut() {
            providers.push(twin);
        }
    });
    let gateway = Arc::new(Gateway::start(setup).await);
    run_cases!(
        gateway,
        [
            request_is_translated,
            base_url_with_version,
            answer_is_translated,
            stream_is_translated,
            tools_travel,
            output_cap
        ]
    );
}

async fn request_is_translated(gateway: Arc<Gateway>) {
    let mark = marker();
    let body = json!({
        "model": "claude-3-sonnet",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "And kind."}]},
            {"role": "user", "content": [
                {"type": "text", "text": mark},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            ]},
            {"role": "assistant", "content": "ok"},
            {"role": "user", "content": "first"},
            {"role": "user", "content": "second"},
        ],
        "max_tokens": 77, "temperature": 1.5, "stop": ["END"], "user": "u-1",
        "x_unknown": true, "seed": 3,
    });
    gateway.chat(&body).send().await.good();
    let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
    assert_eq!(seen.path, "/anthropic/v1/messages");
    assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
    let sent = seen.json();
    assert_eq!(
        (&sent["model"], &sent["max_tokens"]),
        (&json!("claude-3-sonnet"), &json!(77))
    );
    assert_eq!(sent["stop_sequences"], json!(["END"]));
    assert_eq!(sent["temperature"].as_f64(), Some(1.0));
    let system = sent["system"].to_string();
    assert!(
        system.contains("Be brief.") && system.contains("And kind."),
        "{sent:#}"
    );
    let image = &sent["messages"][0]["content"][1];
    assert_eq!(image["source"]["media_type"], "image/png", "{sent:#}");
    assert_eq!(image["source"]["data"], "iVBORw0KGgo=", "{sent:#}");
    let last = sent["messages"]
        .as_array()
        .and_then(|all| all.last())
        .expect("messages")
        .to_string();
    assert!(
        last.contains("first") && last.contains("second"),
        "{sent:#}"
    );
}

async fn answer_is_translated(gateway: Arc<Gateway>) {
    let usage = Tokens {
        input: 1000,
        cached: 300,
        cache_write: 200,
        output: 10,
        reasoning: 0,
    };
    let behaviour = Behaviour {
        usage: Some(usage),
        text: Some("Chào bạn".into()),
        ..Behaviour::default()
    };
    let answer = gateway
        .chat(&prompt("claude-3-sonnet", &behaviour.directive()))
        .send()
        .await;
    answer.good();
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(answer.content(), "Chào bạn");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["prompt_tokens"], 1000, "{answer}");
    assert_eq!(body["usage"]["completion_tokens"], 10, "{answer}");
    assert_eq!(
        body["usage"]["prompt_tokens_details"]["cached_tokens"], 300,
        "{answer}"
    );
    assert_eq!(body["metadata"]["provider"], "anthropic");
}

async fn stream_is_translated(gateway: Arc<Gateway>) {
    let usage = Tokens {
        input: 40,
        output: 9,
        ..Tokens::default()
    };
    let behaviour = Behaviour {
        usage: Some(usage),
        text: Some("a bb ccc".into()),
        ..Behaviour::default()
    };
    let body = streaming_with_usage("claude-3-sonnet", &behaviour.directive());
    let answer = gateway.chat(&body).send().await;
    answer.good();
    assert_eq!(answer.content(), "a bb ccc");
    assert!(answer.done());
    let chunks = answer.chunks();
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk"),
        "{answer}"
    );
    let ids: std::collections::BTreeSet<String> =
        chunks.iter().map(|chunk| chunk["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "one id for all chunks: {ids:?}");
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let finish: Vec<&Value> = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["finish_reason"])
        .filter(|reason| !reason.is_null())
        .collect();
    assert_eq!(finish, ["stop"]);
    let last = chunks.last().expect("chunks");
    assert_eq!(last["choices"], json!([]), "{answer}");
    assert_eq!(last["usage"]["prompt_tokens"], 40, "{answer}");
    assert_eq!(last["usage"]["completion_tokens"], 9, "{answer}");
}

fn tools() -> Value {
    json!([{"type": "function", "function": {
        "name": "weather", "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }}])
}

async fn tools_travel(gateway: Arc<Gateway>) {
    for (model, stream) in [
        ("gpt-4o-mini", false),
        ("gpt-4o-mini", true),
        ("claude-3-sonnet", false),
        ("claude-3-sonnet", true),
    ] {
        let mark = marker();
        let mut body = prompt(model, &mark);
        body["tools"] = tools();
        body["stream"] = json!(stream);
        let answer = gateway.chat(&body).send().await;
        answer.good();
        let (id, name, arguments, finish) = if stream {
            streamed_call(&answer.chunks())
        } else {
            let choice = &answer.json()["choices"][0];
            let call = &choice["message"]["tool_calls"][0];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (
                text(&call["id"]),
                text(&call["function"]["name"]),
                text(&call["function"]["arguments"]),
                text(&choice["finish_reason"]),
            )
        };
        assert_eq!(
            (name.as_str(), finish.as_str()),
            ("weather", "tool_calls"),
            "{answer}"
        );
        let parsed: Value = serde_json::from_str(&arguments).expect("arguments are JSON");
        assert_eq!(parsed, json!({"city": "Hà Nội"}), "{answer}");
        // The result goes back to where the call came from.
        body["stream"] = json!(false);
        let history = body["messages"].as_array_mut().expect("messages");
        history.push(json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]}));
        history.push(json!({"role": "tool", "tool_call_id": id, "content": "sunny"}));
        let answer = gateway.chat(&body).send().await;
        answer.good();
        assert_eq!(answer.content(), "Echo: sunny", "{model}");
    }
}

fn streamed_call(chunks: &[Value]) -> (String, String, String, String) {
    let mut found = (String::new(), String::new(), String::new(), String::new());
    for choice in chunks.iter().map(|chunk| &chunk["choices"][0]) {
        let call = &choice["delta"]["tool_calls"][0];
        found.0.push_str(call["id"].as_str().unwrap_or_default());
        found
            .1
            .push_str(call["function"]["name"].as_str().unwrap_or_default());
        found
            .2
            .push_str(call["function"]["arguments"].as_str().unwrap_or_default());
        found
            .3
            .push_str(choice["finish_reason"].as_str().unwrap_or_default());
        if call.is_object() {
            assert_eq!(call["index"], 0, "tool calls count from 0: {choice}");
        }
    }
    found
}

async fn base_url_with_version(gateway: Arc<Gateway>) {
    let mark = marker();
    let route = json!({"targets": [
        {"provider": "dead", "model": "dead-model"}, {"provider": "versioned", "model": "claude-m"}],
        "strategy": "fallback"});
    for config in [route, json!({"provider": "versioned"})] {
        let ask = gateway.chat(&prompt("claude-m", &mark)).config(&config);
        ask.send().await.good();
    }
    let seen = gateway.provider.requests(&mark).await;
    let paths: Vec<_> = seen.iter().map(|seen| seen.path.as_str()).collect();
    assert_eq!(paths, ["/anthropic/v1/messages", "/anthropic/v1/messages"]);
}

async fn output_cap(gateway: Arc<Gateway>) {
    // Anthropic needs max_tokens; without one from the client it is the model's own maximum.
    let mark = marker();
    gateway
        .chat(&prompt("claude-3-sonnet", &mark))
        .send()
        .await
        .good();
    let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
    assert_eq!(seen.json()["max_tokens"], 16_384);
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        let many = Behaviour {
            chunks: Some(9),
            ..Behaviour::default()
        };
        let mut body = prompt(model, &many.directive());
        body["max_tokens"] = json!(4);
        let answer = gateway.chat(&body).send().await;
        answer.good();
        assert_eq!(answer.content(), "tok0 tok1 tok2 tok3 ");
        assert_eq!(answer.json()["choices"][0]["finish_reason"], "length");
    }
}
