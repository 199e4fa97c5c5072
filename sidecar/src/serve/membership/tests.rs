//! Whose budgets and limits an exchange counts in.

use engine::ledger::Thresholds;
use engine::period::Period;

use super::*;

fn rule(scope: BudgetScope, name: Option<&str>, tier: Option<&str>, limit: i64) -> BudgetConfig {
    BudgetConfig {
        scope,
        name: name.map(str::to_owned),
        tier: tier.map(str::to_owned),
        teams: Vec::new(),
        budget: Budget {
            limit_nano: limit,
            period: Period::Monthly,
            hard: true,
            thresholds: Thresholds::default(),
        },
    }
}

#[test]
fn a_budget_is_read_as_it_was_written() {
    let budgets = r#"[{scope: team, name: "a \"b\"", limit_usd: 0.5, period: 30d, hard: false,
        thresholds: [0.5, 1.25]}, {scope: user, tier: premium, limit_usd: 2},
        {budget_id: ai, user_groups: [x, y], total_budget: 7, reset_period: yearly}]"#;
    let budgets = crate::config::parse_budgets(budgets).unwrap();
    assert_eq!(budgets.len(), 3);
    for budget in budgets {
        let again = crate::config::parse_budgets(&budget.document()).unwrap();
        assert_eq!(again, [budget]);
    }
    let flat =
        r#"{"global_limit": 1000, "user_limits": {"premium": 100}, "warning_threshold": 0.8}"#;
    let budgets = crate::config::parse_budgets(flat).unwrap();
    assert_eq!(budgets.len(), 2);
    assert_eq!(budgets[1].tier.as_deref(), Some("premium"));
    let wrong = crate::config::parse_budgets(r#"{"scope": "team", "limit": 1}"#);
    let wrong = wrong.unwrap_err();
    assert!(wrong.contains("unknown member `limit`"), "{wrong}");
}

#[test]
fn an_exchange_counts_where_a_budget_is() {
    let rules = Rules(vec![
        rule(BudgetScope::Team, None, None, 1),
        rule(BudgetScope::User, None, Some("premium"), 2),
        rule(BudgetScope::User, Some("bob"), None, 3),
        rule(BudgetScope::Tag, Some("env=*"), None, 4),
        rule(BudgetScope::Provider, Some("b"), None, 5),
        BudgetConfig {
            teams: vec!["x".into(), "y".into()],
            ..rule(BudgetScope::Pool, Some("ai"), None, 6)
        },
    ]);
    let membership = Membership {
        teams: vec!["x".into(), "z".into()],
        tier: Some("premium".into()),
        tags: vec!["env=prod".into()],
        ..Membership::default()
    };
    let tags = ["env=test".to_owned(), "cost=1".to_owned()];
    let party = Party {
        membership: &membership,
        user: "ada",
        tags: &tags,
        targets: Targets::Served("a", "m"),
        address: "",
    };
    let names = |party: &Party<'_>| -> Vec<String> {
        rules.scopes(party).iter().map(Scope::to_string).collect()
    };
    assert_eq!(
        names(&party),
        ["team:x", "team:z", "user:ada", "tag:env=prod", "pool:ai"]
    );
    let own = Membership {
        user: Some("bob".into()),
        ..Membership::default()
    };
    let other = Party {
        membership: &own,
        targets: Targets::Served("b", "m"),
        tags: &[],
        ..party
    };
    assert_eq!(names(&other), ["user:bob", "provider:b"]);
    let limits = |scope: Scope, tier| -> Vec<i64> {
        let budgets = rules.budgets(&scope, tier);
        budgets.iter().map(|budget| budget.limit_nano).collect()
    };
    assert_eq!(limits(Scope::User("bob".into()), Some("premium")), [2, 3]);
    assert_eq!(limits(Scope::User("ada".into()), None), [0; 0]);
}
