//! Holds of streams: grown in slices while there is money, and the stream's end where there is none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::behaviour::Behaviour;
use e2e::client::{Answer, marker};
use e2e::gateway::Gateway;
use e2e::setup::Setup;
use e2e::stores::Store;
use e2e::{over_both_stores, run_cases};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::ledger;

/// The clients' forms, each with a model whose provider speaks another one and one whose speaks it.
const FORMS: [(&str, &str); 7] = [
    ("/v1/chat/completions", "gpt-4o-mini"),
    ("/v1/chat/completions", "claude-3-sonnet"),
    ("/v1/completions", "gpt-4o-mini"),
    ("/v1/messages", "gpt-4o-mini"),
    ("/v1/messages", "claude-3-sonnet"),
    ("/v1/responses", "gpt-4o-mini"),
    ("/v1/responses", "native/gpt-5"),
];

fn setup(store: Store, slice: Option<u64>) -> Setup {
    let setup = Setup::over(store).with_native(json!({"input": 0.15, "output": 0.60}));
    setup.with(move |config| {
        if let Some(slice) = slice {
            config["sidecar"]["hold_output_tokens"] = json!(slice);
        }
        config["budgets"] = json!([
            {"scope": "global", "limit_usd": 0.000_01, "period": "monthly", "hard": false},
        ]);
    })
}

over_both_stores!(
    holds_grow_with_their_streams,
    fast_streams_end,
    a_provider_that_goes_beyond_the_cap_is_stopped
);

async fn holds_grow_with_their_streams(store: Store) {
    let gateway = Arc::new(Gateway::start(setup(store, Some(64))).await);
    run_cases!(
        gateway,
        [
            a_hold_grows_while_a_stream_runs,
            a_stream_ends_where_nothing_is_left,
            many_streams_share_what_is_left,
            a_stream_without_a_state_service_ends_at_its_hold,
        ]
    );
}

async fn a_provider_that_goes_beyond_the_cap_is_stopped(store: Store) {
    let gateway = Arc::new(Gateway::start(setup(store, None)).await);
    run_cases!(
        gateway,
        [
            beyond_the_cap_a_hold_grows,
            beyond_the_budget_a_stream_ends,
            soft_budgets_end_nothing,
        ]
    );
}

/// A streamed request in the form of `path`, whose answer is `behaviour`.
fn request(path: &str, model: &str, cap: u64, behaviour: &Behaviour) -> (Value, String) {
    let mark = marker();
    let text = format!("{mark} {}", behaviour.directive());
    let messages = json!([{"role": "user", "content": text}]);
    let body = match path {
        "/v1/responses" => {
            json!({"model": model, "input": text, "max_output_tokens": cap, "stream": true})
        }
        "/v1/completions" => {
            json!({"model": model, "prompt": text, "max_tokens": cap, "stream": true})
        }
        _ => json!({"model": model, "messages": messages, "max_tokens": cap, "stream": true}),
    };
    (body, mark)
}

/// Chunks that come one in two milliseconds or so.
fn many(chunks: u32) -> Behaviour {
    Behaviour {
        chunks: Some(chunks),
        chunk_ms: 2,
        uncapped: true,
        ..Behaviour::default()
    }
}

async fn key(gateway: &Gateway, usd: f64) -> (String, String) {
    let members = json!({"budget_limit_usd": usd});
    let (key, record) = gateway.new_key(members).await;
    (key, record["id"].as_str().expect("id").to_owned())
}

async fn state(gateway: &Gateway, id: &str) -> (i64, i64) {
    let path = format!("/admin/virtual-keys/{id}");
    let shown = gateway.admin("GET", &path, None).await.json();
    let of = |name: &str| ledger::nano(shown[name].as_f64().expect("money"));
    (of("spent_usd"), of("held_usd"))
}

/// The lines of a key's ledger once there are `count` and nothing is held; its spend is their sum, and
/// was within `limit` with what was held at every look.
async fn settled(
    gateway: &Gateway,
    id: &str,
    count: usize,
    limit: i64,
) -> (Vec<ledger::Line>, i64) {
    let lines = ledger::settled(gateway, id, count).await;
    let started = Instant::now();
    loop {
        let (spent, held) = state(gateway, id).await;
        assert!(spent + held <= limit, "{spent} + {held} of {limit}");
        if held == 0 && spent == ledger::sum(&lines) {
            return (lines, spent);
        }
        assert!(
            started.elapsed() < Duration::from_secs(40),
            "{spent} {held}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Asserts that a stream says why it ended, in its own form.
#[track_caller]
fn ended_at_its_length(path: &str, answer: &Answer) {
    let text = answer.text();
    let events = answer.events();
    let data: Vec<Value> = events
        .iter()
        .filter_map(|event| serde_json::from_str(event).ok())
        .collect();
    assert_eq!(answer.status, 200, "{answer}");
    match path {
        "/v1/messages" => {
            let of = |kind: &str| data.iter().filter(|one| one["type"] == kind).count();
            let delta = data.iter().find(|one| one["type"] == "message_delta");
            assert_eq!(delta.expect("delta")["delta"]["stop_reason"], "max_tokens");
            assert_eq!(
                of("content_block_start"),
                of("content_block_stop"),
                "{text}"
            );
            assert_eq!(of("message_stop"), 1, "{text}");
        }
        "/v1/responses" => {
            let last = data.last().expect("an event");
            assert_eq!(last["type"], "response.incomplete", "{last}");
            let why = &last["response"]["incomplete_details"]["reason"];
            assert_eq!(why, "max_output_tokens", "{last}");
            assert!(last["response"]["id"].is_string(), "{last}");
            let numbers: Vec<u64> = data
                .iter()
                .filter_map(|one| one["sequence_number"].as_u64())
                .collect();
            assert!(numbers.windows(2).all(|two| two[0] < two[1]), "{numbers:?}");
        }
        _ => {
            let reasons: Vec<&Value> = data
                .iter()
                .map(|one| &one["choices"][0]["finish_reason"])
                .filter(|reason| reason.is_string())
                .collect();
            assert_eq!(reasons, [&json!("length")], "{text}");
            assert!(answer.done(), "{text}");
        }
    }
}

async fn a_hold_grows_while_a_stream_runs(gateway: Arc<Gateway>) {
    for (path, model) in FORMS {
        // The worst case would be 100,000 tokens of 600 or 15,000 nano-dollars.
        let usd = if model.starts_with("claude") {
            1.0
        } else {
            0.04
        };
        let (key, id) = key(&gateway, usd).await;
        let (body, _) = request(path, model, 100_000, &many(400));
        let sender = gateway.clone();
        let sent = body.clone();
        let running = tokio::spawn(async move { sender.post_as(&key, path, &sent).send().await });
        let mut most = 0;
        let mut first = 0;
        while !running.is_finished() {
            let (_, held) = state(&gateway, &id).await;
            most = most.max(held);
            if first == 0 {
                first = held;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let answer = running.await.expect("an answer");
        assert!(!answer.broken, "{path} {model}");
        assert!(answer.text().contains("tok399"), "{path} {model}: {answer}");
        let (lines, _) = settled(&gateway, &id, 1, ledger::nano(usd)).await;
        assert_eq!(lines[0].ending, "done");
        assert!(first > 0 && most > first, "{path} {model}: {first} {most}");
    }
}

/// All of an answer may be there before its hold has grown once.
async fn fast_streams_end(store: Store) {
    let gateway = Arc::new(Gateway::start(setup(store, Some(64))).await);
    let mut running = JoinSet::new();
    for client in 0..6 {
        let gateway = gateway.clone();
        running.spawn(async move {
            let (key, id) = key(&gateway, 2.0).await;
            for round in 0..14 {
                let (path, model) = FORMS[round % FORMS.len()];
                let fast = Behaviour {
                    chunks: Some(60 + 5 * (round as u32 + client)),
                    chunk_ms: u64::from(client % 2),
                    ..Behaviour::default()
                };
                let (body, _) = request(path, model, 4_000, &fast);
                let answer = loop {
                    let answer = gateway.post_as(&key, path, &body).send().await;
                    // A machine with other work keeps its Redis waiting.
                    if answer.status != 503 {
                        break answer;
                    }
                };
                assert_eq!(answer.status, 200, "{path} {model}: {answer}");
                assert!(!answer.broken, "{path} {model}: {answer}");
            }
            settled(&gateway, &id, 14, ledger::nano(2.0)).await;
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("a client");
    }
}

async fn a_stream_ends_where_nothing_is_left(gateway: Arc<Gateway>) {
    for (path, model) in FORMS {
        // Some 300 tokens.
        let usd = if model.starts_with("claude") {
            0.005
        } else {
            0.000_2
        };
        let (key, id) = key(&gateway, usd).await;
        let (body, mark) = request(path, model, 100_000, &many(4_000));
        let asked = Instant::now();
        let answer = gateway.post_as(&key, path, &body).send().await;
        ended_at_its_length(path, &answer);
        assert!(asked.elapsed() < Duration::from_secs(20), "{path} {model}");
        let limit = ledger::nano(usd);
        let (lines, spent) = settled(&gateway, &id, 1, limit).await;
        assert_eq!(lines[0].ending, "done");
        assert!(spent > limit / 2, "{path} {model}: {spent} of {limit}");
        // Nobody pays for what comes after: the provider is told.
        let seen = gateway.provider.wait(&mark, |seen| seen.aborted).await;
        assert!(seen.chunks_sent < 3_500, "{}", seen.chunks_sent);
    }
}

async fn many_streams_share_what_is_left(gateway: Arc<Gateway>) {
    let usd = 0.002;
    let (key, id) = key(&gateway, usd).await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (gateway, key) = (gateway.clone(), key.clone());
        running.spawn(async move {
            let (path, model) = FORMS[0];
            let (body, _) = request(path, model, 50_000, &many(4_000));
            let answer = gateway.post_as(&key, path, &body).send().await;
            if answer.status == 200 {
                ended_at_its_length(path, &answer);
                return 1;
            }
            answer.refused(429, "budget_exceeded");
            0
        });
    }
    let good: usize = running.join_all().await.into_iter().sum();
    assert!(good >= 3, "{good} of 12 got an answer");
    let limit = ledger::nano(usd);
    let (_, spent) = settled(&gateway, &id, good, limit).await;
    assert!(spent > limit / 2, "{spent}");
}

async fn a_stream_without_a_state_service_ends_at_its_hold(other: Arc<Gateway>) {
    let gateway = Arc::new(Gateway::start(setup(other.store(), Some(64))).await);
    let (key, id) = key(&gateway, 1.0).await;
    let (path, model) = FORMS[0];
    let slow = Behaviour {
        chunk_ms: 20,
        ..many(2_000)
    };
    let (body, _) = request(path, model, 50_000, &slow);
    let sender = gateway.clone();
    let running = tokio::spawn(async move { sender.post_as(&key, path, &body).send().await });
    let started = Instant::now();
    while state(&gateway, &id).await.1 == 0 {
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "nothing is held"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    gateway.kill_sidecar();
    let answer = running.await.expect("an answer");
    ended_at_its_length(path, &answer);
    gateway.restart_sidecar();
    gateway.ready().await;
    settled(&gateway, &id, 1, ledger::nano(1.0)).await;
}

async fn beyond_the_cap_a_hold_grows(gateway: Arc<Gateway>) {
    for (path, model) in FORMS {
        let (key, id) = key(&gateway, 1.0).await;
        let (body, _) = request(path, model, 20, &many(200));
        let answer = gateway.post_as(&key, path, &body).send().await;
        assert!(answer.text().contains("tok199"), "{path} {model}: {answer}");
        assert!(!answer.broken, "{path} {model}");
        settled(&gateway, &id, 1, ledger::nano(1.0)).await;
    }
}

async fn beyond_the_budget_a_stream_ends(gateway: Arc<Gateway>) {
    for (path, model) in FORMS {
        let usd = if model.starts_with("claude") {
            0.005
        } else {
            0.000_2
        };
        let (key, id) = key(&gateway, usd).await;
        let (body, _) = request(path, model, 100, &many(4_000));
        let answer = gateway.post_as(&key, path, &body).send().await;
        ended_at_its_length(path, &answer);
        settled(&gateway, &id, 1, ledger::nano(usd)).await;
    }
}

async fn soft_budgets_end_nothing(gateway: Arc<Gateway>) {
    // The one of everybody.
    let (key, record) = gateway.new_key(json!({})).await;
    let id = record["id"].as_str().expect("id");
    let (path, model) = FORMS[0];
    let (body, _) = request(path, model, 20, &many(200));
    let answer = gateway.post_as(&key, path, &body).send().await;
    assert!(answer.text().contains("tok199"), "{answer}");
    ledger::settled(&gateway, id, 1).await;
}
