//! What an answer tells about itself: provider, tokens, cost; and that the sums are right.

use std::sync::Arc;

use e2e::behaviour::{Behaviour, Tokens};
use e2e::client::{Answer, marker, prompt, streaming, streaming_with_usage};
use e2e::gateway::Gateway;
use e2e::run_cases;
use e2e::setup::Setup;
use serde_json::json;

use crate::ledger;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_tell_what_they_cost() {
    let gateway = Arc::new(Gateway::start(Setup::default()).await);
    run_cases!(
        gateway,
        [
            arithmetic_of_the_quick_reference,
            cached_reasoning_and_written_tokens,
            streams_tell_at_their_end,
            own_count_without_usage,
            headers_of_every_answer,
            free_and_unpriced_models,
            ledger_says_the_same,
        ]
    );
}

fn with_usage(usage: Tokens) -> String {
    Behaviour {
        usage: Some(usage),
        ..Behaviour::default()
    }
    .directive()
}

#[track_caller]
fn assert_usd(found: &serde_json::Value, nano: i64) {
    let usd = found
        .as_f64()
        .unwrap_or_else(|| panic!("{found} is no number"));
    assert_eq!(ledger::nano(usd), nano, "{found}");
}

async fn arithmetic_of_the_quick_reference(gateway: Arc<Gateway>) {
    let text = with_usage(Tokens {
        input: 150,
        output: 50,
        ..Tokens::default()
    });
    let answer = gateway.chat(&prompt("gpt-4o-mini", &text)).send().await;
    answer.good();
    let metadata = answer.metadata();
    assert_usd(&metadata["cost_usd"], 52_500);
    assert_eq!(
        (&metadata["cache_hit"], &metadata["provider"]),
        (&json!(false), &json!("openai"))
    );
    assert_eq!(ledger::nano(answer.number("x-weir-cost-usd")), 52_500);
    assert_eq!(answer.header("x-weir-cost-usd"), Some("0.0000525"));
    assert_eq!(answer.header("x-weir-tokens-in"), Some("150"));
    assert_eq!(answer.header("x-weir-tokens-out"), Some("50"));
}

async fn cached_reasoning_and_written_tokens(gateway: Arc<Gateway>) {
    let tokens = |input, cached, cache_write, output, reasoning| Tokens {
        input,
        cached,
        cache_write,
        output,
        reasoning,
    };
    for (model, usage, nano) in [
        // 600 at 0.15, 400 at 0.075, 100 at 0.60 dollars a million.
        ("gpt-4o-mini", tokens(1000, 400, 0, 100, 0), 180_000),
        // Reasoning tokens have a price of their own: 100 at 1.10, 20 at 4.40, 30 at 8.80.
        ("o4-mini", tokens(100, 0, 0, 50, 30), 462_000),
        // 500 at 3, 300 at 0.30, 200 at 3.75, 10 at 15.
        ("claude-3-sonnet", tokens(1000, 300, 200, 10, 0), 2_490_000),
    ] {
        for stream in [false, true] {
            let mut body = prompt(model, &with_usage(usage));
            if stream {
                body = streaming_with_usage(model, &with_usage(usage));
            }
            let answer = gateway.chat(&body).send().await;
            answer.good();
            assert_usd(&answer.metadata()["cost_usd"], nano);
        }
    }
}

async fn streams_tell_at_their_end(gateway: Arc<Gateway>) {
    let text = with_usage(Tokens {
        input: 150,
        output: 50,
        ..Tokens::default()
    });
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        let nano = if model == "gpt-4o-mini" {
            52_500
        } else {
            1_200_000
        };
        let asked = gateway
            .chat(&streaming_with_usage(model, &text))
            .send()
            .await;
        asked.good();
        let last = asked.chunks().pop().expect("chunks");
        assert_eq!(last["choices"], json!([]), "{asked}");
        assert_eq!(last["usage"]["total_tokens"], 200, "{asked}");
        assert_usd(&last["metadata"]["cost_usd"], nano);
        assert!(asked.done());

        let silent = gateway.chat(&streaming(model, &text)).send().await;
        silent.good();
        let comment = silent.text();
        assert!(
            comment.contains("\n: weir {"),
            "no trailing comment: {silent}"
        );
        assert_usd(&silent.metadata()["cost_usd"], nano);
        assert!(
            silent
                .chunks()
                .iter()
                .all(|chunk| chunk.get("metadata").is_none()),
            "{silent}"
        );
        assert!(silent.done());
    }
}

async fn own_count_without_usage(gateway: Arc<Gateway>) {
    let behaviour = Behaviour {
        usage_absent: true,
        text: Some("The quick brown fox jumps over the lazy dog".to_owned()),
        ..Behaviour::default()
    };
    for stream in [false, true] {
        let mut body = prompt("gpt-4o-mini", &behaviour.directive());
        body["stream"] = json!(stream);
        let (key, record) = gateway.new_key(json!({"provider": "openai"})).await;
        let answer = gateway.chat_as(&key, &body).send().await;
        answer.good();
        let cost = answer.metadata()["cost_usd"].as_f64().expect("cost");
        let line = ledger::settled(&gateway, record["id"].as_str().expect("id"), 1)
            .await
            .remove(0);
        // Nine words are nine tokens in o200k.
        assert_eq!(line.completion_tokens, 9, "{line:?} {answer}");
        assert!(line.prompt_tokens > 20, "{line:?}");
        assert_eq!(line.cost_nano, ledger::nano(cost));
        assert_eq!(line.cost_nano, line.prompt_tokens * 150 + 9 * 600);
    }
}

async fn headers_of_every_answer(gateway: Arc<Gateway>) {
    let mut ids = std::collections::BTreeSet::new();
    for stream in [false, true] {
        let mut body = prompt("gpt-4o-mini", "hello");
        body["stream"] = json!(stream);
        let answer = gateway.chat(&body).send().await;
        answer.good();
        let told = |answer: &Answer, name: &str| {
            answer
                .header(name)
                .unwrap_or_else(|| panic!("no {name}: {answer}"))
                .to_owned()
        };
        ids.insert(told(&answer, "x-weir-request-id"));
        assert_eq!(told(&answer, "x-weir-provider"), "openai");
        assert_eq!(told(&answer, "x-weir-model"), "gpt-4o-mini");
        assert_eq!(told(&answer, "x-weir-attempts"), "1");
        assert_eq!(told(&answer, "x-weir-cache"), "off");
        assert!(answer.number("x-weir-tokens-in") > 0.0);
    }
    assert_eq!(ids.len(), 2, "request ids are unique");
    let refused = gateway
        .chat_as("vk-nobody", &prompt("gpt-4o-mini", "x"))
        .send()
        .await;
    assert!(refused.header("x-weir-request-id").is_some(), "{refused}");
}

async fn free_and_unpriced_models(gateway: Arc<Gateway>) {
    let answer = gateway.chat(&prompt("llama3:8b", "hello")).send().await;
    answer.good();
    assert_usd(&answer.metadata()["cost_usd"], 0);
    let mark = marker();
    let unknown = gateway.chat(&prompt("no-such-model", &mark)).send().await;
    assert!(
        matches!(
            unknown.code().as_str(),
            "model_not_priced" | "model_not_found"
        ),
        "{unknown}"
    );
    assert!(matches!(unknown.status, 400 | 404), "{unknown}");
    assert!(gateway.provider.requests(&mark).await.is_empty());
}

async fn ledger_says_the_same(gateway: Arc<Gateway>) {
    let (key, record) = gateway.new_key(json!({"provider": "openai"})).await;
    let text = with_usage(Tokens {
        input: 150,
        output: 50,
        ..Tokens::default()
    });
    let trace = marker();
    let ask = gateway.chat_as(&key, &prompt("gpt-4o-mini", &text));
    ask.header("x-portkey-trace-id", &trace).send().await.good();
    gateway
        .chat_as(&key, &streaming("gpt-4o-mini", &text))
        .send()
        .await
        .good();
    let id = record["id"].as_str().expect("id");
    let lines = ledger::settled(&gateway, id, 2).await;
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.trace_id == trace),
        "{lines:#?}"
    );
    for line in &lines {
        assert_eq!(
            (line.prompt_tokens, line.completion_tokens, line.cost_nano),
            (150, 50, 52_500)
        );
        assert_eq!(line.ending, "done");
    }
    let one = gateway
        .admin("GET", &format!("/admin/virtual-keys/{id}"), None)
        .await
        .json();
    assert_usd(&one["spent_usd"], 105_000);
}
