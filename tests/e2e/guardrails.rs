//! Guardrails on answers, and placeholders that get their values back.

use std::sync::Arc;

use e2e::behaviour::Behaviour;
use e2e::client::{Answer, Ask, marker, prompt, streaming_with_usage};
use e2e::gateway::Gateway;
use e2e::provider::FakeProvider;
use e2e::run_cases;
use e2e::setup::{KEY, Setup};
use serde_json::{Value, json};

const MAIL: &str = "ann.lee@example.com";
/// What providers say: an address among other words.
const SAID: &str = "You can write to ann.lee@example.com at any time of the day";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_guarded() {
    let gateway = Arc::new(Gateway::start(Setup::default()).await);
    run_cases!(
        gateway,
        [
            placeholders_come_back,
            placeholders_come_back_to_every_client,
            placeholders_come_back_in_arguments,
            answers_with_placeholders_are_not_kept,
            answers_are_redacted,
            denied_answers_are_not_shown,
            denied_streams_end,
            denied_streams_end_in_the_clients_words,
            rules_for_answers_part_the_cache,
            answers_that_nobody_reads,
        ]
    );
}

fn output(action: &str) -> Value {
    json!({"guardrails": {"output": [{"type": "pii_detection", "action": action}]}})
}

fn pseudonyms() -> Value {
    json!({"guardrails": {"input": [{"type": "pii_detection", "action": "pseudonymize"}]}})
}

/// A prompt that makes the provider say `text`.
fn says(text: &str) -> String {
    let behaviour = Behaviour {
        text: Some(text.to_owned()),
        ..Behaviour::default()
    };
    format!("{} {}", marker(), behaviour.directive())
}

fn post(gateway: &Gateway, path: &str, body: &Value) -> Ask {
    let builder = gateway.http.post(gateway.url(path));
    Ask {
        builder: builder.body(body.to_string()),
    }
    .key(KEY)
    .header("content-type", "application/json")
}

async fn placeholders_come_back(gateway: Arc<Gateway>) {
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        for stream in [false, true] {
            let mark = marker();
            let text = format!("{mark} I am {MAIL}, card 4111 1111 1111 1111, again {MAIL}");
            let mut body = prompt(model, &text);
            body["stream"] = json!(stream);
            let answer = gateway.chat(&body).config(&pseudonyms()).send().await;
            answer.good();
            assert_eq!(answer.content(), format!("Echo: {text}"), "{answer}");
            assert_eq!(
                answer.header("x-weir-pii"),
                Some("CREDIT_CARD=1,EMAIL=2"),
                "{answer}"
            );
            let seen = FakeProvider::only(gateway.provider.requests(&mark).await).body;
            assert!(
                !seen.contains("example.com") && !seen.contains("4111"),
                "{seen}"
            );
            assert_eq!(seen.matches("[EMAIL_1_").count(), 2, "{seen}");
            assert!(seen.contains("[CREDIT_CARD_1_"), "{seen}");
        }
    }
}

async fn placeholders_come_back_to_every_client(gateway: Arc<Gateway>) {
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        for stream in [false, true] {
            let text = format!("{} I am {MAIL}", marker());
            for (path, body) in [
                (
                    "/v1/messages",
                    json!({"model": model, "max_tokens": 500, "stream": stream,
                        "messages": [{"role": "user", "content": text}]}),
                ),
                (
                    "/v1/responses",
                    json!({"model": model, "stream": stream, "store": false, "input": text}),
                ),
                (
                    "/v1/completions",
                    json!({"model": model, "stream": stream, "prompt": text}),
                ),
            ] {
                let ask = post(&gateway, path, &body).config(&pseudonyms());
                let answer = ask.send().await;
                answer.good();
                let text = if stream { said(&answer) } else { answer.text() };
                assert!(
                    text.contains(MAIL) && !text.contains("[EMAIL_"),
                    "{path} {answer}"
                );
            }
        }
    }
}

/// All pieces of text of a stream, in whichever form.
fn said(answer: &Answer) -> String {
    let pieces = answer.chunks().into_iter().map(|chunk| {
        let places = [
            &chunk["choices"][0]["delta"]["content"],
            &chunk["choices"][0]["text"],
            &chunk["delta"]["text"],
            &chunk["delta"],
        ];
        let found = places.into_iter().find_map(Value::as_str);
        found.unwrap_or_default().to_owned()
    });
    pieces.collect()
}

async fn placeholders_come_back_in_arguments(gateway: Arc<Gateway>) {
    // The fake provider's call has fixed arguments: the value in them is what a rule finds.
    let mut body = prompt("gpt-4o-mini", &says("unused"));
    body["tools"] = json!([{"type": "function", "function": {"name": "f",
        "parameters": {"type": "object"}}}]);
    for stream in [false, true] {
        body["stream"] = json!(stream);
        let answer = gateway.chat(&body).config(&output("redact")).send().await;
        answer.good();
        let text: String = if stream {
            let chunks = answer.chunks();
            let calls = chunks.iter().map(|chunk| {
                &chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]
            });
            calls.filter_map(Value::as_str).collect()
        } else {
            let call = &answer.json()["choices"][0]["message"]["tool_calls"][0];
            call["function"]["arguments"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(text, "{\"city\":\"Hà Nội\"}", "{answer}");
    }
}

async fn answers_with_placeholders_are_not_kept(gateway: Arc<Gateway>) {
    let mut config = pseudonyms();
    config["cache"] = json!({"mode": "simple"});
    let body = prompt("gpt-4o-mini", &format!("{} {MAIL}", marker()));
    for _ in 0..2 {
        let answer = gateway.chat(&body).config(&config).send().await;
        answer.good();
        assert_eq!(answer.header("x-weir-cache"), Some("off"));
    }
}

async fn answers_are_redacted(gateway: Arc<Gateway>) {
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        let text = says(SAID);
        let wanted = SAID.replace(MAIL, "[EMAIL_REDACTED]");
        let ask = gateway
            .chat(&prompt(model, &text))
            .config(&output("redact"));
        let answer = ask.send().await;
        answer.good();
        assert_eq!(answer.content(), wanted, "{answer}");
        assert_eq!(answer.header("x-weir-pii-output"), Some("EMAIL=1"));
        let body = streaming_with_usage(model, &text);
        let answer = gateway.chat(&body).config(&output("redact")).send().await;
        answer.good();
        assert_eq!(answer.content(), wanted, "{answer}");
        assert!(answer.done(), "{answer}");
    }
}

async fn denied_answers_are_not_shown(gateway: Arc<Gateway>) {
    let ask = gateway.chat(&prompt("gpt-4o-mini", &says(SAID)));
    let answer = ask.config(&output("deny")).send().await;
    answer.refused(400, "guardrail_violation");
    assert!(!answer.text().contains(MAIL), "{answer}");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    let ask = gateway.chat(&prompt("gpt-4o-mini", &says("Nothing personal")));
    let answer = ask.config(&output("deny")).send().await;
    answer.good();
    assert_eq!(answer.content(), "Nothing personal");
}

async fn denied_streams_end(gateway: Arc<Gateway>) {
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        let body = streaming_with_usage(model, &says(SAID));
        let answer = gateway.chat(&body).config(&output("deny")).send().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.content(), "You can write to ", "{answer}");
        let chunks = answer.chunks();
        let reasons: Vec<&str> = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str())
            .collect();
        assert_eq!(reasons, ["content_filter"], "{answer}");
        assert!(
            answer.done() && answer.metadata()["cost_usd"].as_f64() > Some(0.0),
            "{answer}"
        );
    }
}

async fn denied_streams_end_in_the_clients_words(gateway: Arc<Gateway>) {
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        let text = says(SAID);
        let body = json!({"model": model, "max_tokens": 500, "stream": true,
            "messages": [{"role": "user", "content": text}]});
        let ask = post(&gateway, "/v1/messages", &body).config(&output("deny"));
        let answer = ask.send().await;
        assert_eq!(said(&answer), "You can write to ", "{answer}");
        let reason = answer
            .chunks()
            .into_iter()
            .find_map(|event| event["delta"]["stop_reason"].as_str().map(str::to_owned));
        assert_eq!(reason.as_deref(), Some("refusal"), "{answer}");
        assert!(answer.text().contains("message_stop"), "{answer}");
        let body = json!({"model": model, "stream": true, "store": false, "input": text});
        let ask = post(&gateway, "/v1/responses", &body).config(&output("deny"));
        let answer = ask.send().await;
        let last = answer.chunks().pop().unwrap_or_default();
        assert_eq!(last["type"], "response.incomplete", "{answer}");
        let reason = &last["response"]["incomplete_details"]["reason"];
        assert_eq!(reason, "content_filter", "{answer}");
        assert!(!answer.text().contains(MAIL), "{answer}");
    }
}

async fn rules_for_answers_part_the_cache(gateway: Arc<Gateway>) {
    let body = prompt("gpt-4o-mini", &says(SAID));
    let cached = |rules: Value| {
        let mut config = rules;
        config["cache"] = json!({"mode": "simple"});
        config
    };
    for (config, shown) in [
        (cached(json!({})), true),
        (cached(json!({})), true),
        (cached(output("redact")), false),
        (cached(output("redact")), false),
    ] {
        let answer = gateway.chat(&body).config(&config).send().await;
        answer.good();
        assert_eq!(answer.content().contains(MAIL), shown, "{answer}");
    }
}

async fn answers_that_nobody_reads(gateway: Arc<Gateway>) {
    let body = json!({"model": "gpt-4o-mini", "input": "hello"});
    let refused = post(&gateway, "/v1/audio/speech", &body)
        .config(&output("redact"))
        .send()
        .await;
    refused.refused(400, "guardrail_violation");
}
