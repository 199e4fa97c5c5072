//! Retries and fallback: which attempt follows which answer.

use super::*;

#[test]
fn an_answered_error_retries_here_then_falls_on() {
    let mut world = World::new();
    let (mut exchange, forward) = world.granted(&[("x-weir-config", FALLBACK)], &chat("x"));
    assert_eq!(forward.headers.text(HEADER_TARGET), Some("openai"));
    assert_eq!(forward.headers.text("x-envoy-max-retries"), Some("3"));
    let first = exchange.on_attempt(&world.env()).expect("attempt");
    assert_eq!(
        first.headers.text(HEADER_TARGET),
        Some("anthropic"),
        "no answer moves on"
    );
    let again = AttemptStep::Retry {
        target: "openai".into(),
        status: None,
        same_target: true,
    };
    // The body decides: a quota that is used up would stay so.
    assert_eq!(
        exchange.on_attempt_head(429, false, false),
        AttemptStep::Hold
    );
    assert!(!exchange.wants_attempt_body(false) && exchange.wants_attempt_body(true));
    assert_eq!(exchange.on_attempt_body(SLOW_DOWN, true), again);
    exchange.on_attempt(&world.env()).expect("attempt");
    let on = AttemptStep::Retry {
        target: "anthropic".into(),
        status: None,
        same_target: false,
    };
    assert_eq!(exchange.on_attempt_head(429, false, false), on);
    let third = exchange.on_attempt(&world.env()).expect("attempt");
    assert_eq!(third.headers.text(":path"), Some("/v1/messages"));
    assert_eq!(third.headers.text("x-api-key"), Some("sk-anthropic"));
    assert_eq!(third.headers.get("authorization"), None);
    let body: Value = serde_json::from_slice(&third.body.expect("body")).expect("JSON");
    assert_eq!(
        (&body["model"], &body["max_tokens"]),
        (&json!("claude-3-sonnet"), &json!(1000))
    );
}

const SLOW_DOWN: &[u8] = br#"{"error":{"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
const USED_UP: &[u8] = br#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;

#[test]
fn a_used_up_quota_is_not_asked_again_and_falls_on() {
    let mut world = World::new();
    let (mut exchange, _) = world.granted(&[("x-weir-config", FALLBACK)], &chat("x"));
    exchange.on_attempt(&world.env()).expect("attempt");
    assert_eq!(
        exchange.on_attempt_head(429, false, false),
        AttemptStep::Hold
    );
    let on = AttemptStep::Retry {
        target: "anthropic".into(),
        status: None,
        same_target: false,
    };
    assert_eq!(exchange.on_attempt_body(USED_UP, true), on);
}

/// The cap that each of two attempts sends.
fn caps_of_a_fallback(asked: Option<u64>, derived: Option<u64>) -> Vec<Option<u64>> {
    let mut world = World::new();
    let route = r#"{"strategy":"fallback","targets":[{"model":"gpt-4o-mini"},{"model":"short"}]}"#;
    let mut body = chat("x");
    if let Some(asked) = asked {
        body["max_tokens"] = json!(asked);
    }
    let grant = Grant {
        output_cap: derived,
        ..Grant::default()
    };
    let (mut exchange, _) = world.granted_as(&[("x-weir-config", route)], &body, grant);
    let attempts = std::iter::from_fn(|| {
        let attempt = exchange.on_attempt(&world.env());
        exchange.on_attempt_head(500, false, false);
        attempt
    });
    let sent = attempts.take(2).map(|attempt| {
        let body: Value = serde_json::from_slice(&attempt.body.expect("body")).expect("JSON");
        let of = |name: &str| body[name].as_u64();
        of("max_completion_tokens").or_else(|| of("max_tokens"))
    });
    sent.collect()
}

#[test]
fn a_derived_cap_fits_each_model_and_the_clients_own_is_its_own() {
    assert_eq!(caps_of_a_fallback(None, Some(800)), [Some(800), Some(100)]);
    assert_eq!(caps_of_a_fallback(None, Some(90)), [Some(90), Some(90)]);
    assert_eq!(caps_of_a_fallback(None, None), [None, None]);
    assert_eq!(caps_of_a_fallback(Some(800), None), [Some(800), Some(800)]);
}

#[test]
fn an_error_nobody_waits_for_is_the_answer() {
    let mut world = World::new();
    let (mut exchange, _) = world.granted(&[("x-weir-config", FALLBACK)], &chat("x"));
    exchange.on_attempt(&world.env()).expect("attempt");
    assert_eq!(
        exchange.on_attempt_head(500, false, false),
        AttemptStep::Pass
    );
    let step = world.answer(
        &mut exchange,
        "application/json",
        500,
        r#"{"error":{"message":"boom"}}"#,
    );
    let body = String::from_utf8(step.body.expect("body")).expect("UTF-8");
    assert!(body.contains("boom"), "{body}");
    let record = world.record(&mut exchange, None);
    assert_eq!(
        (record.cost_nano, record.code.as_str()),
        (0, "upstream_error")
    );
}

#[test]
fn a_200_that_is_an_error_falls_on_and_an_empty_one_too() {
    let mut world = World::new();
    let any = FALLBACK.replace(r#","on_errors":["429","timeout"]"#, "");
    for (streams, bytes) in [
        (true, "data: {\"error\":{\"message\":\"overloaded\"}}\n\n"),
        (true, ""),
        (false, "{\"error\":{\"message\":\"no\"}}"),
        (false, "{\"id\":"),
    ] {
        let (mut exchange, _) = world.granted(&[("x-weir-config", &any)], &chat("x"));
        exchange.on_attempt(&world.env()).expect("attempt");
        assert_eq!(
            exchange.on_attempt_head(200, streams, false),
            AttemptStep::Hold
        );
        let step = exchange.on_attempt_body(bytes.as_bytes(), true);
        assert!(
            matches!(
                &step,
                AttemptStep::Retry {
                    status: Some(_),
                    ..
                }
            ),
            "{bytes}: {step:?}"
        );
    }
}

#[test]
fn plans_end_where_their_rules_end() {
    let mut world = World::new();
    let strict = FALLBACK.replace(r#""429","timeout""#, r#""429""#);
    let (mut exchange, _) = world.granted(&[("x-weir-config", &strict)], &chat("x"));
    let tries: Vec<String> = std::iter::from_fn(|| exchange.on_attempt(&world.env()))
        .map(|forward| {
            forward
                .headers
                .text(HEADER_TARGET)
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    assert_eq!(tries, ["openai", TARGET_NONE]);
}

#[test]
fn a_target_without_budget_is_not_asked() {
    let mut world = World::new();
    let grant = Grant {
        skipped: vec![0],
        ..Grant::default()
    };
    let extra = [("x-weir-config", FALLBACK)];
    let (exchange, forward) = world.granted_as(&extra, &chat("x"), grant);
    assert!(!exchange.has_adapter());
    assert_eq!(
        forward.headers.text(HEADER_TARGET),
        Some("anthropic/direct")
    );
    let all = Grant {
        skipped: vec![0, 1],
        ..Grant::default()
    };
    let (exchange, _) = world.granted_as(&extra, &chat("x"), all);
    assert!(exchange.has_adapter(), "somebody has to be asked");
}
