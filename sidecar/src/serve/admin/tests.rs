use crate::config::Membership;
use engine::guard::Guardrails;
use engine::period::Period;
use engine::wire::PiiAction;

use super::super::keys::VirtualKey;
use super::members::Members;
use super::virtual_keys::{mask, new_key, random_text};

fn key() -> VirtualKey {
    new_key("key_a".into(), "vk-0123456789abcdefghij", 1_000)
}

/// The key after `body`, or the member at fault.
fn apply(body: &str) -> Result<VirtualKey, String> {
    let mut key = key();
    let members = Members::parse(body.as_bytes()).map_err(|refusal| refusal.message)?;
    match members.apply(&mut key, 10_000) {
        Ok(_) => Ok(key),
        Err(refusal) => Err(refusal.param.unwrap_or(refusal.message)),
    }
}

#[test]
fn every_member_is_read() {
    let body = r#"{"name": "n", "provider": "openai", "rate_limit": 100, "budget_limit_usd": 0.1,
        "budget_period": "weekly", "expires_in_s": 5, "models": ["a"], "environment": "prod",
        "guardrails": {"input": [{"type": "pii_detection", "action": "deny"}]},
        "config": {"strategy": "single"}, "metadata": {"team": "x"}, "tenant": "t",
        "is_active": false}"#;
    let expect = VirtualKey {
        name: "n".into(),
        provider: Some("openai".into()),
        rate_limit: Some(100),
        budget_limit_nano: Some(100_000_000),
        period: Period::Weekly,
        expires_at_ms: Some(15_000),
        models: vec!["a".into()],
        environment: Some("prod".into()),
        guardrails: Guardrails::input(PiiAction::Deny),
        config: Some(r#"{"strategy":"single"}"#.into()),
        metadata: Some(r#"{"team":"x"}"#.into()),
        membership: Membership {
            tenant: "t".into(),
            ..Membership::default()
        },
        is_active: false,
        ..key()
    };
    assert_eq!(apply(body), Ok(expect));
    assert_eq!(apply("{}"), Ok(key()));
    let at = apply(r#"{"expires_at": "1970-01-01T00:00:07Z"}"#).unwrap();
    assert_eq!(at.expires_at_ms, Some(7_000));
    let limits = r#"{"rate_limits": [{"tokens": 9, "per": 90}, {"requests": 2}],
        "max_concurrent": 4}"#;
    let bounds = apply(limits).unwrap().limits.bounds(None);
    let bounds: Vec<_> = bounds.iter().map(|it| (it.limit, it.window_ms)).collect();
    assert_eq!(bounds, [(4, 0), (9, 90_000), (2, 60_000)]);
    let cleared = apply(
        r#"{"rate_limits": null, "max_concurrent": null, "rate_limit": null, "budget_limit_usd": null, "expires_at": null}"#,
    );
    assert_eq!(cleared, Ok(key()));
}

#[test]
fn money_never_passes_through_a_float() {
    let nano = |text: &str| {
        let body = format!(r#"{{"budget_limit_usd": {text}}}"#);
        apply(&body).ok().and_then(|key| key.budget_limit_nano)
    };
    assert_eq!(nano("500"), Some(500_000_000_000));
    assert_eq!(nano("9007199.254740993"), Some(9_007_199_254_740_993));
    assert_eq!(nano("\"0.000000001\""), Some(1));
    assert_eq!(nano("0"), Some(0));
    assert_eq!(nano("1e-06"), Some(1_000));
    assert_eq!(nano("1.25E+2"), Some(125_000_000_000));
    assert_eq!(nano("12.5e-1"), Some(1_250_000_000));
    assert_eq!(nano("1e3"), Some(1_000_000_000_000));
    assert_eq!(nano("0e0"), Some(0));
    for wrong in [
        "-1",
        "1e-10",
        "1e31",
        "-1e2",
        "\"1e\"",
        "\"e2\"",
        "\"\"",
        "true",
        "[1]",
        "0.0000000001",
        "99999999999",
        "\"NaN\"",
    ] {
        assert_eq!(nano(wrong), None, "{wrong}");
    }
}

#[test]
fn the_member_at_fault_is_named() {
    let check = |body: &str, member: &str| assert_eq!(apply(body), Err(member.into()), "{body}");
    check(r#"{"name": ""}"#, "name");
    check(r#"{"name": 5}"#, "name");
    check(r#"{"rate_limit": -1}"#, "rate_limit");
    check(r#"{"rate_limit": 0}"#, "rate_limit");
    check(r#"{"rate_limit": 1.5}"#, "rate_limit");
    check(r#"{"max_concurrent": 0}"#, "max_concurrent");
    check(r#"{"rate_limits": {"requests": 1}}"#, "rate_limits");
    check(r#"{"rate_limits": [{"reqests": 1}]}"#, "rate_limits");
    let second = r#"{"rate_limits": [{"requests": 1}, {"tokens": 1, "per": 0}]}"#;
    check(second, "rate_limits[1]");
    check(r#"{"rate_limits": [{"per": "day"}]}"#, "rate_limits[0]");
    check(r#"{"budget_limit_usd": "lots"}"#, "budget_limit_usd");
    check(r#"{"budget_period": "hourly"}"#, "budget_period");
    check(r#"{"expires_at": "tomorrow"}"#, "expires_at");
    check(
        r#"{"expires_at": "2030-01-01", "expires_in_s": 5}"#,
        "expires_in_s",
    );
    check(r#"{"models": "a"}"#, "models");
    check(r#"{"pii_input": "drop"}"#, "pii_input");
    check(r#"{"metadata": []}"#, "metadata");
    check(r#"{"is_active": "yes"}"#, "is_active");
    check(r#"{"real_api_key": "sk with space"}"#, "real_api_key");
    check(r#"{"rate_limitt": 5}"#, "rate_limitt");
    check(r#"{"spent_usd": 0}"#, "spent_usd");
    let config = apply(r#"{"config": {"strategy": "guess"}}"#).unwrap_err();
    assert!(config.starts_with("config.strategy"), "{config}");
    let guardrails = apply(r#"{"guardrails": {"input": 5}}"#).unwrap_err();
    assert!(guardrails.starts_with("guardrails"), "{guardrails}");
    assert!(apply("[]").unwrap_err().contains("not a JSON object"));
    let long = format!(r#"{{"name": "{}"}}"#, "x".repeat(201));
    check(&long, "name");
}

#[test]
fn rotations_take_either_name() {
    let new = |body: &str| Members::parse(body.as_bytes()).unwrap().new_api_key();
    assert_eq!(new(r#"{"new_api_key": "sk-n"}"#).unwrap(), "sk-n");
    assert_eq!(new(r#"{"real_api_key": "sk-n"}"#).unwrap(), "sk-n");
    for wrong in [
        r"{}",
        r#"{"new_api_key": ""}"#,
        r#"{"new_api_key": null}"#,
        r#"{"new_api_key": "a", "x": 1}"#,
    ] {
        assert!(new(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn masks_show_little_and_random_text_is_plain() {
    assert_eq!(mask("vk-abcdefghijklmnopqrstuv"), "vk-ab...stuv");
    assert_eq!(mask("vk-short"), "***");
    let text = random_text(500).unwrap();
    assert_eq!(text.len(), 500);
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_ne!(random_text(40).unwrap(), random_text(40).unwrap());
}
