//! Requests per minute of one key.

use std::sync::Arc;

use e2e::client::{marker, prompt};
use e2e::gateway::Gateway;
use e2e::run_cases;
use e2e::setup::Setup;
use serde_json::json;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limits_hold() {
    let gateway = Arc::new(Gateway::start(Setup::default()).await);
    run_cases!(
        gateway,
        [told_in_headers, exact_under_concurrency, keys_do_not_share]
    );
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
