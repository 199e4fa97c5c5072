//! Which limits are an exchange's.

use engine::ledger::Ledger;
use engine::limit::Measure;

use super::super::admin::new_key;
use super::super::keys::KeyTable;
use super::super::membership::Targets;
use super::*;
use crate::config::{KeyLimits, RateConfig};

const NOW: u64 = 1_700_000_000_000;

fn limit(scope: LimitScope, name: Option<&str>, requests: u64) -> RateLimitConfig {
    RateLimitConfig {
        scope,
        name: name.map(str::to_owned),
        tier: None,
        rate: RateConfig {
            requests: Some(requests),
            ..RateConfig::default()
        },
    }
}

/// Scopes and limits that an exchange of the key counts in, the caller's first.
fn counted(rules: &LimitRules, entry: &Entry, party: &Party<'_>) -> (Vec<String>, usize) {
    let mut limits = Limits::default();
    let limited = rules.open(entry, party, &mut limits, NOW).unwrap();
    limits.pass("x", limited.all().to_vec(), 1, NOW);
    let Some(pass) = limits.pass_of("x") else {
        return (Vec::new(), 0);
    };
    let scopes = limits.scopes_of(pass);
    let scopes = scopes.map(|scope| scope.to_string().replace('\n', "|"));
    (scopes.collect(), limited.callers().len())
}

#[test]
fn an_exchange_counts_where_a_limit_is() {
    let mut table = KeyTable::default();
    let mut key = new_key("key_1".into(), "vk-a", NOW);
    key.name = "search".into();
    key.membership.tier = Some("premium".into());
    key.membership.teams = vec!["x".into()];
    table.put(key.clone(), None, &mut Ledger::default());
    let entry = table.by_id("key_1").unwrap();
    let party = Party {
        address: "192.0.2.7",
        ..Party::of(&entry.key, "ada", &[], Targets::Served("p", "m"))
    };
    let none = LimitRules::default();
    assert_eq!(counted(&none, entry, &party), (vec![], 0));
    let mut rules = vec![
        limit(LimitScope::Model, None, 1),
        limit(LimitScope::Global, None, 1),
        limit(LimitScope::Key, Some("search"), 1),
        limit(LimitScope::Key, Some("other"), 1),
        limit(LimitScope::Ip, None, 1),
        limit(LimitScope::User, None, 1),
        limit(LimitScope::Team, Some("y"), 1),
        limit(LimitScope::Tier, Some("premium"), 1),
    ];
    let all = LimitRules(rules.clone());
    assert_eq!(
        counted(&all, entry, &party),
        (
            [
                "global",
                "key:key_1",
                "ip:192.0.2.7",
                "user:ada",
                "tier:premium",
                "model:m"
            ]
            .map(str::to_owned)
            .into(),
            5
        )
    );
    rules.truncate(6);
    rules.remove(0);
    rules.truncate(5);
    if let Some(user) = rules.last_mut() {
        user.tier = Some("standard".into());
    }
    let unnamed = Party { user: "", ..party };
    let (scopes, _) = counted(&LimitRules(rules.clone()), entry, &unnamed);
    assert!(!scopes.contains(&"user:|key_1".to_owned()), "{scopes:?}");
    if let Some(user) = rules.last_mut() {
        user.tier = None;
    }
    let forged = Party {
        user: "\nkey_2",
        ..party
    };
    for (party, user) in [(unnamed, "user:|key_1"), (forged, "user:key_2")] {
        let (scopes, _) = counted(&LimitRules(rules.clone()), entry, &party);
        assert!(scopes.contains(&user.to_owned()), "{scopes:?}");
    }
}

#[test]
fn a_keys_own_limits_are_all_of_them() {
    let mut key = new_key("key_1".into(), "vk-a", NOW);
    key.rate_limit = Some(100);
    key.limits = KeyLimits {
        rate_limits: vec![RateConfig {
            tokens: Some(5_000),
            concurrent: Some(3),
            per_s: 3_600,
            ..RateConfig::default()
        }],
        max_concurrent: Some(7),
    };
    let mut table = KeyTable::default();
    table.put(key, None, &mut Ledger::default());
    let bounds = &table.by_id("key_1").unwrap().bounds;
    let found: Vec<_> = bounds
        .iter()
        .map(|bound| (bound.measure, bound.limit, bound.window_ms))
        .collect();
    assert_eq!(
        found,
        [
            (Measure::Requests, 100, 60_000),
            (Measure::Running, 7, 0),
            (Measure::Tokens, 5_000, 3_600_000),
            (Measure::Running, 3, 0),
        ]
    );
    let longest = LimitRules::default().longest_ms(table.all());
    assert_eq!(longest, 3_600_000);
}
