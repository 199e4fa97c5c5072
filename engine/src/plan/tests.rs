use super::*;
use crate::route::RouteConfig;
use crate::wire::{Defaults, Model, Policy};

fn policy() -> PolicyIndex {
    let provider = |name: &str, default_price| Provider {
        name: name.into(),
        default_price,
        ..Provider::default()
    };
    let model = |id: &str, provider: &str, model: &str| Model {
        id: id.into(),
        provider: provider.into(),
        model: model.into(),
        price: Price {
            input: 1,
            ..Price::default()
        },
        ..Model::default()
    };
    PolicyIndex::new(Policy {
        providers: vec![
            provider("openai", None),
            provider("anthropic", None),
            provider("ollama", Some(Price::default())),
        ],
        models: vec![
            model("gpt-4o-mini", "openai", "gpt-4o-mini"),
            model("fast", "anthropic", "claude-haiku-4-5"),
            model("claude-3-sonnet", "anthropic", "claude-3-sonnet-20240229"),
        ],
        defaults: Defaults {
            provider: Some("openai".into()),
            retry_attempts: 2,
            retry_on: vec![429],
            request_timeout_ms: 60_000,
            cache_ttl_s: Some(60),
            ..Defaults::default()
        },
    })
}

fn plan(config: &str, model: &str, key: &KeyRecord, random: u64) -> Result<Plan, PlanError> {
    let config = RouteConfig::parse(config).expect("valid");
    let policy = policy();
    Plan::new(
        &config.root,
        &Request {
            model,
            key,
            policy: &policy,
            random,
            through: None,
        },
    )
}

fn names(plan: &Plan) -> Vec<String> {
    plan.targets
        .iter()
        .map(|t| format!("{}:{}", t.provider.name, t.model))
        .collect()
}

#[test]
fn models_resolve_by_key_model_and_default() {
    let any = KeyRecord::default();
    let ollama = KeyRecord {
        provider: Some("ollama".into()),
        ..KeyRecord::default()
    };
    for (key, model, expect) in [
        (&any, "gpt-4o-mini", "openai:gpt-4o-mini"),
        (&any, "fast", "anthropic:claude-haiku-4-5"),
        (
            &any,
            "anthropic/claude-3-sonnet",
            "anthropic:claude-3-sonnet-20240229",
        ),
        (&any, "@ollama/llama3:8b", "ollama:llama3:8b"),
        (&ollama, "llama3:8b", "ollama:llama3:8b"),
        (&ollama, "gpt-4o-mini", "openai:gpt-4o-mini"),
    ] {
        let plan = plan("{}", model, key, 0).expect(model);
        assert_eq!(names(&plan), [expect]);
    }
}

#[test]
fn what_cannot_be_planned_says_why() {
    let any = KeyRecord::default();
    let only = KeyRecord {
        models: vec!["fast".into()],
        ..KeyRecord::default()
    };
    for (config, model, key, code) in [
        ("{}", "nope", &any, Code::ModelNotFound),
        (
            r#"{"provider":"openai"}"#,
            "nope",
            &any,
            Code::ModelNotPriced,
        ),
        (
            r#"{"provider":"mars"}"#,
            "fast",
            &any,
            Code::ProviderUnknown,
        ),
        ("{}", "gpt-4o-mini", &only, Code::ModelNotAllowed),
        (
            r#"{"provider":"openai","model":"gpt-4o-mini"}"#,
            "fast",
            &only,
            Code::ModelNotAllowed,
        ),
        (
            r#"{"targets":[{"model":"gpt-4o-mini"}]}"#,
            "other",
            &only,
            Code::ModelNotAllowed,
        ),
    ] {
        assert_eq!(plan(config, model, key, 0).expect_err(model).code, code);
    }
}

#[test]
fn a_fallback_keeps_its_order_and_inherits_rules() {
    let plan = plan(
        r#"{"strategy":"fallback","retry":{"attempts":1},"request_timeout":500,
            "targets":[{"provider":"openai","model":"gpt-4o-mini","on_errors":["429"]},
                       {"strategy":"loadbalance","weights":[{"provider":"ollama","model":"x","weight":1}]},
                       {"provider":"anthropic","model":"fast","retry":{"attempts":3,"on_status_codes":[500]},"cache":{"ttl":5}}]}"#,
        "m",
        &KeyRecord::default(),
        7,
    )
    .expect("plan");
    assert_eq!(
        names(&plan),
        [
            "openai:gpt-4o-mini",
            "ollama:x",
            "anthropic:claude-haiku-4-5"
        ]
    );
    assert_eq!(plan.targets[0].retries, 1);
    assert_eq!(*plan.targets[0].retry_on, [429]);
    assert!(!plan.targets[0].fall_on.no_answer);
    assert!(plan.targets[1].fall_on.any);
    assert_eq!(
        (plan.targets[2].retries, plan.targets[2].timeout_ms),
        (3, 500)
    );
    assert_eq!(plan.cache_ttl_s, Some(60));
}

#[test]
fn weights_hold_and_share_one_cache_identity() {
    let config = r#"{"strategy":"loadbalance","weights":[{"provider":"ollama","model":"a","weight":0.9},{"provider":"ollama","model":"b","weight":0.1}]}"#;
    let mut state = 1_u64;
    let mut chosen = [0_u32; 2];
    let mut identities = std::collections::BTreeSet::new();
    for _ in 0..10_000 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let plan = plan(config, "m", &KeyRecord::default(), z ^ (z >> 31)).expect("plan");
        chosen[usize::from(plan.targets[0].model == "b")] += 1;
        identities.insert(plan.identity);
    }
    assert!((850..1150).contains(&chosen[1]), "{chosen:?}");
    assert_eq!(identities.len(), 1);
}

#[test]
fn the_cache_follows_request_then_default() {
    let ttl = |config: &str| {
        plan(config, "fast", &KeyRecord::default(), 0)
            .expect("plan")
            .cache_ttl_s
    };
    assert_eq!(ttl("{}"), Some(60));
    assert_eq!(ttl(r#"{"cache":{"mode":"off"}}"#), None);
    assert_eq!(ttl(r#"{"cache":{"mode":"simple"}}"#), Some(60));
    assert_eq!(ttl(r#"{"cache":{"mode":"simple","max_age":9}}"#), Some(9));
}
