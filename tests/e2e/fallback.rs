//! Fallback: each trigger, in both directions, streaming too, with the right body for each attempt.

use std::sync::Arc;

use e2e::behaviour::Recorded;
use e2e::client::{Answer, marker, prompt};
use e2e::gateway::Gateway;
use e2e::run_cases;
use e2e::setup::Setup;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fallback_to_any_provider() {
    let gateway = Arc::new(Gateway::start(Setup::default()).await);
    run_cases!(
        gateway,
        [
            each_trigger_from_openai,
            each_trigger_from_anthropic,
            refused_connection,
            on_errors_limits_the_triggers,
            status_codes_of_portkey,
            last_failure_is_told,
            nobody_can_be_reached,
            three_in_a_row,
            unknown_fields_reach_every_openai_target,
        ]
    );
}

/// What makes a target fail, and whether only in a stream.
const TRIGGERS: [(&str, bool); 12] = [
    ("fault-429", false),
    ("fault-500", false),
    ("fault-502", false),
    ("fault-503", false),
    ("fault-529", false),
    ("fault-400", false),
    ("fault-html", false),
    ("fault-reset", false),
    ("fault-hang", false),
    ("fault-error-first", true),
    ("fault-empty", true),
    ("fault-401", false),
];

fn fallback(targets: &[(&str, &str)]) -> Value {
    let targets: Vec<Value> = targets
        .iter()
        .map(|(provider, model)| json!({"provider": provider, "model": model}))
        .collect();
    json!({"strategy": "fallback", "targets": targets, "request_timeout": 1000})
}

async fn ask(
    gateway: &Gateway,
    config: &Value,
    mark: &str,
    stream: bool,
) -> (Answer, Vec<Recorded>) {
    let mut body = prompt("gpt-4o-mini", mark);
    body["stream"] = json!(stream);
    body["max_tokens"] = json!(50);
    let answer = gateway.chat(&body).config(config).send().await;
    (answer, gateway.provider.requests(mark).await)
}

fn assert_openai(request: &Recorded, model: &str, stream: bool) {
    let body = request.json();
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(
        (&body["model"], &body["stream"]),
        (&json!(model), &json!(stream)),
        "{body}"
    );
    assert_eq!(body["messages"][0]["role"], "user");
    assert_eq!(
        request.header("authorization"),
        Some("Bearer sk-real-openai")
    );
    for name in ["x-api-key", "anthropic-version"] {
        assert_eq!(request.header(name), None, "{:?}", request.headers);
    }
}

fn assert_anthropic(request: &Recorded, model: &str, stream: bool) {
    let body = request.json();
    assert_eq!(request.path, "/anthropic/v1/messages");
    assert_eq!(
        (&body["model"], &body["max_tokens"]),
        (&json!(model), &json!(50)),
        "{body}"
    );
    assert_eq!(body["stream"].as_bool().unwrap_or(false), stream, "{body}");
    assert_eq!(request.header("x-api-key"), Some("sk-ant-real-anthropic"));
    assert_eq!(request.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(
        request.header("authorization"),
        None,
        "{:?}",
        request.headers
    );
    let length: usize = request
        .header("content-length")
        .map_or(request.body.len(), |n| n.parse().expect("n"));
    assert_eq!(length, request.body.len());
}

fn assert_answer(answer: &Answer, provider: &str, mark: &str, stream: bool, which: &str) {
    assert_eq!(
        (answer.status, answer.broken),
        (200, false),
        "{which}: {answer}"
    );
    assert_eq!(
        answer.content(),
        format!("Echo: {mark}"),
        "{which}: {answer}"
    );
    assert_eq!(
        answer.header("x-weir-provider"),
        Some(provider),
        "{which}: {answer}"
    );
    assert_eq!(
        answer.header("x-weir-attempts"),
        Some("2"),
        "{which}: {answer}"
    );
    assert_eq!(answer.header("x-weir-retry"), None, "{which}: {answer}");
    assert_eq!(answer.metadata()["provider"], provider, "{which}: {answer}");
    assert!(!stream || answer.done(), "{which}: {answer}");
}

async fn each_trigger_from_openai(gateway: Arc<Gateway>) {
    for (fault, stream_only) in TRIGGERS {
        for stream in [false, true] {
            if stream_only && !stream {
                continue;
            }
            let mark = marker();
            let config = fallback(&[("openai", fault), ("anthropic", "claude-3-sonnet")]);
            let (answer, seen) = ask(&gateway, &config, &mark, stream).await;
            let which = format!("{fault} stream {stream}");
            assert_answer(&answer, "anthropic", &mark, stream, &which);
            assert_eq!(seen.len(), 2, "{which}: {seen:#?}");
            assert_openai(&seen[0], fault, stream);
            assert_anthropic(&seen[1], "claude-3-sonnet", stream);
        }
    }
}

async fn each_trigger_from_anthropic(gateway: Arc<Gateway>) {
    for (fault, stream_only) in TRIGGERS {
        for stream in [false, true] {
            if stream_only && !stream {
                continue;
            }
            let mark = marker();
            let model = format!("claude-{fault}");
            let config = fallback(&[("anthropic", &model), ("openai", "gpt-4o-mini")]);
            let (answer, seen) = ask(&gateway, &config, &mark, stream).await;
            let which = format!("{model} stream {stream}");
            assert_answer(&answer, "openai", &mark, stream, &which);
            assert_eq!(seen.len(), 2, "{which}: {seen:#?}");
            assert_anthropic(&seen[0], &model, stream);
            assert_openai(&seen[1], "gpt-4o-mini", stream);
        }
    }
}

async fn refused_connection(gateway: Arc<Gateway>) {
    for (provider, model) in [("anthropic", "claude-3-sonnet"), ("openai", "gpt-4o-mini")] {
        for stream in [false, true] {
            let mark = marker();
            let config = fallback(&[("dead", "dead-model"), (provider, model)]);
            let (answer, seen) = ask(&gateway, &config, &mark, stream).await;
            assert_answer(&answer, provider, &mark, stream, "refused");
            assert_eq!(seen.len(), 1, "{seen:#?}");
        }
    }
}

async fn on_errors_limits_the_triggers(gateway: Arc<Gateway>) {
    // Rule, what fails, whether it goes on.
    for (rule, fault, goes_on) in [
        (json!(["429"]), "fault-429", true),
        (json!(["rate_limit"]), "fault-429", true),
        (json!(["rate_limit"]), "fault-500", false),
        (json!(["timeout"]), "fault-hang", true),
        (json!(["timeout"]), "fault-429", false),
        (json!(["500", "503"]), "fault-503", true),
        (json!(["500"]), "fault-hang", false),
        (json!(["*"]), "fault-400", true),
        (json!(["*"]), "fault-reset", true),
    ] {
        let mark = marker();
        let config = json!({"strategy": "fallback", "request_timeout": 800, "targets": [
            {"provider": "openai", "model": fault, "on_errors": rule},
            {"provider": "anthropic", "model": "claude-3-sonnet"},
        ]});
        let (answer, seen) = ask(&gateway, &config, &mark, false).await;
        assert_eq!(answer.status == 200, goes_on, "{rule} {fault}: {answer}");
        assert_eq!(seen.len(), if goes_on { 2 } else { 1 }, "{rule} {fault}");
    }
}

async fn status_codes_of_portkey(gateway: Arc<Gateway>) {
    for (fault, goes_on) in [("fault-429", true), ("fault-500", false)] {
        let mark = marker();
        let config = json!({"strategy": {"mode": "fallback", "on_status_codes": [429]}, "targets": [
            {"provider": "openai", "override_params": {"model": fault}},
            {"provider": "anthropic", "override_params": {"model": "claude-3-sonnet"}},
        ]});
        let (answer, seen) = ask(&gateway, &config, &mark, false).await;
        assert_eq!(answer.status == 200, goes_on, "{fault}: {answer}");
        assert_eq!(seen.len(), if goes_on { 2 } else { 1 }, "{fault}");
    }
}

async fn last_failure_is_told(gateway: Arc<Gateway>) {
    for (first, last, status) in [
        (
            ("openai", "fault-500"),
            ("anthropic", "claude-fault-429"),
            429,
        ),
        (
            ("anthropic", "claude-fault-429"),
            ("openai", "fault-500"),
            500,
        ),
        (
            ("openai", "fault-500"),
            ("anthropic", "claude-fault-529"),
            503,
        ),
    ] {
        for stream in [false, true] {
            let mark = marker();
            let (answer, seen) = ask(&gateway, &fallback(&[first, last]), &mark, stream).await;
            assert_eq!(
                (answer.status, seen.len()),
                (status, 2),
                "{last:?}: {answer}"
            );
            let error = &answer.json()["error"];
            assert!(
                error["message"].is_string() && error["type"].is_string(),
                "{answer}"
            );
            assert_eq!(answer.header("x-weir-attempts"), Some("2"), "{answer}");
        }
    }
}

async fn nobody_can_be_reached(gateway: Arc<Gateway>) {
    for stream in [false, true] {
        let config = fallback(&[("dead", "dead-model"), ("dead", "dead-model")]);
        let (answer, _) = ask(&gateway, &config, &marker(), stream).await;
        answer.refused(503, "upstream_unavailable");
        let mut body = prompt("dead-model", "x");
        body["stream"] = json!(stream);
        gateway
            .chat(&body)
            .send()
            .await
            .refused(503, "upstream_unavailable");
    }
}

async fn three_in_a_row(gateway: Arc<Gateway>) {
    let mark = marker();
    let config = fallback(&[
        ("openai", "fault-reset"),
        ("anthropic", "claude-fault-error-first"),
        ("dead", "dead-model"),
        ("ollama", "llama3:8b"),
    ]);
    let (answer, seen) = ask(&gateway, &config, &mark, true).await;
    answer.good();
    assert_eq!(answer.content(), format!("Echo: {mark}"));
    assert_eq!(answer.header("x-weir-attempts"), Some("4"), "{answer}");
    let paths: Vec<&str> = seen.iter().map(|one| one.path.as_str()).collect();
    let expected = [
        "/v1/chat/completions",
        "/anthropic/v1/messages",
        "/ollama/v1/chat/completions",
    ];
    assert_eq!(paths, expected);
    assert_eq!(
        seen[2].header("authorization"),
        None,
        "the key of another provider: {:?}",
        seen[2].headers
    );
    assert_eq!(seen[2].header("x-api-key"), None, "{:?}", seen[2].headers);
}

async fn unknown_fields_reach_every_openai_target(gateway: Arc<Gateway>) {
    let mark = marker();
    let config = fallback(&[("openai", "fault-500"), ("ollama", "llama3:8b")]);
    let sent = format!(
        "{{\"model\": \"gpt-4o-mini\", \"x_big\": 12345678901234567890,  \
         \"messages\":[{{\"role\":\"user\",\"content\":\"{mark}\"}}]}}"
    );
    gateway
        .chat_bytes(sent.clone())
        .key(e2e::setup::KEY)
        .config(&config)
        .send()
        .await
        .good();
    let seen = gateway.provider.requests(&mark).await;
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].body, sent.replace("gpt-4o-mini", "fault-500"));
    assert_eq!(seen[1].body, sent.replace("gpt-4o-mini", "llama3:8b"));
}
