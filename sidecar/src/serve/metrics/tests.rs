use engine::usage::Usage;

use super::*;

fn record(provider: &str, model: &str, status: u16) -> UsageRecord {
    UsageRecord {
        exchange: "x".into(),
        endpoint: "chat".into(),
        tags: Vec::new(),
        trace_id: "t".into(),
        key: "key_a".into(),
        user: String::new(),
        at_ms: 0,
        duration_ms: 30,
        first_byte_ms: None,
        provider: provider.into(),
        model: model.into(),
        status,
        code: String::new(),
        ending: Ending::Done,
        stream: false,
        attempts: 1,
        usage: Usage {
            input: 10,
            output: 5,
            ..Usage::default()
        },
        metered: false,
        cost_nano: 52_500,
        cache: CacheStatus::Miss,
        pii: vec![("EMAIL".into(), 2)],
        pii_action: None,
        guard: vec![engine::wire::Verdict {
            rule: "pii_detection".into(),
            kind: "EMAIL".into(),
            on: engine::wire::Direction::Output,
            action: engine::wire::PiiAction::Mask,
            count: 2,
        }],
        lease: None,
    }
}

/// Every family as the manual's table shows it: name, type, labels, help.
pub(crate) fn families() -> Vec<[String; 4]> {
    let mut metrics = Metrics::new(&Policy::default());
    metrics.observe(&UsageRecord {
        code: "budget_exceeded".into(),
        ..record("openai", "m", 429)
    });
    metrics.vault_access(&Access {
        vault: "main".into(),
        provider: "hashicorp",
        secret: "openai".into(),
        version: None,
        members: Vec::new(),
        result: Ok(()),
    });
    let text = metrics.render(&Gauges::default());
    let mut found: Vec<[String; 4]> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "HELP", name, help] => {
                found.push([(*name).into(), String::new(), String::new(), (*help).into()]);
            }
            ["#", "TYPE", _, kind] => found.last_mut().unwrap()[1] = (*kind).into(),
            _ => {
                let family = found.last_mut().unwrap();
                let labels = line.split_once('{').map_or("", |(_, rest)| rest);
                let labels = labels.split(',').filter_map(|label| label.split_once('='));
                let names: Vec<String> = labels.map(|(name, _)| format!("`{name}`")).collect();
                if family[2].is_empty() {
                    family[2] = names.join(", ");
                }
            }
        }
    }
    found
}

#[test]
fn finished_exchanges_show_under_the_names_that_dashboards_ask_for() {
    let mut metrics = Metrics::new(&Policy::default());
    metrics.observe(&record("openai", "gpt\"4\\o\n", 200));
    metrics.observe(&record("openai", "gpt\"4\\o\n", 502));
    metrics.observe(&UsageRecord {
        cache: CacheStatus::Hit,
        code: "budget_exceeded".into(),
        duration_ms: 400_000,
        ..record("openai", "m", 429)
    });
    let text = metrics.render(&Gauges {
        store_works: true,
        ..Gauges::default()
    });
    for line in [
        "# TYPE llm_requests_total counter",
        "llm_requests_total{provider=\"openai\",model=\"gpt\\\"4\\\\o\\n\",status=\"success\"} 1",
        "llm_requests_total{provider=\"openai\",model=\"gpt\\\"4\\\\o\\n\",status=\"error\"} 1",
        "# TYPE llm_request_duration_seconds histogram",
        "llm_request_duration_seconds_bucket{provider=\"openai\",model=\"gpt\\\"4\\\\o\\n\",le=\"0.025\"} 0",
        "llm_request_duration_seconds_bucket{provider=\"openai\",model=\"gpt\\\"4\\\\o\\n\",le=\"0.05\"} 2",
        "llm_request_duration_seconds_bucket{provider=\"openai\",model=\"m\",le=\"300\"} 0",
        "llm_request_duration_seconds_bucket{provider=\"openai\",model=\"m\",le=\"+Inf\"} 1",
        "llm_request_duration_seconds_sum{provider=\"openai\",model=\"m\"} 400",
        "llm_request_duration_seconds_count{provider=\"openai\",model=\"m\"} 1",
        "llm_cost_total_usd{provider=\"openai\",model=\"gpt\\\"4\\\\o\\n\"} 0.000105",
        "cache_requests_total{result=\"hit\"} 1",
        "cache_requests_total{result=\"miss\"} 2",
        "cache_hit_rate 0.3333333333333333",
        "weir_refusals_total{code=\"budget_exceeded\"} 1",
        "weir_pii_findings_total{type=\"EMAIL\"} 6",
        "weir_guardrail_verdicts_total{rule=\"pii_detection\",direction=\"output\",action=\"mask\"} 6",
        "weir_tokens_total{provider=\"openai\",model=\"m\",direction=\"in\"} 0",
        "weir_store_up 1",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} in\n{text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let family = family.unwrap_or(name);
        assert_eq!(
            text.matches(&format!("# TYPE {family} ")).count(),
            1,
            "{line}"
        );
        assert_eq!(
            text.matches(&format!("# HELP {family} ")).count(),
            1,
            "{line}"
        );
    }
}

#[test]
fn series_are_bounded_and_names_from_clients_have_no_series() {
    let mut metrics = Metrics::new(&Policy::default());
    for count in 0..2 * PAIRS_MAX {
        metrics.observe(&record("", &format!("made up {count}"), 404));
    }
    assert_eq!(metrics.pair_count, 1);
    for count in 0..2 * PAIRS_MAX {
        metrics.observe(&record("openai", &count.to_string(), 200));
        metrics.observe(&UsageRecord {
            pii: vec![(count.to_string(), 1)],
            ..record("", "", 200)
        });
    }
    assert_eq!(metrics.pair_count, PAIRS_MAX);
    assert!(metrics.pii.len() <= PII_TYPES_MAX + 1);
    let text = metrics.render(&Gauges::default());
    assert!(
        text.contains(
            "llm_requests_total{provider=\"other\",model=\"other\",status=\"success\"} 501"
        )
    );
    assert_eq!(cut(&"é".repeat(100)).len(), LABEL_BYTES_MAX);
}
