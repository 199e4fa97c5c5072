//! OpenAI's Responses: over providers that only chat, and as they came to one that speaks them.

use std::sync::Arc;
use std::time::Duration;

use e2e::behaviour::{Behaviour, Ending, Recorded, Split, Tokens};
use e2e::client::{Answer, Ask, marker};
use e2e::gateway::Gateway;
use e2e::provider::FakeProvider;
use e2e::run_cases;
use e2e::setup::{KEY, Setup};
use serde_json::{Value, json};

mod native;

/// A model of each provider that only chats.
const CHAT_ONLY: [&str; 3] = ["gpt-4o-mini", "claude-3-sonnet", "gemini/gemini-3-pro"];
const NATIVE: &str = "native/gpt-5";

fn setup() -> Setup {
    let price = json!({"input": 1, "cached_input": 0.5, "output": 4});
    let setup = Setup::default().with_native(price.clone());
    setup.with(move |config| {
        let base = config["providers"][0]["base_url"].as_str().expect("base");
        let base = base.strip_suffix("/v1").expect("base").to_owned();
        let providers = config["providers"].as_array_mut().expect("providers");
        providers.push(json!({
            "name": "gemini", "dialect": "gemini", "base_url": format!("{base}/gemini/v1beta"),
            "api_key": "gm-key",
        }));
        let models = config["models"].as_array_mut().expect("models");
        models.push(json!({
            "id": "gemini/gemini-3-pro", "provider": "gemini", "model": "gemini-3-pro",
            "context": 128_000, "max_output": 16_384, "price": price,
        }));
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_over_any_provider() {
    let gateway = Arc::new(Gateway::start(setup()).await);
    run_cases!(
        gateway,
        [
            an_answer,
            a_stream,
            bytes_cut_anywhere,
            a_tool_is_called_and_its_result_returned,
            errors_are_openais,
            a_cut_stream_ends_with_an_error,
            what_needs_state_is_refused,
            what_is_left_out_is_named,
            a_fallback_between_forms,
            personal_data_is_redacted,
            the_cache_keeps_either_kind,
        ]
    );
}

fn post(gateway: &Gateway, body: &Value) -> Ask {
    let builder = gateway.http.post(gateway.url("/v1/responses")).json(body);
    Ask { builder }.key(KEY)
}

async fn ask(gateway: &Gateway, body: &Value) -> Answer {
    post(gateway, body).send().await
}

fn usage() -> Tokens {
    Tokens {
        input: 40,
        cached: 8,
        output: 9,
        ..Tokens::default()
    }
}

fn saying(text: &str) -> Behaviour {
    Behaviour {
        usage: Some(usage()),
        text: Some(text.into()),
        ..Behaviour::default()
    }
}

/// The text of the messages in a response object.
fn text_of(response: &Value) -> String {
    let output = response["output"].as_array().expect("output");
    let messages = output.iter().filter(|item| item["type"] == "message");
    messages
        .flat_map(|item| item["content"].as_array().cloned().unwrap_or_default())
        .filter_map(|part| part["text"].as_str().map(str::to_owned))
        .collect()
}

/// The events of a stream, numbered without a gap and named by their type.
#[track_caller]
fn events(answer: &Answer) -> Vec<Value> {
    let events = answer.chunks();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{answer}");
        let name = format!("event: {}\n", event["type"].as_str().expect("type"));
        assert!(answer.text().contains(&name), "{answer}");
    }
    assert!(!answer.done(), "no [DONE] in this format: {answer}");
    events
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().map(|event| event["type"].as_str());
    kinds.map(Option::unwrap_or_default).collect()
}

fn weather() -> Value {
    json!([{
        "type": "function", "name": "weather", "description": "Of a city", "strict": false,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }])
}

async fn seen_of(gateway: &Gateway, mark: &str) -> Recorded {
    FakeProvider::only(gateway.provider.requests(mark).await)
}

async fn an_answer(gateway: Arc<Gateway>) {
    for model in CHAT_ONLY {
        let mark = marker();
        let body = json!({
            "model": model, "instructions": "Be brief.", "metadata": {"team": mark},
            "input": format!("{mark} {}", saying("Chào bạn").directive()),
            "max_output_tokens": 500, "temperature": 0.5, "store": false,
        });
        let answer = ask(&gateway, &body).await;
        answer.good();
        let response = answer.json();
        assert_eq!(response["object"], "response", "{answer}");
        assert_eq!(response["status"], "completed", "{answer}");
        assert_eq!(text_of(&response), "Chào bạn", "{answer}");
        assert_eq!(response["usage"]["input_tokens"], 40, "{answer}");
        assert_eq!(response["usage"]["output_tokens"], 9, "{answer}");
        let cached = &response["usage"]["input_tokens_details"]["cached_tokens"];
        assert_eq!(cached, 8, "{answer}");
        assert_eq!(response["instructions"], "Be brief.");
        // What the caller noted is not mixed with what Weir has to say: that is in headers.
        assert_eq!(response["metadata"], json!({"team": mark}));
        assert!(answer.number("x-weir-cost-usd") > 0.0);
        let seen = seen_of(&gateway, &mark).await.json();
        assert!(seen.to_string().contains("Be brief."), "{seen:#}");
        assert!(
            seen.get("input").is_none() && seen.get("metadata").is_none(),
            "{seen:#}"
        );
    }
}

async fn a_stream(gateway: Arc<Gateway>) {
    for model in CHAT_ONLY {
        let body = json!({
            "model": model, "stream": true,
            "input": [{"role": "user", "content": [
                {"type": "input_text", "text": saying("a bb ccc").directive()}]}],
        });
        let answer = ask(&gateway, &body).await;
        answer.good();
        let events = events(&answer);
        let kinds = kinds(&events);
        assert_eq!(
            kinds.get(..2),
            Some(&["response.created", "response.in_progress"][..])
        );
        assert_eq!(kinds.last(), Some(&"response.completed"), "{answer}");
        let text: String = events
            .iter()
            .filter(|event| event["type"] == "response.output_text.delta")
            .filter_map(|event| event["delta"].as_str())
            .collect();
        assert_eq!(text, "a bb ccc");
        let response = &events.last().expect("end")["response"];
        assert_eq!(text_of(response), text);
        assert_eq!(response["usage"]["total_tokens"], 49, "{answer}");
        assert_eq!(response["id"], events[0]["response"]["id"]);
        // What it cost stands behind the last event, where no client looks for events.
        let metadata = answer.metadata();
        assert!(
            metadata["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0),
            "{answer}"
        );
    }
}

async fn bytes_cut_anywhere(gateway: Arc<Gateway>) {
    for model in CHAT_ONLY.into_iter().chain([NATIVE]) {
        for split in [Split::Byte, Split::Seven, Split::Whole] {
            let behaviour = Behaviour {
                split,
                comments: true,
                ..saying("Xin chào \"bạn\"")
            };
            let body = json!({"model": model, "stream": true, "input": behaviour.directive()});
            let answer = ask(&gateway, &body).await;
            answer.good();
            let events = events(&answer);
            let response = &events.last().expect("end")["response"];
            assert_eq!(
                text_of(response),
                "Xin chào \"bạn\"",
                "{model} {split:?}: {answer}"
            );
        }
    }
}

async fn a_tool_is_called_and_its_result_returned(gateway: Arc<Gateway>) {
    for model in CHAT_ONLY.into_iter().chain([NATIVE]) {
        for stream in [false, true] {
            let mark = marker();
            let mut input = vec![json!({"role": "user", "content": mark})];
            let body = |input: &[Value]| json!({"model": model, "stream": stream, "input": input, "tools": weather()});
            let first = ask(&gateway, &body(&input)).await;
            first.good();
            let response = match stream {
                true => events(&first).last().expect("end")["response"].clone(),
                false => first.json(),
            };
            let output = response["output"].as_array().expect("output").clone();
            let call = output.iter().find(|item| item["type"] == "function_call");
            let call = call.unwrap_or_else(|| panic!("{first}"));
            assert_eq!(call["name"], "weather", "{first}");
            let arguments = call["arguments"].as_str().expect("arguments");
            assert!(
                serde_json::from_str::<Value>(arguments).is_ok(),
                "{arguments}"
            );
            let call_id = call["call_id"].clone();
            input.extend(output);
            input.push(json!({
                "type": "function_call_output", "call_id": call_id, "output": "22 degrees",
            }));
            let second = ask(&gateway, &body(&input)).await;
            second.good();
            let response = match stream {
                true => events(&second).last().expect("end")["response"].clone(),
                false => second.json(),
            };
            assert!(
                text_of(&response).contains("22 degrees"),
                "{model}: {second}"
            );
        }
    }
}

async fn errors_are_openais(gateway: Arc<Gateway>) {
    for model in CHAT_ONLY {
        for stream in [false, true] {
            let failing = |status| Behaviour {
                status: Some(status),
                ..Behaviour::default()
            };
            let limited = json!({
                "model": model, "stream": stream, "input": failing(429).directive(),
            });
            ask(&gateway, &limited)
                .await
                .refused(429, "rate_limit_exceeded");
            let broken = json!({
                "model": model, "stream": stream, "input": failing(500).directive(),
            });
            let answer = ask(&gateway, &broken).await;
            assert_eq!(answer.status, 500, "{answer}");
            assert!(answer.json()["error"]["message"].is_string(), "{answer}");
        }
    }
    let nobodys = json!({"model": "no-such-model-at-all", "input": "a"});
    let answer = ask(&gateway, &nobodys).await;
    assert!(matches!(answer.status, 400 | 404), "{answer}");
    let missing = json!({"model": "gpt-4o-mini"});
    let answer = ask(&gateway, &missing).await;
    answer.refused(400, "invalid_request");
    assert_eq!(answer.json()["error"]["param"], "input");
}

async fn a_cut_stream_ends_with_an_error(gateway: Arc<Gateway>) {
    for model in CHAT_ONLY {
        for behaviour in [
            Behaviour {
                ending: Ending::Close,
                after_chunks: 2,
                ..saying("one two three four")
            },
            Behaviour {
                error_after: Some(2),
                ..saying("one two three four")
            },
        ] {
            let body = json!({"model": model, "stream": true, "input": behaviour.directive()});
            let answer = ask(&gateway, &body).await;
            answer.good();
            let events = events(&answer);
            let kinds = kinds(&events);
            let end = kinds.len().saturating_sub(2);
            assert_eq!(
                kinds.get(end..),
                Some(&["response.failed", "error"][..]),
                "{answer}"
            );
            assert!(!kinds.contains(&"response.completed"), "{answer}");
            let failed = &events[end]["response"];
            assert_eq!(failed["status"], "failed");
            assert!(failed["error"]["code"].is_string(), "{answer}");
            let error = &events[end + 1];
            assert_eq!(error["message"], error["error"]["message"]);
            assert_eq!(error["message"], failed["error"]["message"]);
        }
    }
}

async fn what_needs_state_is_refused(gateway: Arc<Gateway>) {
    for (name, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("background", json!(true)),
        ("prompt", json!({"id": "pmpt_1"})),
    ] {
        let mark = marker();
        let mut body = json!({"model": "claude-3-sonnet", "input": mark});
        body[name] = value;
        let answer = ask(&gateway, &body).await;
        answer.refused(400, "invalid_request");
        let error = &answer.json()["error"];
        assert_eq!(error["param"], name, "{answer}");
        let message = error["message"].as_str().expect("message");
        assert!(message.contains("keeps no state"), "{message}");
        assert!(gateway.provider.requests(&mark).await.is_empty());
    }
    let body = json!({
        "model": "gpt-4o-mini", "input": "a", "tools": [{"type": "web_search"}],
    });
    let answer = ask(&gateway, &body).await;
    answer.refused(400, "invalid_request");
    assert_eq!(answer.json()["error"]["param"], "tools[0].type");
}

async fn what_is_left_out_is_named(gateway: Arc<Gateway>) {
    let body = json!({
        "model": "claude-3-sonnet", "input": "a", "store": true, "truncation": "auto",
        "max_tool_calls": 2,
    });
    let answer = ask(&gateway, &body).await;
    answer.good();
    let dropped = answer.header("x-weir-dropped-params").unwrap_or_default();
    for name in ["store", "truncation", "max_tool_calls"] {
        assert!(dropped.contains(name), "{answer}");
    }
    assert_eq!(answer.json()["store"], false);
}

async fn a_fallback_between_forms(gateway: Arc<Gateway>) {
    let config = json!({
        "strategy": {"mode": "fallback"},
        "targets": [
            {"provider": "native", "override_params": {"model": "gpt-5"}},
            {"provider": "anthropic", "override_params": {"model": "claude-3-sonnet"}},
        ],
    });
    for stream in [false, true] {
        let mark = marker();
        gateway
            .provider
            .next(
                1,
                &mark,
                Behaviour {
                    status: Some(503),
                    ..Behaviour::default()
                },
            )
            .await;
        let body = json!({"model": "gpt-5", "stream": stream, "input": format!("{mark} hello")});
        let answer = post(&gateway, &body).config(&config).send().await;
        answer.good();
        let seen = gateway.provider.requests(&mark).await;
        let paths: Vec<&str> = seen.iter().map(|request| request.path.as_str()).collect();
        assert_eq!(paths, ["/native/v1/responses", "/anthropic/v1/messages"]);
        let response = match stream {
            true => events(&answer).last().expect("end")["response"].clone(),
            false => answer.json(),
        };
        assert_eq!(
            text_of(&response),
            format!("Echo: {mark} hello"),
            "{answer}"
        );
        assert_eq!(
            answer.header("x-weir-provider"),
            Some("anthropic"),
            "{answer}"
        );
    }
}

fn redact() -> Value {
    json!({"guardrails": {"input": [{"type": "pii_detection", "action": "redact"}]}})
}

async fn redacted(gateway: &Gateway, model: &str) {
    let mark = marker();
    let mail = "jane.doe@acme.com";
    let body = json!({
        "model": model, "instructions": format!("Write to {mail}"),
        "input": [
            {"role": "user", "content": format!("{mark} {mail}")},
            {"type": "function_call", "call_id": "call_1", "name": "mail",
             "arguments": json!({"to": mail}).to_string()},
            {"type": "function_call_output", "call_id": "call_1", "output": format!("sent to {mail}")},
        ],
    });
    let answer = post(gateway, &body).config(&redact()).send().await;
    answer.good();
    assert_eq!(answer.header("x-weir-pii"), Some("EMAIL=4"), "{answer}");
    let seen = seen_of(gateway, &mark).await;
    assert!(!seen.body.contains(mail), "{}", seen.body);
    assert_eq!(
        seen.body.matches("[EMAIL_REDACTED]").count(),
        4,
        "{}",
        seen.body
    );
}

async fn personal_data_is_redacted(gateway: Arc<Gateway>) {
    for model in CHAT_ONLY {
        redacted(&gateway, model).await;
    }
}

async fn the_cache_keeps_either_kind(gateway: Arc<Gateway>) {
    let config = json!({"cache": {"mode": "simple", "ttl": 60}});
    for model in ["claude-3-sonnet", NATIVE] {
        for stream in [false, true] {
            let mark = marker();
            let body = json!({"model": model, "stream": stream, "input": mark});
            let mut texts = Vec::new();
            for expected in ["miss", "hit"] {
                let answer = post(&gateway, &body).config(&config).send().await;
                answer.good();
                assert_eq!(answer.header("x-weir-cache"), Some(expected), "{answer}");
                let response = match stream {
                    true => events(&answer).last().expect("end")["response"].clone(),
                    false => answer.json(),
                };
                texts.push(text_of(&response));
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            assert_eq!(texts[0], format!("Echo: {mark}"));
            assert_eq!(texts[0], texts[1]);
            // Who asks for a chat gets none of it.
            let chat = json!({"model": model, "messages": [{"role": "user", "content": mark}]});
            let answer = gateway.chat(&chat).config(&config).send().await;
            assert_eq!(answer.header("x-weir-cache"), Some("miss"), "{answer}");
        }
    }
}
