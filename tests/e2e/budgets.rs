//! Money: never overspent, never lost, and charged for what was delivered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::behaviour::{Behaviour, Ending, Tokens};
use e2e::client::{marker, prompt, streaming};
use e2e::gateway::Gateway;
use e2e::provider::FakeProvider;
use e2e::setup::{KEY, Setup};
use e2e::stores::Store;
use e2e::{over_both_stores, run_cases};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::ledger;

over_both_stores!(
    budgets_hold,
    global_budget_holds_for_every_key,
    kill_of_the_sidecar_loses_no_acknowledged_record
);

async fn budgets_hold(store: Store) {
    let gateway = Arc::new(Gateway::start(Setup::over(store)).await);
    run_cases!(
        gateway,
        [
            refusal_on_the_wire,
            two_hundred_at_once,
            cap_is_derived_from_what_is_left,
            client_abort_is_charged_for_what_was_delivered,
            broken_stream_is_charged_for_what_was_delivered,
            failures_cost_nothing,
        ]
    );
}

async fn global_budget_holds_for_every_key(store: Store) {
    let setup = Setup::over(store).with(|config| {
        config["budgets"] = json!([{"scope": "global", "limit_usd": 0.0002, "period": "daily"}]);
        config["defaults"]["budget_status_code"] = json!(402);
    });
    let gateway = Gateway::start(setup).await;
    let text = priced(20, 100, &marker());
    let mut body = prompt("gpt-4o-mini", &text);
    body["max_tokens"] = json!(100);
    let (key, _) = gateway.new_key(json!({"provider": "openai"})).await;
    let mut good = 0;
    let refused = loop {
        let answer = gateway
            .chat_as(if good % 2 == 0 { KEY } else { &key }, &body)
            .send()
            .await;
        if answer.status != 200 {
            break answer;
        }
        good += 1;
        assert!(good < 10, "never refused");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    // Three cost 63 micro-dollars each; a fourth does not fit into 200.
    assert!((2..=3).contains(&good), "{good}");
    refused.refused(402, "budget_exceeded");
    assert!(
        refused
            .text()
            .contains("Daily budget limit $0.0002 exceeded"),
        "{refused}"
    );
    let wait = refused.number("retry-after");
    assert!(wait > 0.0 && wait <= 86_400.0, "{refused}");
    let other = gateway.chat_as(&key, &body).send().await;
    other.refused(402, "budget_exceeded");
}

async fn kill_of_the_sidecar_loses_no_acknowledged_record(store: Store) {
    // A lease would bridge the gap.
    let setup = Setup::over(store).with(|config| config["sidecar"]["leases"] = json!(false));
    let gateway = Arc::new(Gateway::start(setup).await);
    let (key, record) = gateway.new_key(json!({"provider": "openai"})).await;
    let id = record["id"].as_str().expect("id").to_owned();
    let mut body = prompt("gpt-4o-mini", &priced(20, 100, &marker()));
    body["max_tokens"] = json!(100);
    let started = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..8 {
        let (gateway, key, body) = (gateway.clone(), key.clone(), body.clone());
        running.spawn(async move {
            let mut good = 0;
            let mut refused = 0;
            while started.elapsed() < Duration::from_secs(6) {
                let asked = Instant::now();
                let answer = gateway.chat_as(&key, &body).send().await;
                assert!(asked.elapsed() < Duration::from_secs(10), "a hang");
                match answer.status {
                    200 => good += 1,
                    503 => refused += 1,
                    _ => panic!("neither an answer nor a plain refusal: {answer}"),
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            (good, refused)
        });
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let before = ledger::lines(&gateway, &id);
    gateway.kill_sidecar();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    gateway.restart_sidecar();
    let counts = running.join_all().await;
    let good: usize = counts.iter().map(|(good, _)| good).sum();
    let refused: usize = counts.iter().map(|(_, refused)| refused).sum();
    assert!(
        !before.is_empty() && good > before.len(),
        "{} before, {good} in all",
        before.len()
    );
    assert!(refused > 0, "nothing was refused while there was no state");
    gateway.ready().await;
    let lines = ledger::settled(&gateway, &id, good).await;
    let of_answers = lines
        .iter()
        .filter(|line| line.ending == "done" && line.cost_nano > 0)
        .count();
    assert_eq!(
        of_answers, good,
        "each answer has one line, and no line is there twice"
    );
    for line in &before {
        assert!(
            lines.iter().any(|after| after.trace_id == line.trace_id),
            "lost {line:?}"
        );
    }
    let one = gateway
        .admin("GET", &format!("/admin/virtual-keys/{id}"), None)
        .await
        .json();
    let spent = ledger::nano(one["spent_usd"].as_f64().expect("spent_usd"));
    assert_eq!(spent, ledger::sum(&ledger::lines(&gateway, &id)));
    gateway.assert_sound().await;
}

/// A prompt whose answer is reported with these token counts.
pub(crate) fn priced(input: u64, output: u64, mark: &str) -> String {
    let usage = Some(Tokens {
        input,
        output,
        ..Tokens::default()
    });
    let behaviour = Behaviour {
        usage,
        text: Some("ok".into()),
        ..Behaviour::default()
    };
    format!("{mark} {}", behaviour.directive())
}

async fn budget_key(gateway: &Gateway, usd: f64) -> (String, String) {
    let members = json!({"provider": "openai", "budget_limit_usd": usd});
    let (key, record) = gateway.new_key(members).await;
    (key, record["id"].as_str().expect("id").to_owned())
}

async fn spent_nano(gateway: &Gateway, id: &str) -> i64 {
    let one = gateway
        .admin("GET", &format!("/admin/virtual-keys/{id}"), None)
        .await
        .json();
    ledger::nano(
        one["spent_usd"]
            .as_f64()
            .unwrap_or_else(|| panic!("spent_usd: {one}")),
    )
}

async fn refusal_on_the_wire(gateway: Arc<Gateway>) {
    let (key, _) = budget_key(&gateway, 0.001).await;
    let mark = marker();
    for stream in [false, true] {
        let mut body = prompt("gpt-4o-mini", &mark);
        body["stream"] = json!(stream);
        body["max_tokens"] = json!(10_000);
        let refused = gateway.chat_as(&key, &body).send().await;
        refused.refused(429, "budget_exceeded");
        let error = &refused.json()["error"];
        assert_eq!(error["type"], "insufficient_quota");
        assert_eq!(error["message"], "Monthly budget limit $0.001 exceeded");
        assert_eq!(refused.header("x-should-retry"), Some("false"));
        let wait = refused.number("retry-after");
        assert!((1.0..=31.0 * 86_400.0).contains(&wait), "{refused}");
    }
    assert!(gateway.provider.requests(&mark).await.is_empty());
}

async fn two_hundred_at_once(gateway: Arc<Gateway>) {
    const COST: i64 = 20 * 150 + 100 * 600;
    let limit = 50 * COST;
    let (key, id) = budget_key(&gateway, limit as f64 / 1e9).await;
    let behaviour = Behaviour {
        usage: Some(Tokens {
            input: 20,
            output: 100,
            ..Tokens::default()
        }),
        text: Some("ok".into()),
        first_byte_ms: 500,
        ..Behaviour::default()
    };
    let mark = marker();
    gateway.provider.next(0, &mark, behaviour).await;
    // As many tokens as the provider says or a few more: what is held covers what it costs.
    let text = format!("{mark} one two three four five six seven eight nine ten");
    let body = |stream: bool| {
        let mut body = prompt("gpt-4o-mini", &text);
        body["max_tokens"] = json!(100);
        body["stream"] = json!(stream);
        body
    };
    let mut running = JoinSet::new();
    for index in 0..200 {
        let (gateway, key, body) = (gateway.clone(), key.clone(), body(index % 4 == 0));
        running.spawn(async move {
            let answer = gateway.chat_as(&key, &body).send().await;
            if answer.status != 200 {
                answer.refused(429, "budget_exceeded");
            }
            answer.status
        });
    }
    let statuses = running.join_all().await;
    let mut good = statuses.iter().filter(|status| **status == 200).count();
    assert!((40..=50).contains(&good), "{good} of 200 were admitted");
    ledger::settled(&gateway, &id, good).await;
    // What was held too much is free again, down to the last request that fits.
    while gateway.chat_as(&key, &body(false)).send().await.status == 200 {
        good += 1;
        ledger::settled(&gateway, &id, good).await;
    }
    assert!(
        (48..=50).contains(&good),
        "{good} answers for a limit that fits 50"
    );
    let lines = ledger::settled(&gateway, &id, good).await;
    let charged: Vec<_> = lines.iter().filter(|line| line.cost_nano > 0).collect();
    assert_eq!(charged.len(), good);
    assert!(
        charged.iter().all(|line| line.cost_nano == COST),
        "{charged:#?}"
    );
    let spent = spent_nano(&gateway, &id).await;
    assert!(spent <= limit, "{spent} of {limit}");
    assert_eq!(spent, ledger::sum(&lines));
    assert_eq!(gateway.provider.requests(&mark).await.len(), good);
}

async fn cap_is_derived_from_what_is_left(gateway: Arc<Gateway>) {
    // Enough for some 160 output tokens, far less than the model could write.
    let (key, id) = budget_key(&gateway, 0.0001).await;
    let mark = marker();
    let long = Behaviour {
        chunks: Some(400),
        ..Behaviour::default()
    };
    gateway.provider.next(1, &mark, long).await;
    let answer = gateway
        .chat_as(&key, &prompt("gpt-4o-mini", &mark))
        .send()
        .await;
    answer.good();
    let seen = FakeProvider::only(gateway.provider.requests(&mark).await).json();
    let cap = seen["max_completion_tokens"]
        .as_u64()
        .or(seen["max_tokens"].as_u64());
    assert!(cap.is_some_and(|cap| (100..=166).contains(&cap)), "{seen}");
    assert_eq!(answer.json()["choices"][0]["finish_reason"], "length");
    let lines = ledger::settled(&gateway, &id, 1).await;
    assert!(ledger::sum(&lines) <= 100_000, "{lines:?}");
}

/// Reads `events` events of a stream and drops the connection.
async fn abort_after(gateway: &Gateway, key: &str, body: &Value, events: usize) {
    let response = reqwest::Client::new()
        .post(gateway.url("/v1/chat/completions"))
        .bearer_auth(key)
        .body(body.to_string())
        .send()
        .await
        .expect("head");
    assert_eq!(response.status(), 200);
    let mut stream = response.bytes_stream();
    let mut text = String::new();
    while text.matches("\n\n").count() < events {
        let piece = stream.next().await.expect("more").expect("bytes");
        text.push_str(&String::from_utf8_lossy(&piece));
    }
}

async fn client_abort_is_charged_for_what_was_delivered(gateway: Arc<Gateway>) {
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        let (key, record) = gateway.new_key(json!({"provider": "openai"})).await;
        let id = record["id"].as_str().expect("id").to_owned();
        let mark = marker();
        let slow = Behaviour {
            chunks: Some(200),
            chunk_ms: 10,
            ..Behaviour::default()
        };
        gateway.provider.next(1, &mark, slow).await;
        abort_after(&gateway, &key, &streaming(model, &mark), 40).await;
        let line = ledger::settled(&gateway, &id, 1).await.remove(0);
        assert_eq!(line.ending, "client_gone", "{line:?}");
        // A chunk `tok17 ` is two or three tokens.
        assert!(
            (30..=350).contains(&line.completion_tokens),
            "{model}: {line:?}"
        );
        assert!(line.cost_nano > 0 && line.prompt_tokens > 0, "{line:?}");
        let seen = gateway.provider.wait(&mark, |seen| seen.aborted).await;
        assert!(
            seen.chunks_sent < 200,
            "the provider was left writing: {seen:?}"
        );
    }
}

async fn broken_stream_is_charged_for_what_was_delivered(gateway: Arc<Gateway>) {
    let (key, record) = gateway.new_key(json!({"provider": "openai"})).await;
    let id = record["id"].as_str().expect("id").to_owned();
    let mark = marker();
    let cut = Behaviour {
        chunks: Some(100),
        ending: Ending::Cut,
        after_chunks: 20,
        ..Behaviour::default()
    };
    gateway.provider.next(1, &mark, cut).await;
    gateway
        .chat_as(&key, &streaming("gpt-4o-mini", &mark))
        .send()
        .await;
    let line = ledger::settled(&gateway, &id, 1).await.remove(0);
    assert_eq!(line.ending, "upstream_cut", "{line:?}");
    assert!((15..=80).contains(&line.completion_tokens), "{line:?}");
    assert!(line.cost_nano > 0, "{line:?}");
}

async fn failures_cost_nothing(gateway: Arc<Gateway>) {
    let (key, id) = budget_key(&gateway, 0.0001).await;
    let mut body = prompt("fault-500", "x");
    body["max_tokens"] = json!(100);
    // Each would hold more than half of the budget.
    for _ in 0..6 {
        let answer = gateway.chat_as(&key, &body).send().await;
        assert_eq!(answer.status, 500, "{answer}");
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert_eq!(spent_nano(&gateway, &id).await, 0);
}
