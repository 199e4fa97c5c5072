//! Every fault of a provider has a defined ending: an error, never a success that lacks something.

use std::sync::Arc;

use e2e::behaviour::{Behaviour, Ending};
use e2e::client::{Answer, marker, prompt, streaming};
use e2e::gateway::Gateway;
use e2e::run_cases;
use e2e::setup::Setup;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_has_a_defined_ending() {
    let gateway = Arc::new(Gateway::start(Setup::default()).await);
    run_cases!(
        gateway,
        [
            statuses_of_providers,
            provider_messages_survive,
            a_used_up_quota_is_not_asked_for_again,
            answers_that_are_none,
            answers_that_break_off,
            half_an_answer_falls_over,
            half_a_message_is_anthropics_error,
            streams_that_fail_at_once,
            streams_that_fail_on_the_way,
            the_shape_of_an_interrupted_stream,
            slow_but_sound,
            long_events,
        ]
    );
}

fn on_both(fault: &str) -> [String; 2] {
    [fault.to_owned(), format!("claude-{fault}")]
}

async fn ask(gateway: &Gateway, model: &str, stream: bool) -> Answer {
    let mut body = prompt(model, "one two three four five six");
    body["stream"] = json!(stream);
    gateway
        .chat(&body)
        .config(&json!({"request_timeout": 1500}))
        .send()
        .await
}

#[track_caller]
fn assert_error_body(answer: &Answer) -> Value {
    let error = answer.json()["error"].clone();
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "{answer}"
    );
    assert!(
        error["type"].is_string() && error.get("param").is_some(),
        "{answer}"
    );
    assert!(
        answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/json")),
        "{answer}"
    );
    error
}

async fn statuses_of_providers(gateway: Arc<Gateway>) {
    for (fault, expected) in [
        ("400", 400),
        ("429", 429),
        ("500", 500),
        ("502", 502),
        ("503", 503),
        ("529", 503),
    ] {
        for model in on_both(&format!("fault-{fault}")) {
            for stream in [false, true] {
                let answer = ask(&gateway, &model, stream).await;
                // 502 of an Anthropic endpoint is an overload, which OpenAI calls 503.
                let near = [expected, if expected == 502 { 503 } else { expected }];
                assert!(near.contains(&answer.status), "{model} {stream}: {answer}");
                assert_error_body(&answer);
                if fault == "429" {
                    assert_eq!(answer.header("retry-after"), Some("7"), "{answer}");
                }
            }
        }
    }
    // The gateway's own credentials were refused: clients must not think it were theirs.
    for model in on_both("fault-401") {
        let answer = ask(&gateway, &model, false).await;
        assert!(matches!(answer.status, 401 | 502), "{answer}");
        assert_ne!(answer.code(), "missing_api_key", "{answer}");
        assert_error_body(&answer);
    }
}

async fn provider_messages_survive(gateway: Arc<Gateway>) {
    for model in on_both("fault-500") {
        let answer = ask(&gateway, &model, false).await;
        let error = assert_error_body(&answer);
        assert_eq!(
            error["message"], "The fake provider was told to fail",
            "{answer}"
        );
    }
    let mark = marker();
    let too_long = json!({"error": {"message": "too long", "type": "invalid_request_error",
        "param": "messages", "code": "context_length_exceeded"}});
    let behaviour = Behaviour {
        status: Some(400),
        body: Some(too_long.to_string()),
        ..Behaviour::default()
    };
    gateway.provider.next(1, &mark, behaviour).await;
    let answer = gateway.chat(&prompt("gpt-4o-mini", &mark)).send().await;
    assert_eq!(
        (answer.status, answer.json()["error"].clone()),
        (400, too_long["error"].clone())
    );
}

/// OpenAI's clients take every `429` for one that passes.
async fn a_used_up_quota_is_not_asked_for_again(gateway: Arc<Gateway>) {
    for (kind, retry) in [("insufficient_quota", Some("false")), ("requests", None)] {
        let mark = marker();
        let error = json!({"error": {"message": "m", "type": kind, "param": null, "code": kind}});
        let behaviour = Behaviour {
            status: Some(429),
            body: Some(error.to_string()),
            ..Behaviour::default()
        };
        gateway.provider.next(2, &mark, behaviour).await;
        for body in [
            prompt("gpt-4o-mini", &mark),
            streaming("gpt-4o-mini", &mark),
        ] {
            let answer = gateway.chat(&body).send().await;
            assert_eq!((answer.status, answer.json()), (429, error.clone()));
            assert_eq!(answer.header("x-should-retry"), retry, "{answer}");
        }
    }
}

async fn answers_that_are_none(gateway: Arc<Gateway>) {
    for fault in [
        "fault-malformed",
        "fault-not-chat",
        "fault-wrong-type",
        "fault-html",
    ] {
        for model in on_both(fault) {
            for stream in [false, true] {
                let answer = ask(&gateway, &model, stream).await;
                assert!(
                    matches!(answer.status, 502 | 503),
                    "{model} {stream}: {answer}"
                );
                assert_error_body(&answer);
            }
        }
    }
}

async fn answers_that_break_off(gateway: Arc<Gateway>) {
    for fault in ["fault-reset", "fault-hang"] {
        for model in on_both(fault) {
            let answer = ask(&gateway, &model, false).await;
            let expected = if fault == "fault-hang" { 504 } else { 503 };
            let near = [expected, if expected == 503 { 502 } else { 504 }];
            assert!(near.contains(&answer.status), "{model}: {answer}");
            assert_error_body(&answer);
        }
    }
    for fault in ["fault-reset-mid", "fault-cut", "fault-close", "fault-stall"] {
        for model in on_both(fault) {
            let answer = ask(&gateway, &model, false).await;
            assert!(
                answer.status >= 500,
                "half an answer looked whole, {model}: {answer}"
            );
            assert_error_body(&answer);
        }
    }
}

async fn half_a_message_is_anthropics_error(gateway: Arc<Gateway>) {
    let config = json!({"request_timeout": 1500}).to_string();
    for fault in ["fault-hang", "fault-reset-mid", "fault-cut", "fault-stall"] {
        for model in on_both(fault) {
            let mut body = prompt(&model, "one two three four five six");
            body["max_tokens"] = json!(50);
            let ask = gateway.post("/v1/messages", &body);
            let answer = ask.header("x-weir-config", &config).send().await;
            assert!(answer.status >= 500, "{model}: {answer}");
            let error = answer.json();
            assert_eq!(error["type"], "error", "{model}: {answer}");
            assert!(error["error"]["type"].is_string(), "{model}: {answer}");
            assert!(error["error"]["message"].is_string(), "{model}: {answer}");
        }
    }
}

async fn half_an_answer_falls_over(gateway: Arc<Gateway>) {
    for fault in ["fault-reset-mid", "fault-cut", "fault-close", "fault-stall"] {
        let route = json!({
            "strategy": "fallback", "request_timeout": 1500,
            "targets": [
                {"provider": "openai", "model": fault, "on_errors": ["*"]},
                {"provider": "anthropic", "model": "claude-3-sonnet"},
            ],
        });
        let body = prompt("gpt-4o-mini", "one two three four five six");
        let answer = gateway.chat(&body).config(&route).send().await;
        assert_eq!(answer.status, 200, "{fault}: {answer}");
        assert_eq!(
            answer.header("x-weir-provider"),
            Some("anthropic"),
            "{fault}"
        );
        assert_eq!(answer.header("x-weir-attempts"), Some("2"), "{fault}");
    }
}

async fn streams_that_fail_at_once(gateway: Arc<Gateway>) {
    for fault in [
        "fault-error-first",
        "fault-empty",
        "fault-reset",
        "fault-hang",
    ] {
        for model in on_both(fault) {
            let answer = ask(&gateway, &model, true).await;
            assert!(answer.status >= 500, "{model}: {answer}");
            assert_error_body(&answer);
        }
    }
}

async fn streams_that_fail_on_the_way(gateway: Arc<Gateway>) {
    for fault in [
        "fault-error-mid",
        "fault-close",
        "fault-cut",
        "fault-reset-mid",
        "fault-stall",
    ] {
        for model in on_both(fault) {
            let answer = ask(&gateway, &model, true).await;
            assert_eq!(answer.status, 200, "{model}: {answer}");
            assert!(
                !answer.done(),
                "a broken stream ended like a whole one, {model}: {answer}"
            );
            let told = answer.error_event().is_some();
            assert!(
                told || answer.broken,
                "{model} ended without a word: {answer}"
            );
            let finished = answer
                .chunks()
                .iter()
                .any(|chunk| chunk["choices"][0]["finish_reason"].is_string());
            assert!(!finished, "{model}: {answer}");
        }
    }
}

async fn the_shape_of_an_interrupted_stream(gateway: Arc<Gateway>) {
    for model in on_both("fault-close") {
        let answer = ask(&gateway, &model, true).await;
        assert_eq!(
            answer.content(),
            "Echo: one ",
            "what was delivered stays: {answer}"
        );
        let error = answer
            .error_event()
            .unwrap_or_else(|| panic!("no error event: {answer}"));
        assert_eq!(error["code"], "upstream_stream_interrupted", "{answer}");
        assert_eq!(error["type"], "server_error", "{answer}");
        assert!(error["message"].is_string(), "{answer}");
    }
    for model in on_both("fault-error-mid") {
        let answer = ask(&gateway, &model, true).await;
        let error = answer
            .error_event()
            .unwrap_or_else(|| panic!("no error event: {answer}"));
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{answer}"
        );
        assert_eq!(answer.content(), "Echo: one ", "{answer}");
    }
}

async fn slow_but_sound(gateway: Arc<Gateway>) {
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        for stream in [false, true] {
            let slow = Behaviour {
                first_byte_ms: 700,
                chunk_ms: 100,
                ..Behaviour::default()
            };
            let mut body = prompt(model, &slow.directive());
            body["stream"] = json!(stream);
            gateway.chat(&body).send().await.good();
        }
    }
}

async fn long_events(gateway: Arc<Gateway>) {
    // Far more than one read of a socket; still one event.
    let long = Behaviour {
        text: Some("x".repeat(300_000)),
        ..Behaviour::default()
    };
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        let mark = marker();
        gateway.provider.next(1, &mark, long.clone()).await;
        let answer = gateway.chat(&streaming(model, &mark)).send().await;
        answer.good();
        assert_eq!(answer.content().len(), 300_000);
        assert!(answer.done());
    }
    // Above the cap of one event: an end with an error, not a cut text.
    let mark = marker();
    let longer = Behaviour {
        text: Some("x".repeat(2_000_000)),
        ..Behaviour::default()
    };
    gateway.provider.next(1, &mark, longer).await;
    let answer = gateway.chat(&streaming("gpt-4o-mini", &mark)).send().await;
    assert!(answer.broken || answer.status >= 500 || answer.error_event().is_some());
    // Nothing of it stays behind on the connection.
    let stalled = Behaviour {
        ending: Ending::Close,
        after_chunks: 1,
        ..Behaviour::default()
    };
    let body = streaming("gpt-4o-mini", &format!("a b c {}", stalled.directive()));
    assert!(!gateway.chat(&body).send().await.done());
}
