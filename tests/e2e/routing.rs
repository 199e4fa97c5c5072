//! `x-portkey-config`: both dialects, weights, retries, timeouts, and what is not a configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::behaviour::Behaviour;
use e2e::client::{Ask, marker, prompt, streaming};
use e2e::gateway::Gateway;
use e2e::run_cases;
use e2e::setup::{KEY, Setup};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn route_configurations() {
    let gateway = Arc::new(Gateway::start(Setup::default()).await);
    run_cases!(
        gateway,
        [
            single_in_both_dialects,
            either_header,
            weights_of_the_short_dialect,
            weights_of_portkey,
            nested_targets,
            override_params,
            guardrails_only,
            configuration_of_the_key,
            invalid_configurations_name_the_member,
            retries_until_it_works,
            retries_end,
            only_listed_statuses_are_retried,
            retried_stream,
            timeout_is_504,
            timeout_does_not_cut_a_healthy_stream,
        ]
    );
}

async fn single_in_both_dialects(gateway: Arc<Gateway>) {
    for config in [
        json!({"strategy": "single", "provider": "anthropic", "model": "claude-3-sonnet"}),
        json!({"strategy": {"mode": "single"},
               "targets": [{"provider": "anthropic", "override_params": {"model": "claude-3-sonnet"}}]}),
        json!({"provider": "anthropic", "model": "claude-3-sonnet"}),
    ] {
        let answer = gateway
            .chat(&prompt("gpt-4o-mini", "one"))
            .config(&config)
            .send()
            .await;
        answer.good();
        assert_eq!(
            answer.header("x-weir-provider"),
            Some("anthropic"),
            "{config}: {answer}"
        );
        assert_eq!(
            answer.header("x-weir-model"),
            Some("claude-3-sonnet"),
            "{config}: {answer}"
        );
    }
}

async fn either_header(gateway: Arc<Gateway>) {
    let config =
        json!({"strategy": "single", "provider": "ollama", "model": "llama3:8b"}).to_string();
    for name in ["x-portkey-config", "x-weir-config"] {
        let ask = gateway
            .chat(&prompt("gpt-4o-mini", "one"))
            .header(name, &config);
        let answer = ask.send().await;
        answer.good();
        assert_eq!(answer.header("x-weir-provider"), Some("ollama"), "{answer}");
    }
}

/// How many of `count` requests each provider served.
async fn shares(gateway: &Arc<Gateway>, config: &Value, count: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..count / 20 {
        let one = || {
            gateway
                .chat(&prompt("gpt-4o-mini", "share"))
                .config(config)
                .send()
        };
        for answer in futures_util::future::join_all((0..20).map(|_| one())).await {
            answer.good();
            let provider = answer
                .header("x-weir-provider")
                .unwrap_or_default()
                .to_owned();
            *shares.entry(provider).or_default() += 1;
        }
    }
    shares
}

async fn weights_of_the_short_dialect(gateway: Arc<Gateway>) {
    let config = json!({"strategy": "loadbalance", "weights": [
        {"provider": "openai", "model": "gpt-4o-mini", "weight": 0.7},
        {"provider": "anthropic", "model": "claude-3-sonnet", "weight": 0.3},
    ]});
    let shares = shares(&gateway, &config, 400).await;
    // Five standard deviations around 280 of 400.
    assert!((234..=326).contains(&shares["openai"]), "{shares:?}");
    assert_eq!(shares["openai"] + shares["anthropic"], 400, "{shares:?}");
}

async fn weights_of_portkey(gateway: Arc<Gateway>) {
    let config = json!({"strategy": {"mode": "loadbalance"}, "targets": [
        {"provider": "openai", "weight": 9},
        {"provider": "anthropic", "override_params": {"model": "claude-3-sonnet"}, "weight": 1},
        {"provider": "ollama", "override_params": {"model": "llama3:8b"}, "weight": 0},
    ]});
    let shares = shares(&gateway, &config, 200).await;
    assert!((158..=199).contains(&shares["openai"]), "{shares:?}");
    assert!(
        !shares.contains_key("ollama"),
        "weight 0 gets nothing: {shares:?}"
    );
}

async fn nested_targets(gateway: Arc<Gateway>) {
    let config = json!({"strategy": {"mode": "fallback"}, "targets": [
        {"strategy": {"mode": "loadbalance"}, "targets": [
            {"provider": "openai", "override_params": {"model": "fault-503"}, "weight": 1},
            {"provider": "openai", "override_params": {"model": "fault-500"}, "weight": 1},
        ]},
        {"provider": "ollama", "override_params": {"model": "llama3:8b"}},
    ]});
    let answer = gateway
        .chat(&prompt("gpt-4o-mini", "nest"))
        .config(&config)
        .send()
        .await;
    answer.good();
    assert_eq!(answer.header("x-weir-provider"), Some("ollama"), "{answer}");
    assert_eq!(answer.header("x-weir-attempts"), Some("2"), "{answer}");
}

async fn override_params(gateway: Arc<Gateway>) {
    let mark = marker();
    let config = json!({"strategy": {"mode": "single"}, "targets": [
        {"provider": "openai", "override_params": {"model": "o4-mini"}}]});
    gateway
        .chat(&prompt("gpt-4o-mini", &mark))
        .config(&config)
        .send()
        .await
        .good();
    let seen = e2e::provider::FakeProvider::only(gateway.provider.requests(&mark).await);
    assert_eq!(seen.json()["model"], "o4-mini");
}

async fn guardrails_only(gateway: Arc<Gateway>) {
    let config = json!({"guardrails": {"input": [{"type": "pii_detection", "action": "flag"}]}});
    let answer = gateway
        .chat(&prompt("gpt-4o-mini", "one"))
        .config(&config)
        .send()
        .await;
    answer.good();
    assert_eq!(answer.header("x-weir-provider"), Some("openai"));
}

async fn configuration_of_the_key(gateway: Arc<Gateway>) {
    let config = json!({"strategy": "single", "provider": "ollama", "model": "llama3:8b"});
    let (key, _) = gateway
        .new_key(json!({"provider": "openai", "config": config}))
        .await;
    let answer = gateway
        .chat_as(&key, &prompt("gpt-4o-mini", "one"))
        .send()
        .await;
    answer.good();
    assert_eq!(answer.header("x-weir-provider"), Some("ollama"), "{answer}");
    let other = json!({"strategy": "single", "provider": "anthropic", "model": "claude-3-sonnet"});
    let answer = gateway
        .chat_as(&key, &prompt("gpt-4o-mini", "one"))
        .config(&other)
        .send()
        .await;
    assert_eq!(
        answer.header("x-weir-provider"),
        Some("anthropic"),
        "the request's own wins: {answer}"
    );
}

async fn invalid_configurations_name_the_member(gateway: Arc<Gateway>) {
    let mark = marker();
    let body = prompt("gpt-4o-mini", &mark);
    let target = json!({"provider": "openai", "model": "gpt-4o-mini"});
    for (config, member) in [
        (
            json!({"strategy": "bogus", "targets": [target]}),
            "strategy",
        ),
        (
            json!({"strategy": {"mode": "bogus"}, "targets": [target]}),
            "strategy.mode",
        ),
        (json!({"strategy": "fallback"}), "targets"),
        (json!({"strategy": "fallback", "targets": []}), "targets"),
        (
            json!({"strategy": "fallback", "targets": [target, 5]}),
            "targets[1]",
        ),
        (
            json!({"strategy": "loadbalance", "weights": [{"provider": "openai", "weight": -1}]}),
            "weights[0].weight",
        ),
        (
            json!({"strategy": "fallback", "targets": [{"provider": "openai", "on_errors": ["sometimes"]}]}),
            "targets[0].on_errors",
        ),
        (json!({"retry": {"attempts": 99}}), "retry.attempts"),
        (json!({"cache": {"mode": "simple", "ttl": -5}}), "cache.ttl"),
        (
            json!({"guardrails": {"input": [{"type": "pii_detection", "action": "shred"}]}}),
            "guardrails.input[0].action",
        ),
        (
            json!({"strategy": "fallback", "targets": vec![target.clone(); 100]}),
            "targets",
        ),
    ] {
        let answer = gateway.chat(&body).config(&config).send().await;
        answer.refused(400, "invalid_config");
        let error = &answer.json()["error"];
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| text.contains(member)),
            "{config}: {answer}"
        );
        assert!(
            error["param"]
                .as_str()
                .is_some_and(|param| param.contains(member)),
            "{config}: {answer}"
        );
    }
    for text in ["{", "[]", "null", "5", "\"fallback\"", "{}x"] {
        let answer = gateway
            .chat(&body)
            .header("x-portkey-config", text)
            .send()
            .await;
        answer.refused(400, "invalid_config");
    }
    let unknown = json!({"strategy": "single", "provider": "nobody", "model": "gpt-4o-mini"});
    let answer = gateway.chat(&body).config(&unknown).send().await;
    assert_eq!(answer.status, 400, "{answer}");
    assert!(answer.text().contains("nobody"), "{answer}");
    assert!(gateway.provider.requests(&mark).await.is_empty());
}

fn failing(status: u16) -> Behaviour {
    Behaviour {
        status: Some(status),
        ..Behaviour::default()
    }
}

async fn retries_until_it_works(gateway: Arc<Gateway>) {
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        let mark = marker();
        gateway.provider.next(2, &mark, failing(503)).await;
        let config = json!({"retry": {"attempts": 3, "on_status_codes": [503], "exponential_backoff": true}});
        let answer = gateway
            .chat(&prompt(model, &mark))
            .config(&config)
            .send()
            .await;
        answer.good();
        assert_eq!(answer.header("x-weir-attempts"), Some("3"), "{answer}");
        let seen = gateway.provider.requests(&mark).await;
        assert_eq!(seen.len(), 3);
        assert!(
            seen.windows(2).all(|pair| pair[0].body == pair[1].body),
            "{seen:#?}"
        );
    }
}

async fn retries_end(gateway: Arc<Gateway>) {
    let mark = marker();
    gateway.provider.next(0, &mark, failing(500)).await;
    let config = json!({"retry": {"attempts": 2, "on_status_codes": [500]}});
    let answer = gateway
        .chat(&prompt("gpt-4o-mini", &mark))
        .config(&config)
        .send()
        .await;
    assert_eq!(answer.status, 500, "{answer}");
    assert_eq!(answer.header("x-weir-attempts"), Some("3"), "{answer}");
    assert_eq!(gateway.provider.requests(&mark).await.len(), 3);
}

async fn only_listed_statuses_are_retried(gateway: Arc<Gateway>) {
    for (status, listed) in [
        (400, json!([500])),
        (500, json!([429])),
        (429, json!([500, 503])),
    ] {
        let mark = marker();
        gateway.provider.next(0, &mark, failing(status)).await;
        let config = json!({"retry": {"attempts": 3, "on_status_codes": listed}});
        let answer = gateway
            .chat(&prompt("gpt-4o-mini", &mark))
            .config(&config)
            .send()
            .await;
        assert_eq!(answer.status, status, "{answer}");
        assert_eq!(gateway.provider.requests(&mark).await.len(), 1, "{status}");
    }
}

async fn retried_stream(gateway: Arc<Gateway>) {
    let mark = marker();
    gateway.provider.next(1, &mark, failing(429)).await;
    let config = json!({"retry": {"attempts": 1, "on_status_codes": [429]}});
    let answer = gateway
        .chat(&streaming("gpt-4o-mini", &mark))
        .config(&config)
        .send()
        .await;
    answer.good();
    assert_eq!(answer.content(), format!("Echo: {mark}"));
    assert_eq!(answer.header("x-weir-attempts"), Some("2"), "{answer}");
}

async fn timeout_is_504(gateway: Arc<Gateway>) {
    for model in ["fault-hang", "claude-fault-hang"] {
        for stream in [false, true] {
            let mark = marker();
            let mut body = prompt(model, &mark);
            body["stream"] = json!(stream);
            let started = Instant::now();
            let config = json!({"request_timeout": 900});
            let answer = gateway.chat(&body).config(&config).send().await;
            answer.refused(504, "upstream_timeout");
            assert_eq!(answer.json()["error"]["type"], "timeout_error");
            let took = started.elapsed();
            assert!(
                took > Duration::from_millis(850) && took < Duration::from_secs(4),
                "{took:?}"
            );
            gateway.provider.wait(&mark, |seen| seen.aborted).await;
        }
    }
    let builder = gateway.http.post(gateway.url("/v1/chat/completions"));
    let ask = Ask {
        builder: builder.body(prompt("fault-hang", "x").to_string()),
    };
    let answer = ask
        .key(KEY)
        .header("x-portkey-request-timeout", "700")
        .send()
        .await;
    answer.refused(504, "upstream_timeout");
}

async fn timeout_does_not_cut_a_healthy_stream(gateway: Arc<Gateway>) {
    let slow = Behaviour {
        chunks: Some(12),
        chunk_ms: 300,
        ..Behaviour::default()
    };
    let body = streaming("gpt-4o-mini", &slow.directive());
    let config = json!({"request_timeout": 1000});
    let answer = gateway.chat(&body).config(&config).send().await;
    answer.good();
    assert!(
        answer.done() && answer.content().ends_with("tok11 "),
        "{answer}"
    );
}
