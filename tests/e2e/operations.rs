//! `/health`, `/metrics` and the log, as operators use them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::behaviour::{Behaviour, Tokens};
use e2e::client::{marker, prompt, streaming};
use e2e::gateway::Gateway;
use e2e::setup::{KEY, Setup};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_what_is() {
    let gateway = Arc::new(Gateway::start(Setup::default()).await);
    health_is_good(&gateway).await;
    metrics_count_real_traffic(&gateway).await;
    log_lines_are_json(&gateway).await;
    trace_ids_of_callers_are_kept(&gateway).await;
    // Last: it takes the state away.
    health_tells_of_a_lost_sidecar(&gateway).await;
    gateway.assert_sound().await;
}

async fn health_is_good(gateway: &Gateway) {
    let answer = gateway.get("/health").send().await;
    answer.good();
    let body = answer.json();
    assert_eq!(
        (&body["status"], &body["version"]),
        (&json!("healthy"), &json!("1.0.0")),
        "{answer}"
    );
    // Real state: more than the two words.
    assert!(
        body.as_object().is_some_and(|members| members.len() > 2),
        "{answer}"
    );
}

/// The value of a sample with all of these labels, whatever their order.
fn sample(metrics: &BTreeMap<String, f64>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted: Vec<String> = labels
        .iter()
        .map(|(label, value)| format!("{label}=\"{value}\""))
        .collect();
    let found = metrics.iter().filter(|(sample, _)| {
        let base = sample.split('{').next().unwrap_or_default();
        base == name && wanted.iter().all(|label| sample.contains(label.as_str()))
    });
    found.map(|(_, value)| value).sum()
}

async fn metrics_count_real_traffic(gateway: &Gateway) {
    let before = gateway.metrics().await;
    let usage = Tokens {
        input: 150,
        output: 50,
        ..Tokens::default()
    };
    let text = Behaviour {
        usage: Some(usage),
        ..Behaviour::default()
    }
    .directive();
    for _ in 0..3 {
        gateway
            .chat(&prompt("gpt-4o-mini", &text))
            .send()
            .await
            .good();
    }
    gateway
        .chat(&streaming("gpt-4o-mini", &text))
        .send()
        .await
        .good();
    for _ in 0..2 {
        gateway.chat(&prompt("fault-500", "x")).send().await;
    }
    let body = prompt("gpt-4o-mini", &marker());
    for _ in 0..3 {
        let cached = json!({"cache": {"mode": "simple", "ttl": 60}});
        gateway.chat(&body).config(&cached).send().await.good();
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let started = Instant::now();
    let expected = [
        (
            "llm_requests_total",
            vec![
                ("provider", "openai"),
                ("model", "gpt-4o-mini"),
                ("status", "success"),
            ],
            7.0,
        ),
        (
            "llm_requests_total",
            vec![
                ("provider", "openai"),
                ("model", "fault-500"),
                ("status", "error"),
            ],
            2.0,
        ),
        (
            "llm_request_duration_seconds_count",
            vec![("model", "gpt-4o-mini")],
            7.0,
        ),
        ("cache_requests_total", vec![("result", "hit")], 2.0),
        ("cache_requests_total", vec![("result", "miss")], 1.0),
    ];
    let after = loop {
        let after = gateway.metrics().await;
        let grown = |(name, labels, by): &(&str, Vec<(&str, &str)>, f64)| {
            sample(&after, name, labels) - sample(&before, name, labels) - by
        };
        let off: Vec<_> = expected
            .iter()
            .filter(|one| grown(one).abs() > 1e-9)
            .collect();
        if off.is_empty() {
            break after;
        }
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{off:?}\n{after:#?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let cost =
        sample(&after, "llm_cost_total_usd", &[]) - sample(&before, "llm_cost_total_usd", &[]);
    assert!((4.0 * 0.000_052_5..0.001).contains(&cost), "{cost}");
    let rate = sample(&after, "cache_hit_rate", &[]);
    assert!((0.0..=1.0).contains(&rate) && rate > 0.0, "{rate}");
    let text = gateway.get("/metrics").send().await.text();
    for (name, kind) in [
        ("llm_requests_total", "counter"),
        ("llm_request_duration_seconds", "histogram"),
        ("llm_cost_total_usd", "counter"),
        ("cache_requests_total", "counter"),
        ("cache_hit_rate", "gauge"),
    ] {
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
    }
    assert!(
        text.contains("llm_request_duration_seconds_bucket{"),
        "{text}"
    );
    assert!(text.contains("le=\"+Inf\""), "{text}");
}

/// The sidecar's log lines as JSON.
fn log(gateway: &Gateway) -> Vec<Value> {
    let text = gateway.sidecar_log();
    // The last line may still be on its way.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

async fn line_of(gateway: &Gateway, trace_id: &str) -> Value {
    let started = Instant::now();
    loop {
        if let Some(line) = log(gateway)
            .into_iter()
            .find(|line| line["trace_id"] == trace_id)
        {
            return line;
        }
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "no line of {trace_id}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn log_lines_are_json(gateway: &Gateway) {
    let (good, bad, secret) = (marker(), marker(), marker());
    gateway
        .chat(&prompt("gpt-4o-mini", &secret))
        .header("x-portkey-trace-id", &good)
        .send()
        .await;
    gateway
        .chat(&prompt("fault-500", &secret))
        .header("x-portkey-trace-id", &bad)
        .send()
        .await;
    assert_eq!(line_of(gateway, &good).await["level"], "info");
    assert_eq!(line_of(gateway, &bad).await["level"], "error");
    let lines = log(gateway);
    assert!(
        lines
            .iter()
            .all(|line| line["level"].is_string() && line["timestamp"].is_string())
    );
    let text = gateway.sidecar_log() + &gateway.envoy_log();
    for private in [
        secret.as_str(),
        KEY,
        "sk-real-openai",
        "sk-ant-real-anthropic",
    ] {
        assert!(!text.contains(private), "{private} stands in a log");
    }
}

async fn trace_ids_of_callers_are_kept(gateway: &Gateway) {
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let ask = gateway.chat(&prompt("gpt-4o-mini", "x"));
    ask.header("traceparent", format!("00-{id}-00f067aa0ba902b7-01"))
        .send()
        .await
        .good();
    line_of(gateway, id).await;
    let answer = gateway.chat(&prompt("gpt-4o-mini", "x")).send().await;
    let own = answer
        .header("x-weir-request-id")
        .expect("x-weir-request-id")
        .to_owned();
    line_of(gateway, &own).await;
}

async fn health_tells_of_a_lost_sidecar(gateway: &Gateway) {
    gateway.kill_sidecar();
    let answer = gateway.get("/health").send().await;
    assert_ne!(answer.status, 200, "{answer}");
    let asked = Instant::now();
    let refused = gateway.chat(&prompt("gpt-4o-mini", "x")).send().await;
    refused.refused(503, "state_unavailable");
    assert!(
        asked.elapsed() < Duration::from_secs(8),
        "{:?}",
        asked.elapsed()
    );
    let unknown = gateway
        .chat_as("vk-nobody", &prompt("gpt-4o-mini", "x"))
        .send()
        .await;
    unknown.refused(503, "state_unavailable");
    gateway.restart_sidecar();
    gateway.ready().await;
    gateway.get("/health").send().await.good();
}
