//! Keys and their budgets, and what stands on them.

use e2e::fleet::Fleet;
use e2e::setup::Setup;
use serde_json::{Value, json};

use super::Size;

/// Index of the key that may ask so often at one time.
pub(super) const FEW: usize = 7;
pub(super) const FEW_AT_ONCE: usize = 8;
/// Index of the key of clients that ask often, at every place; the next one is of those at one place.
pub(super) const BUSY: usize = 10;

fn usd(nano: i64) -> Value {
    json!(nano as f64 / 1e9)
}

/// Whose clients count where, and up to how much.
pub(super) struct Limits {
    tenant: i64,
    pool: i64,
    user: i64,
    key: i64,
    /// Of the tenant of busy keys.
    busy: i64,
    leases: bool,
}

impl Limits {
    pub(super) fn of(size: &Size) -> Limits {
        Limits {
            tenant: size.limit_nano(0.3, 0.5),
            pool: size.limit_nano(0.2, 0.6),
            user: size.limit_nano(0.2, 0.4),
            key: size.limit_nano(0.1, 0.3),
            busy: size.limit_nano(2.0, 0.4),
            leases: size.variant.leases,
        }
    }

    /// What everybody starts with.
    pub(super) fn setup(&self) -> Setup {
        let budgets = json!([
            {"scope": "global", "limit_usd": 1000, "period": "none"},
            {"scope": "tenant", "name": "acme", "limit_usd": usd(self.tenant), "period": "none"},
            {"scope": "tenant", "name": "busy", "limit_usd": usd(self.busy), "period": "none"},
            {"scope": "user", "name": "ann", "limit_usd": usd(self.user), "period": "none"},
            {"budget_id": "ai", "user_groups": ["red", "blue"], "total_budget": usd(self.pool),
             "reset_period": "none"},
        ]);
        let leases = self.leases;
        Setup::default().workers(1).with(move |config| {
            config["budgets"] = budgets;
            config["sidecar"]["leases"] = json!(leases);
            config["sidecar"]["hold_output_tokens"] = json!(64);
        })
    }

    /// Members of keys; clients take them in turn.
    pub(super) fn keys(&self) -> Vec<Value> {
        vec![
            json!({"name": "acme-1", "tenant": "acme"}),
            json!({"name": "acme-2", "tenant": "acme"}),
            json!({"name": "red", "teams": ["red"], "tenant": "other"}),
            json!({"name": "blue", "teams": ["blue", "green"]}),
            json!({"name": "ann-1", "user": "ann"}),
            json!({"name": "ann-2", "user": "ann", "tenant": "acme"}),
            json!({"name": "small", "budget_limit_usd": usd(self.key), "budget_period": "total"}),
            json!({"name": "few", "max_concurrent": FEW_AT_ONCE}),
            json!({"name": "free-1"}),
            json!({"name": "free-2", "tenant": "busy"}),
            json!({"name": "busy", "tenant": "busy"}),
            json!({"name": "busy-there", "tenant": "busy", "rate_limits": [
                {"requests": 1_000_000, "tokens": 1_000_000_000, "concurrent": 10_000, "per": "hour"},
            ]}),
        ]
    }

    pub(super) fn limited(&self, ids: &[String]) -> Vec<Limited> {
        let of = |keys: &[usize]| {
            let ids = keys.iter().map(|key| format!("'{}'", ids[*key]));
            format!("key_id IN ({})", ids.collect::<Vec<_>>().join(", "))
        };
        let limited = |scope, name: &str, of, limit_nano| Limited {
            scope,
            name: name.to_owned(),
            of,
            limit_nano,
        };
        vec![
            limited("global", "", "true".to_owned(), 1_000_000_000_000),
            limited("tenant", "acme", of(&[0, 1, 5]), self.tenant),
            limited("tenant", "busy", of(&[9, BUSY, BUSY + 1]), self.busy),
            limited("pool", "ai", of(&[2, 3]), self.pool),
            limited("user", "ann", of(&[4, 5]), self.user),
            limited("key", "small", of(&[6]), self.key),
        ]
    }
}

/// Sums of one scope.
#[derive(Debug)]
pub(super) struct Limited {
    /// `scope` and `name` as the admin interface shows them.
    pub(super) scope: &'static str,
    pub(super) name: String,
    /// Condition on rows of the ledger.
    pub(super) of: String,
    pub(super) limit_nano: i64,
}

/// Money of a budget as the admin interface shows it.
pub(super) fn money(budget: &Value, name: &str) -> i64 {
    (budget[name].as_f64().unwrap_or(f64::NAN) * 1e9).round() as i64
}

impl Limited {
    /// Spent and held, as a list of `/admin/budgets` has it.
    pub(super) fn shown(&self, budgets: &Value) -> Option<(i64, i64)> {
        let mut list = budgets["data"].as_array()?.iter();
        let budget = list.find(|budget| {
            let name = budget["name"].as_str().unwrap_or_default();
            budget["scope"] == self.scope && name == self.name
        })?;
        Some((money(budget, "spent_usd"), money(budget, "held_usd")))
    }

    /// What the ledger has of it.
    pub(super) fn ledger(&self, fleet: &Fleet) -> i64 {
        let of = &self.of;
        let sql = format!("SELECT COALESCE(SUM(cost_nano), 0) FROM llm_usage_log WHERE {of}");
        let sum = fleet.stores.postgres().sql(&sql).expect("a sum");
        sum.trim().parse().expect("a sum")
    }
}
