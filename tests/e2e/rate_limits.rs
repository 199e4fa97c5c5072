//! A key's own limits: requests, tokens, and what runs at the same time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::behaviour::{Behaviour, Tokens};
use e2e::client::{Answer, marker, prompt, streaming};
use e2e::gateway::Gateway;
use e2e::setup::Setup;
use e2e::stores::Store;
use e2e::{over_both_stores, run_cases};
use serde_json::{Value, json};
use tokio::task::JoinSet;

over_both_stores!(rate_limits_hold, no_more_run_than_may);

async fn rate_limits_hold(store: Store) {
    let gateway = Arc::new(Gateway::start(Setup::over(store)).await);
    run_cases!(
        gateway,
        [
            told_in_headers,
            told_to_clients_of_anthropics,
            exact_under_concurrency,
            keys_do_not_share,
            an_answer_counts_when_it_ends,
            limits_change_while_the_key_is_used,
        ]
    );
}

async fn no_more_run_than_may(store: Store) {
    let gateway = Arc::new(Gateway::start(Setup::over(store)).await);
    let same = Arc::clone(&gateway);
    run_cases!(
        gateway,
        [a_client_that_leaves_makes_room, exact_when_all_come_at_once,]
    );
    one_after_the_other_is_never_too_many(&same).await;
    what_runs_is_known_after_a_crash(&same).await;
}

async fn told_in_headers(gateway: Arc<Gateway>) {
    let (key, _) = gateway
        .new_key(json!({"provider": "openai", "rate_limit": 4}))
        .await;
    let mark = marker();
    for left in [3, 2, 1, 0] {
        let answer = gateway
            .chat_as(&key, &prompt("gpt-4o-mini", &mark))
            .send()
            .await;
        answer.good();
        assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("4"));
        assert_eq!(
            answer.number("x-ratelimit-remaining-requests"),
            f64::from(left)
        );
        let reset = answer
            .header("x-ratelimit-reset-requests")
            .unwrap_or_default();
        assert!(
            reset.ends_with('s'),
            "a duration like 59.9s or 1m0s: {reset}"
        );
    }
    let refused = gateway
        .chat_as(&key, &prompt("gpt-4o-mini", &mark))
        .send()
        .await;
    refused.refused(429, "rate_limit_exceeded");
    let wait = refused.number("retry-after");
    // Two buckets of a minute slide: at worst the next one has to fade too.
    assert!((1.0..=120.0).contains(&wait), "{refused}");
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("0"));
    assert_ne!(
        refused.header("x-should-retry"),
        Some("false"),
        "waiting does help here"
    );
    assert_eq!(gateway.provider.requests(&mark).await.len(), 4);
}

async fn exact_under_concurrency(gateway: Arc<Gateway>) {
    let (key, _) = gateway
        .new_key(json!({"provider": "openai", "rate_limit": 10}))
        .await;
    let mark = marker();
    let mut running = JoinSet::new();
    for _ in 0..60 {
        let (gateway, key, mark) = (gateway.clone(), key.clone(), mark.clone());
        running.spawn(async move {
            gateway
                .chat_as(&key, &prompt("gpt-4o-mini", &mark))
                .send()
                .await
                .status
        });
    }
    let statuses = running.join_all().await;
    let good = statuses.iter().filter(|status| **status == 200).count();
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!((good, refused), (10, 50), "{statuses:?}");
    assert_eq!(gateway.provider.requests(&mark).await.len(), 10);
}

async fn keys_do_not_share(gateway: Arc<Gateway>) {
    let (first, _) = gateway
        .new_key(json!({"provider": "openai", "rate_limit": 1}))
        .await;
    let (second, _) = gateway
        .new_key(json!({"provider": "openai", "rate_limit": 1}))
        .await;
    for key in [&first, &second] {
        gateway
            .chat_as(key, &prompt("gpt-4o-mini", "one"))
            .send()
            .await
            .good();
    }
    let again = gateway
        .chat_as(&first, &prompt("gpt-4o-mini", "two"))
        .send()
        .await;
    again.refused(429, "rate_limit_exceeded");
}

async fn told_to_clients_of_anthropics(gateway: Arc<Gateway>) {
    let limits = json!([{"requests": 50, "tokens": 100_000, "per": "hour"}]);
    let (key, _) = gateway
        .new_key(json!({"provider": "openai", "rate_limits": limits}))
        .await;
    let body = json!({"model": "claude-3-sonnet", "max_tokens": 50,
        "messages": [{"role": "user", "content": "hello"}]});
    let answer = gateway.post_as(&key, "/v1/messages", &body).send().await;
    answer.good();
    for (name, value) in [
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-tokens-limit", "100000"),
        ("x-ratelimit-limit-requests", "50"),
        ("x-ratelimit-limit-tokens", "100000"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}: {answer}");
    }
    let reset = answer
        .header("anthropic-ratelimit-requests-reset")
        .unwrap_or_default();
    let form: String = reset
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(form, "0000-00-00T00:00:00Z", "{reset}");
    let tokens = answer.number("anthropic-ratelimit-tokens-remaining");
    assert!(tokens < 100_000.0 && tokens > 99_900.0, "{answer}");
    let plain = gateway
        .chat_as(&key, &prompt("gpt-4o-mini", "hello"))
        .send()
        .await;
    assert_eq!(plain.header("anthropic-ratelimit-requests-limit"), None);
}

async fn an_answer_counts_when_it_ends(gateway: Arc<Gateway>) {
    let limits = json!([{"tokens": 500, "per": "day"}]);
    let (key, _) = gateway
        .new_key(json!({"provider": "openai", "rate_limits": limits}))
        .await;
    let behaviour = Behaviour {
        usage: Some(Tokens {
            input: 20,
            output: 700,
            ..Tokens::default()
        }),
        ..Behaviour::default()
    };
    let body = prompt("gpt-4o-mini", &behaviour.directive());
    gateway.chat_as(&key, &body).send().await.good();
    let started = Instant::now();
    // What runs may exceed the limit by its answer; then nothing goes through.
    let refused = loop {
        let answer = gateway
            .chat_as(&key, &prompt("gpt-4o-mini", "hi"))
            .send()
            .await;
        if answer.status != 200 {
            break answer;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{answer}");
    };
    refused.refused(429, "rate_limit_exceeded");
    let text = refused.text();
    assert!(
        text.contains("Rate limit reached: 500 tokens per day for this key."),
        "{text}"
    );
    assert_eq!(refused.header("x-ratelimit-remaining-tokens"), Some("0"));
    assert!(refused.number("retry-after") > 60.0, "{refused}");
}

async fn limits_change_while_the_key_is_used(gateway: Arc<Gateway>) {
    let limits = json!([{"requests": 2, "per": "day"}]);
    let (key, record) = gateway
        .new_key(json!({"provider": "openai", "rate_limits": limits, "max_concurrent": 9}))
        .await;
    assert_eq!(
        (&record["rate_limits"], &record["max_concurrent"]),
        (&limits, &json!(9))
    );
    let ask = || async {
        let body = prompt("gpt-4o-mini", "hi");
        gateway.chat_as(&key, &body).send().await.status
    };
    assert_eq!([ask().await, ask().await, ask().await], [200, 200, 429]);
    let path = format!("/admin/virtual-keys/{}", record["id"].as_str().expect("id"));
    let more = json!({"rate_limits": [{"requests": 4, "per": "day"}], "max_concurrent": null});
    let shown = gateway.admin("PATCH", &path, Some(more)).await.json();
    assert_eq!(shown.get("max_concurrent"), None, "{shown}");
    assert_eq!([ask().await, ask().await, ask().await], [200, 200, 429]);
    for wrong in [
        json!([{"per": "day"}]),
        json!([{"requests": 0}]),
        json!([{"requests": 1, "per": "week"}]),
        json!([{"requests": 1, "per": 90_000}]),
        json!([{"request": 1}]),
    ] {
        let body = json!({"rate_limits": wrong});
        let answer = gateway.admin("PATCH", &path, Some(body)).await;
        assert_eq!(answer.status, 400, "{answer}");
    }
}

/// A stream that lasts for `seconds`.
fn slow(seconds: u32) -> Value {
    let behaviour = Behaviour {
        chunks: Some(seconds * 10),
        chunk_ms: 100,
        ..Behaviour::default()
    };
    let mut body = streaming("gpt-4o-mini", &behaviour.directive());
    body["max_tokens"] = json!(1_000);
    body
}

/// Sends a request and reads no more than the head of the answer.
async fn begun(gateway: &Gateway, key: &str, body: &Value) -> reqwest::Response {
    let ask = gateway.chat_as(key, body);
    let response = ask.builder.send().await.expect("an answer");
    assert_eq!(response.status().as_u16(), 200);
    response
}

async fn once(gateway: &Gateway, key: &str) -> Answer {
    let mut body = prompt("gpt-4o-mini", "is there room?");
    body["max_tokens"] = json!(10);
    gateway.chat_as(key, &body).send().await
}

/// Asks until there is room again.
async fn room(gateway: &Gateway, key: &str) {
    let started = Instant::now();
    loop {
        let answer = once(gateway, key).await;
        if answer.status == 200 {
            // The end of this one has to be told of too.
            tokio::time::sleep(Duration::from_millis(300)).await;
            return;
        }
        answer.refused(429, "rate_limit_exceeded");
        assert!(started.elapsed() < Duration::from_secs(4), "{answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn a_client_that_leaves_makes_room(gateway: Arc<Gateway>) {
    let (key, _) = gateway
        .new_key(json!({"provider": "openai", "max_concurrent": 3}))
        .await;
    let (body, brief) = (slow(30), slow(2));
    let mut running = Vec::new();
    for _ in 0..2 {
        running.push(begun(&gateway, &key, &body).await);
    }
    let last = begun(&gateway, &key, &brief).await;
    let refused = once(&gateway, &key).await;
    refused.refused(429, "rate_limit_exceeded");
    let text = refused.text();
    assert!(
        text.contains("Rate limit reached: 3 requests at a time for this key."),
        "{text}"
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
    // One comes to its end.
    let text = last.text().await.expect("all of it");
    assert!(text.contains("[DONE]"), "{text}");
    room(&gateway, &key).await;
    let another = begun(&gateway, &key, &body).await;
    once(&gateway, &key)
        .await
        .refused(429, "rate_limit_exceeded");
    // One client leaves, and then all.
    drop(another);
    room(&gateway, &key).await;
    running.clear();
    room(&gateway, &key).await;
    for _ in 0..3 {
        running.push(begun(&gateway, &key, &body).await);
    }
    once(&gateway, &key)
        .await
        .refused(429, "rate_limit_exceeded");
}

async fn exact_when_all_come_at_once(gateway: Arc<Gateway>) {
    let (key, _) = gateway
        .new_key(json!({"provider": "openai", "rate_limits": [{"concurrent": 7}]}))
        .await;
    let behaviour = Behaviour {
        first_byte_ms: 5_000,
        ..Behaviour::default()
    };
    let body = prompt("gpt-4o-mini", &behaviour.directive());
    for _ in 0..2 {
        let mut running = JoinSet::new();
        for _ in 0..60 {
            let (gateway, key, body) = (gateway.clone(), key.clone(), body.clone());
            running.spawn(async move { gateway.chat_as(&key, &body).send().await.status });
        }
        let statuses = running.join_all().await;
        let of = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
        assert_eq!((of(200), of(429)), (7, 53), "{statuses:?}");
        room(&gateway, &key).await;
    }
}

async fn one_after_the_other_is_never_too_many(gateway: &Gateway) {
    let (key, _) = gateway
        .new_key(json!({"provider": "openai", "max_concurrent": 1}))
        .await;
    for _ in 0..40 {
        once(gateway, &key).await.good();
    }
}

async fn what_runs_is_known_after_a_crash(gateway: &Gateway) {
    let limits = json!([{"requests": 5, "tokens": 10_000, "per": "day"}]);
    let (key, _) = gateway
        .new_key(json!({"provider": "openai", "rate_limits": limits, "max_concurrent": 2}))
        .await;
    let first = once(gateway, &key).await;
    first.good();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let body = slow(40);
    let running = [
        begun(gateway, &key, &body).await,
        begun(gateway, &key, &body).await,
    ];
    gateway.kill_sidecar();
    gateway.restart_sidecar();
    gateway.ready().await;
    let refused = once(gateway, &key).await;
    refused.refused(429, "rate_limit_exceeded");
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("2"));
    let tokens = refused.number("x-ratelimit-remaining-tokens");
    assert!(tokens < first.number("x-ratelimit-remaining-tokens"));
    drop(running);
    room(gateway, &key).await;
    once(gateway, &key).await.good();
    let refused = once(gateway, &key).await;
    refused.refused(429, "rate_limit_exceeded");
    let text = refused.text();
    assert!(text.contains("5 requests per day for this key"), "{text}");
}
