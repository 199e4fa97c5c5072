use super::*;
use crate::guard::rules::{Check, PiiRule, Test};
use crate::wire::PiiAction;

fn member(text: &str) -> String {
    RouteConfig::parse(text).expect_err(text).member
}

#[test]
fn both_dialects_become_one_tree() {
    let short = RouteConfig::parse(
        r#"{"strategy":"loadbalance","weights":[{"provider":"openai","model":"m","weight":0.7},{"provider":"anthropic","model":"c","weight":0.3}]}"#,
    );
    let portkey = RouteConfig::parse(
        r#"{"strategy":{"mode":"loadbalance"},"targets":[{"provider":"@openai","override_params":{"model":"m"},"weight":0.7},{"provider":"anthropic","override_params":{"model":"c"},"weight":0.3}]}"#,
    );
    assert_eq!(short, portkey);
    let root = short.expect("valid").root;
    assert_eq!(root.strategy, Strategy::LoadBalance);
    assert_eq!(root.targets[0].weight_ppm, 700_000);
}

#[test]
fn the_documented_fallback_example_parses() {
    let config = RouteConfig::parse(
        r#"{"strategy":"fallback","targets":[{"provider":"openai","model":"gpt-4o-mini","on_errors":["timeout","rate_limit"]},{"provider":"anthropic","model":"claude-3-sonnet","on_errors":["timeout"]},{"provider":"ollama","model":"llama3:8b","on_errors":["*"]}],"retry":{"attempts":3,"on_status_codes":[429,500,502,503],"exponential_backoff":true},"cache":{"mode":"semantic","ttl":3600}}"#,
    )
    .expect("valid");
    let first = config.root.targets[0].on_errors.clone().expect("rules");
    assert!(first.no_answer && first.matches(429) && !first.matches(500));
    assert_eq!(
        config.root.retry,
        Some(Retry {
            attempts: 3,
            on: Some(vec![429, 500, 502, 503])
        })
    );
    assert_eq!(
        config.root.cache,
        Some(CacheRule {
            enabled: true,
            ttl_s: Some(3600)
        })
    );
}

#[test]
fn strategy_statuses_reach_targets_without_their_own() {
    let config = RouteConfig::parse(
        r#"{"strategy":{"mode":"fallback","on_status_codes":[429]},"targets":[{"provider":"a"},{"provider":"b","on_errors":["*"]}]}"#,
    )
    .expect("valid");
    assert!(
        !config.root.targets[0]
            .on_errors
            .as_ref()
            .expect("rules")
            .matches(500)
    );
    assert!(
        config.root.targets[1]
            .on_errors
            .as_ref()
            .expect("rules")
            .matches(500)
    );
}

#[test]
fn a_configuration_of_guardrails_only_is_valid() {
    let config = RouteConfig::parse(
        r#"{"guardrails":{"input":[{"type":"pii_detection","action":"redact"}],"output":[{"type":"pii_detection","action":"deny"},{"type":"content_safety","threshold":0.8}]}}"#,
    )
    .expect("valid");
    let Guardrails { input, output, .. } = &config.guardrails;
    assert_eq!(input.pii, [PiiRule::all(PiiAction::Redact)]);
    assert_eq!(output.pii, [PiiRule::all(PiiAction::Deny)]);
    let safety = Check {
        test: Test::ContentSafety {
            threshold_ppm: 800_000,
            judge: None,
        },
        flags: false,
    };
    assert_eq!(output.checks, [safety]);
    assert_eq!(
        config.root,
        Node {
            weight_ppm: 1_000_000,
            ..Node::default()
        }
    );
}

#[test]
fn the_member_at_fault_is_named() {
    for (text, at) in [
        ("{", ""),
        ("[]", ""),
        (r#"{"strategy":"falback"}"#, "strategy"),
        (r#"{"strategy":{"mode":"conditional"}}"#, "strategy.mode"),
        (r#"{"strategy":"fallback"}"#, "targets"),
        (r#"{"strategy":"fallback","targets":{}}"#, "targets"),
        (r#"{"targets":[{"weight":-1}]}"#, "targets[0].weight"),
        (
            r#"{"targets":[{},{"on_errors":["sometimes"]}]}"#,
            "targets[1].on_errors[0]",
        ),
        (
            r#"{"targets":[{"targets":[{"modell":"x"}]}]}"#,
            "targets[0].targets[0].modell",
        ),
        (r#"{"retry":{"attempts":6}}"#, "retry.attempts"),
        (
            r#"{"retry":{"attempts":1,"on_status_codes":[42]}}"#,
            "retry.on_status_codes[0]",
        ),
        (r#"{"cache":{"mode":"fuzzy"}}"#, "cache.mode"),
        (r#"{"cache":{"ttl":0}}"#, "cache.ttl"),
        (r#"{"request_timeout":0}"#, "request_timeout"),
        (r#"{"targets":[{"api_key":"sk-x"}]}"#, "targets[0].api_key"),
        (
            r#"{"targets":[{"custom_host":"http://h"}]}"#,
            "targets[0].custom_host",
        ),
        (
            r#"{"guardrails":{"input":[{"type":"pii_detection","action":"shout"}]}}"#,
            "guardrails.input[0].action",
        ),
        (
            r#"{"strategy":"loadbalance","weights":[{"weight":0}]}"#,
            "weights",
        ),
    ] {
        assert_eq!(member(text), at, "{text}");
    }
}

#[test]
fn the_number_of_targets_is_bounded() {
    let list = vec!["{}"; limits::TARGETS_MAX + 1].join(",");
    let text = format!(r#"{{"strategy":"fallback","targets":[{list}]}}"#);
    assert_eq!(member(&text), "targets[16]");
}

#[test]
fn deep_nesting_is_refused_and_does_not_overflow() {
    let text = format!("{}{}", r#"{"targets":["#.repeat(900), "]}".repeat(900));
    assert!(RouteConfig::parse(&text).is_err());
}
