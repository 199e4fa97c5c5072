//! Limits on requests of every kind of scope.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::behaviour::{Behaviour, Recorded, Tokens};
use e2e::client::{Answer, Ask, marker, prompt};
use e2e::gateway::Gateway;
use e2e::setup::Setup;
use e2e::stores::Store;
use e2e::{over_both_stores, run_cases};
use serde_json::{Value, json};
use tokio::task::JoinSet;

over_both_stores!(
    limits_of_every_scope,
    addresses_behind_a_trusted_hop,
    addresses_without_a_trusted_hop
);

async fn limits_of_every_scope(store: Store) {
    let setup = Setup::over(store).with(|config| {
        config["rate_limits"] = json!([
            {"scope": "global", "requests": 1_000_000, "per": "day"},
            {"scope": "key", "name": "limited", "requests": 3, "per": "day"},
            {"scope": "user", "requests": 5, "per": "day"},
            {"scope": "user", "tier": "trial", "requests": 2, "per": 86_400},
            {"scope": "user", "requests": 1_000, "tokens": 5_000, "per": "hour"},
            {"scope": "team", "name": "red", "requests": 3, "per": "day"},
            {"scope": "tenant", "requests": 4, "per": "day"},
            {"scope": "tier", "name": "silver", "requests": 3, "per": "day"},
            {"scope": "tag", "name": "env=*", "requests": 2, "per": "day"},
            {"scope": "provider", "name": "ollama", "requests": 3, "per": "day"},
            {"scope": "provider", "name": "dead", "requests": 3, "per": "day"},
            {"scope": "model", "name": "o4-mini", "tokens": 1_000, "per": "day"},
        ]);
    });
    let gateway = Arc::new(Gateway::start(setup).await);
    run_cases!(
        gateway,
        [
            a_named_key_has_its_own,
            users_have_each_their_own,
            who_names_no_user_is_one,
            teams_and_tenants_and_tiers,
            tags_have_each_their_own,
            a_provider_counts_what_it_serves,
            a_model_counts_its_tokens,
            one_user_in_parallel,
        ]
    );
}

fn ask(gateway: &Gateway, key: &str, user: &str) -> Ask {
    let mut body = prompt("gpt-4o-mini", &marker());
    body["user"] = json!(user);
    gateway.chat_as(key, &body)
}

async fn key(gateway: &Gateway, mut members: Value) -> String {
    members["provider"] = json!("openai");
    gateway.new_key(members).await.0
}

/// Sends until a limit refuses: how many were answered, and the refusal.
async fn until_refused(asks: impl Fn(usize) -> Ask) -> (usize, Answer) {
    for count in 0..30 {
        let answer = asks(count).send().await;
        if answer.status != 200 {
            return (count, answer);
        }
    }
    panic!("never refused");
}

#[track_caller]
fn reached(refused: &Answer, limit: &str, whose: &str) {
    refused.refused(429, "rate_limit_exceeded");
    let message = refused.json()["error"]["message"].to_string();
    let expect = format!("Rate limit reached: {limit} per day for {whose}. Please try again in ");
    assert!(message.contains(&expect), "{message}");
    assert!(refused.number("retry-after") >= 1.0, "{refused}");
}

async fn a_named_key_has_its_own(gateway: Arc<Gateway>) {
    let limited = key(&gateway, json!({"name": "limited"})).await;
    let users = [marker(), marker()];
    let (count, refused) = until_refused(|count| ask(&gateway, &limited, &users[count % 2])).await;
    assert_eq!(count, 3, "{refused}");
    reached(&refused, "3 requests", "this key");
    assert_eq!(refused.header("x-ratelimit-limit-requests"), Some("3"));
}

async fn users_have_each_their_own(gateway: Arc<Gateway>) {
    let (user, other) = (marker(), marker());
    let keys = [
        key(&gateway, json!({})).await,
        key(&gateway, json!({})).await,
        key(&gateway, json!({"user": user})).await,
    ];
    let (count, refused) = until_refused(|count| ask(&gateway, &keys[count % 2], &user)).await;
    assert_eq!(count, 5, "{refused}");
    reached(&refused, "5 requests", "this user");
    // The key's own user wins over the one that the request names.
    let refused = ask(&gateway, &keys[2], &other).send().await;
    reached(&refused, "5 requests", "this user");
    let answer = ask(&gateway, &keys[0], &other).send().await;
    answer.good();
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("4"));
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), Some("5000"));
    let trial = key(&gateway, json!({"tier": "trial"})).await;
    let (count, refused) = until_refused(|_| ask(&gateway, &trial, "of the trial")).await;
    assert_eq!(count, 2);
    reached(&refused, "2 requests", "this user");
}

async fn who_names_no_user_is_one(gateway: Arc<Gateway>) {
    let first = key(&gateway, json!({})).await;
    let body = prompt("gpt-4o-mini", &marker());
    let (count, refused) = until_refused(|_| gateway.chat_as(&first, &body)).await;
    assert_eq!(count, 5);
    reached(&refused, "5 requests", "this user");
    let second = key(&gateway, json!({})).await;
    gateway.chat_as(&second, &body).send().await.good();
    ask(&gateway, &first, &marker()).send().await.good();
}

async fn teams_and_tenants_and_tiers(gateway: Arc<Gateway>) {
    for (members, count, limit, whose) in [
        (
            json!({"teams": ["blue", "red"]}),
            3,
            "3 requests",
            "this team",
        ),
        (json!({"tenant": marker()}), 4, "4 requests", "this tenant"),
        (json!({"tier": "silver"}), 3, "3 requests", "this tier"),
    ] {
        let keys = [
            key(&gateway, members.clone()).await,
            key(&gateway, members).await,
        ];
        let asks = |count: usize| ask(&gateway, &keys[count % 2], &format!("{whose}{count}"));
        let (answered, refused) = until_refused(asks).await;
        assert_eq!(answered, count, "{refused}");
        reached(&refused, limit, whose);
    }
    let other = key(&gateway, json!({"teams": ["blue"]})).await;
    ask(&gateway, &other, &marker()).send().await.good();
}

async fn tags_have_each_their_own(gateway: Arc<Gateway>) {
    let key = key(&gateway, json!({})).await;
    let tagged = |env: &str| {
        ask(&gateway, &key, &marker()).header("x-weir-metadata", json!({"env": env}).to_string())
    };
    let (count, refused) = until_refused(|_| tagged("test")).await;
    assert_eq!(count, 2);
    reached(&refused, "2 requests", "requests with this tag");
    tagged("prod").send().await.good();
}

async fn a_provider_counts_what_it_serves(gateway: Arc<Gateway>) {
    let key = key(&gateway, json!({})).await;
    let fallback = json!({"strategy": {"mode": "fallback"}, "targets": [
        {"provider": "dead", "override_params": {"model": "dead-model"}},
        {"provider": "openai", "override_params": {"model": "gpt-4o-mini"}},
    ]});
    for _ in 0..6 {
        let answer = ask(&gateway, &key, &marker())
            .config(&fallback)
            .send()
            .await;
        answer.good();
        // What the dead one did not serve is given back with the settlement.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut body = prompt("llama3:8b", &marker());
    let (count, refused) = until_refused(|count| {
        let mut body = body.clone();
        body["user"] = json!(format!("llama{count}"));
        gateway.chat_as(&key, &body)
    })
    .await;
    assert_eq!(count, 3, "{refused}");
    reached(&refused, "3 requests", "this provider");
    // Another target takes what it has no room for.
    let route = json!({"strategy": "fallback", "targets": [
        {"provider": "ollama", "model": "llama3:8b"},
        {"provider": "openai", "model": "gpt-4o-mini"},
    ]});
    let ask = ask(&gateway, &key, &marker()).config(&route);
    let answer = ask.send().await;
    answer.good();
    assert_eq!(answer.header("x-weir-provider"), Some("openai"));
    assert_eq!(answer.header("x-weir-attempts"), Some("1"));
    body["user"] = json!("llama3");
    body["model"] = json!("gpt-4o-mini");
    gateway.chat_as(&key, &body).send().await.good();
}

async fn a_model_counts_its_tokens(gateway: Arc<Gateway>) {
    let key = key(&gateway, json!({})).await;
    let behaviour = Behaviour {
        usage: Some(Tokens {
            input: 100,
            output: 350,
            ..Tokens::default()
        }),
        ..Behaviour::default()
    };
    let mut body = prompt(
        "o4-mini",
        &format!("{} {}", behaviour.directive(), marker()),
    );
    body["max_completion_tokens"] = json!(400);
    let mut left = Vec::new();
    for count in 0..3 {
        body["user"] = json!(format!("o4-{count}"));
        let answer = gateway.chat_as(&key, &body).send().await;
        answer.good();
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), Some("1000"));
        left.push(answer.number("x-ratelimit-remaining-tokens"));
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    // The prompt counts at once, the answer when it ended: 450 each.
    assert!(left[0] > 900.0 && left[0] < 1_000.0, "{left:?}");
    assert_eq!((left[0] - left[1], left[1] - left[2]), (450.0, 450.0));
    body["user"] = json!("o4-3");
    let refused = gateway.chat_as(&key, &body).send().await;
    reached(&refused, "1000 tokens", "this model");
    assert_eq!(refused.header("x-ratelimit-remaining-tokens"), Some("0"));
    let text = "word ".repeat(1_200);
    let mut large = prompt("o4-mini", &text);
    large["user"] = json!("large");
    large["max_completion_tokens"] = json!(16);
    let refused = gateway.chat_as(&key, &large).send().await;
    refused.refused(429, "rate_limit_exceeded");
    let text = refused.text();
    assert!(text.contains("Request too large: its 12"), "{text}");
    assert_eq!(refused.header("retry-after"), None);
}

async fn one_user_in_parallel(gateway: Arc<Gateway>) {
    let (key, user) = (key(&gateway, json!({})).await, marker());
    let mut running = JoinSet::new();
    for _ in 0..60 {
        let (gateway, key, user) = (gateway.clone(), key.clone(), user.clone());
        running.spawn(async move { ask(&gateway, &key, &user).send().await.status });
    }
    let statuses = running.join_all().await;
    let of = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((of(200), of(429)), (5, 55), "{statuses:?}");
}

/// Every address has five, all together twelve.
fn by_address(store: Store, hops: u32) -> Setup {
    Setup::over(store).with(move |config| {
        config["trusted_hops"] = json!(hops);
        config["rate_limits"] = json!([
            {"scope": "ip", "requests": 5, "per": "day"},
            {"scope": "global", "requests": 12, "per": "day"},
        ]);
    })
}

fn from(gateway: &Gateway, forwarded: &str) -> Ask {
    let body = prompt("gpt-4o-mini", "whence");
    gateway.chat(&body).header("x-forwarded-for", forwarded)
}

async fn addresses_behind_a_trusted_hop(store: Store) {
    let gateway = Gateway::start(by_address(store, 1)).await;
    // What a client writes itself stands before what the trusted hop adds.
    let forged = |count: usize| from(&gateway, &format!("203.0.113.{count}, 192.0.2.7"));
    let (count, refused) = until_refused(forged).await;
    assert_eq!(count, 5, "{refused}");
    reached(&refused, "5 requests", "this address");
    let network = |count: usize| from(&gateway, &format!("2001:db8:0:1::{count:x}"));
    let (count, refused) = until_refused(network).await;
    assert_eq!(count, 5, "{refused}");
    reached(&refused, "5 requests", "this address");
    let others = |count: usize| from(&gateway, &format!("2001:db8:0:{}::1", count + 2));
    let (count, refused) = until_refused(others).await;
    assert_eq!(count, 2, "{refused}");
    reached(&refused, "12 requests", "all requests together");
    // Clients are not told of to providers.
    let seen = gateway.provider.requests("whence").await;
    let told = |one: &Recorded| one.header("x-forwarded-for").is_some();
    assert_eq!((seen.len(), seen.iter().any(told)), (12, false));
}

async fn addresses_without_a_trusted_hop(store: Store) {
    let gateway = Gateway::start(by_address(store, 0)).await;
    let forged = |count: usize| {
        let ask = from(&gateway, &format!("203.0.113.{count}"));
        ask.header("x-envoy-external-address", "203.0.113.99")
            .header("x-real-ip", format!("203.0.113.{count}"))
            .header("forwarded", format!("for=203.0.113.{count}"))
    };
    let started = Instant::now();
    let (count, refused) = until_refused(forged).await;
    assert_eq!(count, 5, "{refused}");
    reached(&refused, "5 requests", "this address");
    assert!(started.elapsed() < Duration::from_secs(20));
}
