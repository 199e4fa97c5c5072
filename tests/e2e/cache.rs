//! The exact cache: free, fast, and only for whom and what it was stored.

use std::sync::Arc;
use std::time::Duration;

use e2e::behaviour::{Behaviour, Ending};
use e2e::client::{Answer, marker, prompt, streaming, streaming_with_usage};
use e2e::gateway::Gateway;
use e2e::run_cases;
use e2e::setup::{KEY, Setup};
use serde_json::{Value, json};

use crate::ledger;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exact_cache() {
    let gateway = Arc::new(Gateway::start(Setup::default()).await);
    run_cases!(
        gateway,
        [
            miss_then_hit,
            streams_are_replayed_as_streams,
            entries_die,
            opt_outs,
            scope_is_the_key,
            what_changes_the_answer_misses,
            spelling_does_not_matter,
            failures_are_not_kept,
            hits_are_free_and_in_the_ledger,
            either_spelling_of_the_lifetime,
            translated_answers_are_kept,
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exact_cache_by_default() {
    let setup = Setup::default().with(|config| {
        config["defaults"]["cache"] = json!({"mode": "simple", "ttl": 3600});
    });
    let gateway = Gateway::start(setup).await;
    let mark = marker();
    for expected in ["miss", "hit"] {
        let answer = gateway.chat(&prompt("gpt-4o-mini", &mark)).send().await;
        answer.good();
        assert_eq!(answer.header("x-weir-cache"), Some(expected), "{answer}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(gateway.provider.requests(&mark).await.len(), 1);
}

fn simple() -> Value {
    json!({"cache": {"mode": "simple", "ttl": 60}})
}

/// Asks, and leaves the moment that storing takes.
async fn ask(gateway: &Gateway, body: &Value, config: &Value) -> Answer {
    let answer = gateway.chat(body).config(config).send().await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    answer
}

async fn statuses(gateway: &Gateway, body: &Value, config: &Value, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..count {
        let answer = ask(gateway, body, config).await;
        answer.good();
        found.push(answer.header("x-weir-cache").unwrap_or_default().to_owned());
    }
    found
}

async fn miss_then_hit(gateway: Arc<Gateway>) {
    let mark = marker();
    let body = prompt("gpt-4o-mini", &mark);
    let first = ask(&gateway, &body, &simple()).await;
    let second = ask(&gateway, &body, &simple()).await;
    first.good();
    second.good();
    assert_eq!(first.header("x-weir-cache"), Some("miss"));
    assert_eq!(second.header("x-weir-cache"), Some("hit"));
    let (one, two) = (first.metadata(), second.metadata());
    assert_eq!(
        (&one["cache_hit"], &two["cache_hit"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        (two["cost_usd"].as_f64(), &two["provider"]),
        (Some(0.0), &json!("openai"))
    );
    assert_eq!(second.header("x-weir-cost-usd"), Some("0"));
    let bare = |answer: &Answer| {
        let mut body = answer.json();
        body.as_object_mut().expect("object").remove("metadata");
        body
    };
    assert_eq!(bare(&first), bare(&second));
    assert_eq!(gateway.provider.requests(&mark).await.len(), 1);
}

async fn streams_are_replayed_as_streams(gateway: Arc<Gateway>) {
    let mark = marker();
    let text = format!("{mark} một hai ba bốn 🙂");
    let body = streaming("gpt-4o-mini", &text);
    let first = ask(&gateway, &body, &simple()).await;
    let second = ask(&gateway, &body, &simple()).await;
    for answer in [&first, &second] {
        answer.good();
        assert_eq!(answer.content(), format!("Echo: {text}"), "{answer}");
        assert!(answer.done(), "{answer}");
        assert!(
            answer
                .header("content-type")
                .is_some_and(|kind| kind.starts_with("text/event-stream"))
        );
    }
    assert_eq!(second.header("x-weir-cache"), Some("hit"), "{second}");
    assert_eq!(second.metadata()["cache_hit"], true, "{second}");
    // A JSON answer is another thing to the client; it must not get a stream.
    let plain = ask(&gateway, &prompt("gpt-4o-mini", &text), &simple()).await;
    assert_eq!(plain.good().json()["object"], "chat.completion");
    let usage = ask(
        &gateway,
        &streaming_with_usage("gpt-4o-mini", &text),
        &simple(),
    )
    .await;
    usage.good();
    assert!(
        usage
            .chunks()
            .iter()
            .any(|chunk| chunk["usage"].is_object()),
        "{usage}"
    );
}

async fn entries_die(gateway: Arc<Gateway>) {
    let body = prompt("gpt-4o-mini", &marker());
    let config = json!({"cache": {"mode": "simple", "ttl": 2}});
    assert_eq!(statuses(&gateway, &body, &config, 2).await, ["miss", "hit"]);
    tokio::time::sleep(Duration::from_millis(2_300)).await;
    assert_eq!(statuses(&gateway, &body, &config, 1).await, ["miss"]);
}

async fn opt_outs(gateway: Arc<Gateway>) {
    let mark = marker();
    let body = prompt("gpt-4o-mini", &mark);
    let with = async |directive: &str| {
        let ask = gateway
            .chat(&body)
            .config(&simple())
            .header("x-weir-cache", directive);
        let answer = ask.send().await;
        answer.good();
        tokio::time::sleep(Duration::from_millis(150)).await;
        answer.header("x-weir-cache").unwrap_or_default().to_owned()
    };
    assert_eq!(with("no-store").await, "miss");
    assert_eq!(
        statuses(&gateway, &body, &simple(), 2).await,
        ["miss", "hit"],
        "no-store stored"
    );
    assert_ne!(with("no-cache").await, "hit");
    assert_eq!(with("refresh").await, "refresh");
    assert_eq!(statuses(&gateway, &body, &simple(), 1).await, ["hit"]);
    let seen = gateway.provider.requests(&mark).await.len();
    assert_eq!(seen, 4, "no-store, first miss, no-cache, refresh");
}

async fn scope_is_the_key(gateway: Arc<Gateway>) {
    let body = prompt("gpt-4o-mini", &marker());
    assert_eq!(
        statuses(&gateway, &body, &simple(), 2).await,
        ["miss", "hit"]
    );
    let (other, _) = gateway.new_key(json!({"provider": "openai"})).await;
    let answer = gateway
        .chat_as(&other, &body)
        .config(&simple())
        .send()
        .await;
    assert_eq!(
        answer.good().header("x-weir-cache"),
        Some("miss"),
        "{answer}"
    );
    assert_eq!(answer.metadata()["cache_hit"], false);
}

async fn what_changes_the_answer_misses(gateway: Arc<Gateway>) {
    let base = prompt("gpt-4o-mini", &marker());
    ask(&gateway, &base, &simple()).await.good();
    for (name, value) in [
        ("temperature", json!(0.5)),
        ("max_tokens", json!(10)),
        ("seed", json!(7)),
        ("n", json!(2)),
        ("stop", json!(["x"])),
        ("x_unknown", json!(true)),
        ("model", json!("o4-mini")),
    ] {
        let mut changed = base.clone();
        changed[name] = value;
        assert_eq!(
            statuses(&gateway, &changed, &simple(), 1).await,
            ["miss"],
            "{name}"
        );
    }
    let mut more = base.clone();
    let system = json!({"role": "system", "content": "x"});
    more["messages"]
        .as_array_mut()
        .expect("messages")
        .insert(0, system);
    assert_eq!(statuses(&gateway, &more, &simple(), 1).await, ["miss"]);
}

async fn spelling_does_not_matter(gateway: Arc<Gateway>) {
    let mark = marker();
    ask(&gateway, &prompt("gpt-4o-mini", &mark), &simple())
        .await
        .good();
    let other = format!(
        "{{ \"messages\": [ {{\"content\":\"{mark}\",  \"role\":\"\\u0075ser\"}} ], \"model\": \"gpt-4o-mini\" }}"
    );
    let answer = gateway
        .chat_bytes(other)
        .key(KEY)
        .config(&simple())
        .send()
        .await;
    assert_eq!(
        answer.good().header("x-weir-cache"),
        Some("hit"),
        "{answer}"
    );
}

async fn failures_are_not_kept(gateway: Arc<Gateway>) {
    let bad = [
        Behaviour {
            status: Some(500),
            ..Behaviour::default()
        },
        Behaviour {
            ending: Ending::Close,
            after_chunks: 1,
            ..Behaviour::default()
        },
        Behaviour {
            ending: Ending::Cut,
            after_chunks: 1,
            ..Behaviour::default()
        },
        Behaviour {
            error_after: Some(1),
            ..Behaviour::default()
        },
    ];
    for behaviour in bad {
        let mark = marker();
        gateway.provider.next(1, &mark, behaviour.clone()).await;
        let body = streaming("gpt-4o-mini", &format!("{mark} two three"));
        ask(&gateway, &body, &simple()).await;
        let second = ask(&gateway, &body, &simple()).await;
        second.good();
        assert_eq!(
            second.header("x-weir-cache"),
            Some("miss"),
            "{behaviour:?} was kept"
        );
        assert!(second.done(), "{second}");
    }
}

async fn hits_are_free_and_in_the_ledger(gateway: Arc<Gateway>) {
    let (key, record) = gateway.new_key(json!({"provider": "openai"})).await;
    let body = prompt("gpt-4o-mini", &marker());
    for _ in 0..2 {
        gateway
            .chat_as(&key, &body)
            .config(&simple())
            .send()
            .await
            .good();
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let lines = ledger::settled(&gateway, record["id"].as_str().expect("id"), 2).await;
    let costs: Vec<bool> = lines.iter().map(|line| line.cost_nano > 0).collect();
    assert_eq!(costs, [true, false], "{lines:#?}");
}

async fn either_spelling_of_the_lifetime(gateway: Arc<Gateway>) {
    let body = prompt("gpt-4o-mini", &marker());
    let config = json!({"strategy": {"mode": "single"}, "targets": [{"provider": "openai"}],
        "cache": {"mode": "simple", "max_age": 60}});
    assert_eq!(statuses(&gateway, &body, &config, 2).await, ["miss", "hit"]);
}

async fn translated_answers_are_kept(gateway: Arc<Gateway>) {
    for stream in [false, true] {
        let mark = marker();
        let mut body = prompt("claude-3-sonnet", &mark);
        body["stream"] = json!(stream);
        assert_eq!(
            statuses(&gateway, &body, &simple(), 2).await,
            ["miss", "hit"],
            "stream {stream}"
        );
        let answer = ask(&gateway, &body, &simple()).await;
        assert_eq!(answer.content(), format!("Echo: {mark}"), "{answer}");
        assert_eq!(answer.metadata()["provider"], "anthropic", "{answer}");
    }
}
