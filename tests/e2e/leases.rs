//! Busy keys are admitted without a call, and no limit notices.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::client::{marker, prompt};
use e2e::gateway::Gateway;
use e2e::over_both_stores;
use e2e::setup::Setup;
use e2e::stores::Store;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::ledger;

over_both_stores!(
    leases_hold_what_they_promise,
    a_busy_key_goes_on_while_the_state_service_restarts
);

/// A machine with other work does not make a test fail.
const PATIENCE: Duration = Duration::from_secs(120);

async fn leases_hold_what_they_promise(store: Store) {
    let gateway = Arc::new(Gateway::start(Setup::over(store)).await);
    // One after the other: each looks at how many leases it caused.
    most_requests_of_a_busy_key_need_no_call(&gateway).await;
    a_limit_is_used_up_and_never_exceeded(&gateway).await;
    a_request_limit_is_used_up_and_never_exceeded(&gateway).await;
    tokens_and_places_are_leased_too(&gateway).await;
    a_revoked_key_ends_its_leases(&gateway).await;
}

async fn a_busy_key_goes_on_while_the_state_service_restarts(store: Store) {
    let gateway = Arc::new(Gateway::start(Setup::over(store).workers(1)).await);
    let (key, record) = gateway.new_key(json!({"provider": "openai"})).await;
    let id = record["id"].as_str().expect("id").to_owned();
    let started = Instant::now();
    let mut good = 0;
    loop {
        // A lease lasts for five seconds: the last one before the end covers some of them.
        let warm = storm(&gateway, &key, false, Duration::from_secs(2)).await;
        assert_eq!(warm.refused, 0);
        // A Redis that is slow on a busy machine may miss some.
        assert!(warm.missed == 0 || store == Store::Shared);
        gateway.kill_sidecar();
        let away = storm(&gateway, &key, false, Duration::from_millis(400)).await;
        gateway.restart_sidecar();
        gateway.ready().await;
        good += warm.good + away.good;
        if away.good > 0 {
            break;
        }
        // On a busy machine a key may be too slow to be leased.
        assert!(started.elapsed() < PATIENCE, "nothing went on");
    }
    let lines = ledger::settled(&gateway, &id, good).await;
    assert_eq!(lines.len(), good, "each answer has one line");
    settled_in_full(&gateway, &id).await;
}

struct Storm {
    good: usize,
    /// By a limit.
    refused: usize,
    /// For want of an answer from the state.
    missed: usize,
}

/// Eight clients that ask as fast as they can until `span` is over, or they get no answer thrice.
async fn storm(gateway: &Arc<Gateway>, key: &str, stream: bool, span: Duration) -> Storm {
    let started = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..8 {
        let (gateway, key) = (gateway.clone(), key.to_owned());
        let mut body = prompt("gpt-4o-mini", &marker());
        body["max_tokens"] = json!(20);
        body["stream"] = json!(stream);
        running.spawn(async move {
            let mut storm = Storm {
                good: 0,
                refused: 0,
                missed: 0,
            };
            while started.elapsed() < span && storm.refused + storm.missed < 3 {
                match gateway.chat_as(&key, &body).send().await.status {
                    200 => storm.good += 1,
                    429 => storm.refused += 1,
                    // A disk that others keep busy can hold a store up for longer than admissions wait.
                    503 => storm.missed += 1,
                    status => panic!("{status}"),
                }
            }
            storm
        });
    }
    let storms = running.join_all().await;
    Storm {
        good: storms.iter().map(|storm| storm.good).sum(),
        refused: storms.iter().map(|storm| storm.refused).sum(),
        missed: storms.iter().map(|storm| storm.missed).sum(),
    }
}

async fn key_of(gateway: &Gateway, id: &str) -> Value {
    let path = format!("/admin/virtual-keys/{id}");
    gateway.admin("GET", &path, None).await.json()
}

/// Exchanges admitted under a lease, and by a call.
async fn admissions(gateway: &Gateway) -> (f64, f64) {
    let metrics = gateway.metrics().await;
    let of = |by: &str| {
        let sample = format!("weir_admissions_total{{by=\"{by}\"}}");
        *metrics.get(&sample).expect("the counter")
    };
    (of("lease"), of("call"))
}

/// Waits until nothing is held for the key; its spend is then the sum of its lines.
async fn settled_in_full(gateway: &Gateway, id: &str) -> i64 {
    let started = Instant::now();
    loop {
        let shown = key_of(gateway, id).await;
        let spent = ledger::nano(shown["spent_usd"].as_f64().expect("spent_usd"));
        let sum = ledger::sum(&ledger::lines(gateway, id));
        if shown["held_usd"].as_f64() == Some(0.0) && spent == sum {
            return spent;
        }
        let patient = started.elapsed() < PATIENCE;
        assert!(patient, "{sum} in the ledger: {shown}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn most_requests_of_a_busy_key_need_no_call(gateway: &Arc<Gateway>) {
    for stream in [false, true] {
        let limit = json!({"provider": "openai", "budget_limit_usd": 100, "rate_limit": 1_000_000});
        let (key, record) = gateway.new_key(limit).await;
        let id = record["id"].as_str().expect("id").to_owned();
        let before = admissions(gateway).await;
        // A key is busy once it has asked often: enough requests that the first ones do not matter.
        let (started, mut good) = (Instant::now(), 0);
        while good < 2_000 {
            let storm = storm(gateway, &key, stream, Duration::from_secs(1)).await;
            assert_eq!(storm.refused, 0);
            good += storm.good;
            assert!(started.elapsed() < PATIENCE, "{good} only");
        }
        settled_in_full(gateway, &id).await;
        let after = admissions(gateway).await;
        let (leased, called) = (after.0 - before.0, after.1 - before.1);
        assert_eq!(leased + called, good as f64);
        let share = leased / (leased + called);
        assert!(share >= 0.95, "{leased} by lease, {called} by call");
    }
}

async fn a_limit_is_used_up_and_never_exceeded(gateway: &Arc<Gateway>) {
    const LIMIT_NANO: i64 = 10_000_000;
    let limit = json!({"provider": "openai", "budget_limit_usd": 0.01});
    let (key, record) = gateway.new_key(limit).await;
    let id = record["id"].as_str().expect("id").to_owned();
    let before = admissions(gateway).await;
    let started = Instant::now();
    let dearest = loop {
        storm(gateway, &key, false, Duration::from_secs(5)).await;
        let spent = settled_in_full(gateway, &id).await;
        assert!(spent <= LIMIT_NANO, "{spent} spent");
        let lines = ledger::lines(gateway, &id);
        let dearest = lines.iter().map(|line| line.cost_nano).max().unwrap_or(0);
        // Twenty tokens of output at 0.60 a million, and the prompt: what one request may hold.
        if spent > LIMIT_NANO - 20 * 600 - 10 * dearest {
            break dearest;
        }
        assert!(started.elapsed() < PATIENCE, "{spent} spent");
    };
    assert!(dearest > 0);
    let after = admissions(gateway).await;
    assert!(after.0 > before.0, "no lease was given");
    assert!(after.1 > before.1, "the last ones ask");
}

async fn a_request_limit_is_used_up_and_never_exceeded(gateway: &Arc<Gateway>) {
    const LIMIT: usize = 1_000;
    let (key, record) = gateway
        .new_key(json!({"provider": "openai", "rate_limit": LIMIT}))
        .await;
    let id = record["id"].as_str().expect("id").to_owned();
    let before = admissions(gateway).await;
    let mut good = 0;
    let began_ms = now_ms();
    let started = Instant::now();
    let mut used_up = false;
    while !used_up {
        // Leased requests that were not made come back, and the last round finds none of them.
        used_up = good >= LIMIT;
        good += storm(gateway, &key, false, Duration::from_secs(10))
            .await
            .good;
        assert!(started.elapsed() < PATIENCE, "{good} of {LIMIT}");
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    let minutes = now_ms() / 60_000 - began_ms / 60_000;
    // A minute that began on the way lets some more through.
    let most = LIMIT + LIMIT * minutes as usize;
    assert!(good <= most, "{good} of {LIMIT}");
    ledger::settled(gateway, &id, good).await;
    assert!(admissions(gateway).await.0 > before.0, "no lease was given");
}

async fn tokens_and_places_are_leased_too(gateway: &Arc<Gateway>) {
    // A request is 14 or 15 tokens: the prompt as it is counted here, and two of the answer.
    const EACH: f64 = 16.0;
    const TOKENS: u32 = 10_000_000;
    let limits =
        json!([{"requests": 1_000_000, "tokens": TOKENS, "concurrent": 400, "per": "day"}]);
    let (key, record) = gateway
        .new_key(json!({"provider": "openai", "rate_limits": limits}))
        .await;
    let id = record["id"].as_str().expect("id").to_owned();
    let before = admissions(gateway).await;
    let storm = storm(gateway, &key, false, Duration::from_secs(4)).await;
    assert_eq!(storm.refused, 0);
    assert!(admissions(gateway).await.0 > before.0, "no lease was given");
    ledger::settled(gateway, &id, storm.good).await;
    let lines = ledger::lines(gateway, &id);
    let tokens = lines
        .iter()
        .map(|line| line.prompt_tokens + line.completion_tokens);
    let used = tokens.sum::<i64>() as f64;
    // What was leased and not used comes back, and each place.
    let started = Instant::now();
    let mut asked = 0.0;
    loop {
        asked += 1.0;
        let answer = gateway
            .chat_as(&key, &prompt("gpt-4o-mini", "hi"))
            .send()
            .await;
        let left = f64::from(TOKENS) - answer.number("x-ratelimit-remaining-tokens");
        let requests = 1_000_000.0 - answer.number("x-ratelimit-remaining-requests");
        let since = requests - storm.good as f64;
        if (1.0..asked + 40.0).contains(&since) && (used..requests * EACH).contains(&left) {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{answer}, {used} used");
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
}

fn now_ms() -> u128 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_millis()
}

async fn a_revoked_key_ends_its_leases(gateway: &Arc<Gateway>) {
    let (key, record) = gateway.new_key(json!({"provider": "openai"})).await;
    let id = record["id"].as_str().expect("id").to_owned();
    let warm = storm(gateway, &key, false, Duration::from_secs(2)).await;
    assert!(warm.good > 40, "{} are no load", warm.good);
    let path = format!("/admin/virtual-keys/{id}");
    gateway.admin("DELETE", &path, None).await;
    let mut body = prompt("gpt-4o-mini", "more");
    body["max_tokens"] = json!(1);
    let revoked = Instant::now();
    loop {
        let answer = gateway.chat_as(&key, &body).send().await;
        if answer.status == 401 {
            break;
        }
        assert_eq!(answer.status, 200, "{answer}");
        assert!(revoked.elapsed() < Duration::from_secs(3), "still good");
    }
}
