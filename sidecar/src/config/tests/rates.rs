//! `rate_limits`, of the file, of keys and of the environment.

use super::*;

#[test]
fn limits_are_read_with_their_windows() {
    let config = good(&format!(
        "{ONE}trusted_hops: 2
rate_limits:
- {{scope: ip, requests: 100}}
- {{scope: ip, name: '2001:db8::7', tokens: 5, per: 10}}
- {{scope: user, tier: premium, requests: 3, concurrent: 4, per: hour}}
- {{scope: user, tier: premium, tokens: 9, per: hour}}
- {{scope: tag, name: env=*, concurrent: 1}}
virtual_keys: [{{name: k, key: x, max_concurrent: 2, rate_limits: [{{tokens: 7, per: day}}]}}]
"
    ));
    assert_eq!(config.trusted_hops, 2);
    let shown: Vec<_> = config
        .rate_limits
        .iter()
        .map(|limit| {
            let rate = limit.rate;
            (
                limit.scope.name(),
                limit.name.as_deref().unwrap_or("-"),
                [rate.requests, rate.tokens, rate.concurrent].map(Option::unwrap_or_default),
                rate.per_s,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("ip", "-", [100, 0, 0], 60),
            ("ip", "2001:db8::/64", [0, 5, 0], 10),
            ("user", "-", [3, 0, 4], 3_600),
            ("user", "-", [0, 9, 0], 3_600),
            ("tag", "env=*", [0, 0, 1], 60),
        ]
    );
    let key = &config.virtual_keys[0].limits;
    assert_eq!(key.max_concurrent, Some(2));
    let per: Vec<_> = key.rate_limits.iter().map(RateConfig::per).collect();
    assert_eq!(per, [Ok("day")]);
}

#[test]
fn users_are_limited_by_the_environment_when_the_file_does_not() {
    let users = |config: Config| -> Vec<(Option<u64>, u64)> {
        let limits = config.rate_limits.iter();
        let users = limits.filter(|limit| limit.scope == LimitScope::User);
        users
            .map(|limit| (limit.rate.requests, limit.rate.per_s))
            .collect()
    };
    let both = [
        ("RATE_LIMIT_PER_USER", "100"),
        ("RATE_LIMIT_WINDOW", "3600"),
    ];
    assert_eq!(users(of("", &both).unwrap()), [(Some(100), 3_600)]);
    assert_eq!(users(of("", &both[..1]).unwrap()), [(Some(100), 60)]);
    assert_eq!(users(of("", &both[1..]).unwrap()), []);
    let file = "rate_limits: [{scope: user, requests: 5}]";
    assert_eq!(users(of(file, &both).unwrap()), [(Some(5), 60)]);
    let other = "rate_limits: [{scope: ip, requests: 5}]";
    assert_eq!(users(of(other, &both).unwrap()), [(Some(100), 3_600)]);
    let wrong = of("", &[("RATE_LIMIT_PER_USER", "many")]).unwrap_err();
    assert!(
        wrong.contains("RATE_LIMIT_PER_USER is not a whole number"),
        "{wrong}"
    );
}

#[test]
fn everybody_is_bounded_by_the_environment_when_the_file_does_not() {
    let global = |config: Config| -> Vec<(i64, String, Vec<u32>)> {
        let budgets = config.budgets.iter();
        let global = budgets.filter(|rule| rule.scope == BudgetScope::Global);
        let shown = global.map(|rule| {
            let engine::ledger::Budget {
                limit_nano,
                period,
                thresholds,
                ..
            } = &rule.budget;
            (
                *limit_nano,
                period.name().into_owned(),
                thresholds.iter().collect(),
            )
        });
        shown.collect()
    };
    let all = [
        ("GLOBAL_BUDGET_LIMIT", "1000.00"),
        ("BUDGET_RESET_PERIOD", "weekly"),
        ("BUDGET_WARNING_THRESHOLD", "0.8"),
    ];
    let dollars = 1_000_000_000_000;
    let found = global(of("", &all).unwrap());
    assert_eq!(found, [(dollars, "weekly".to_owned(), vec![800_000])]);
    let found = global(of("", &all[..1]).unwrap());
    assert_eq!((found[0].0, found[0].1.as_str()), (dollars, "monthly"));
    assert_eq!(global(of("", &all[1..]).unwrap()), []);
    let file = "budgets: [{scope: global, limit_usd: 5}]";
    assert_eq!(global(of(file, &all).unwrap())[0].0, 5_000_000_000);
    for (name, text, part) in [
        ("GLOBAL_BUDGET_LIMIT", "much", "is not dollars"),
        ("BUDGET_RESET_PERIOD", "monthyl", "did you mean `monthly`?"),
        ("BUDGET_WARNING_THRESHOLD", "80%", "a part of the limit"),
    ] {
        let wrong = of("", &[all[0], (name, text)]);
        let wrong = if name == all[0].0 {
            of("", &[(name, text)])
        } else {
            wrong
        };
        let wrong = wrong.unwrap_err();
        assert!(wrong.contains(name) && wrong.contains(part), "{wrong}");
    }
}

#[test]
fn mistakes_in_limits_are_refused() {
    for (text, part) in [
        ("{scope: usr, requests: 1}", "did you mean `user`?"),
        ("{requests: 1}", "`scope` is missing"),
        (
            "{scope: user}",
            "`requests`, `tokens` or `concurrent` is missing",
        ),
        ("{scope: user, requests: 0}", "from 1 to"),
        (
            "{scope: user, requests: 1, per: week}",
            "none of second, minute, hour, day",
        ),
        ("{scope: user, requests: 1, per: 86401}", "from 1 to 86400"),
        ("{scope: global, name: x, requests: 1}", "one `global` only"),
        (
            "{scope: team, tier: x, requests: 1}",
            "only limits of scope `user` have a tier",
        ),
        ("{scope: tag, requests: 1}", "NAME=VALUE"),
        ("{scope: tag, name: env, requests: 1}", "NAME=VALUE"),
        (
            "{scope: ip, name: example.org, requests: 1}",
            "an IPv4 address",
        ),
        (
            "{scope: ip, request: 1, tokens: 1}",
            "did you mean `requests`?",
        ),
        (
            "{scope: ip, requests: 1}, {scope: ip, requests: 2}",
            "given twice",
        ),
    ] {
        let found = of(&format!("rate_limits: [{text}]"), &[]).unwrap_err();
        assert!(found.contains(part), "{text}\n{found}");
    }
    let two = "rate_limits: [{scope: ip, requests: 1}, {scope: ip, requests: 2, per: hour}]";
    of(two, &[]).unwrap();
    let many = "{requests: 1}, ".repeat(17);
    let found = of(
        &format!("virtual_keys: [{{name: k, key: x, rate_limits: [{many}]}}]"),
        &[],
    );
    assert!(found.unwrap_err().contains("at most 16"));
}
