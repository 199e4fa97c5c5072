//! Who spends: keys, to whom they belong, and budgets above them.

use engine::guard::Guardrails;
use engine::ledger::Budget;
use engine::usage::NanoUsd;
use serde::{Deserialize, Serialize};

use super::{KeyLimits, Period, Secret, document, reader, sections};

/// A budget above those of single keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetConfig {
    /// Whose spend it bounds.
    pub scope: BudgetScope,
    /// Which one of the kind; without a name each of them has the budget for itself. A pool's id.
    pub name: Option<String>,
    /// Only users of this tier.
    pub tier: Option<String>,
    /// Teams that share a pool; all keys when empty.
    pub teams: Vec<String>,
    /// Limit, period and thresholds.
    pub budget: Budget,
}

/// Whose spend a budget bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetScope {
    /// Everybody's together.
    Global,
    /// An organisation's.
    Tenant,
    /// A team's.
    Team,
    /// An end user's.
    User,
    /// That of all users of a tier.
    Tier,
    /// What goes to a provider.
    Provider,
    /// What goes to a model.
    Model,
    /// What carries a tag.
    Tag,
    /// That of some teams together.
    Pool,
}

/// To whom a virtual key belongs, as far as limits are concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Membership {
    /// Organisation; empty for none.
    #[serde(skip)]
    pub tenant: String,
    /// Teams or groups.
    pub teams: Vec<String>,
    /// The one user of the key; then a request's own `user` does not count.
    pub user: Option<String>,
    /// Tier of its users.
    pub tier: Option<String>,
    /// `name=value`; these come before a request's own metadata.
    pub tags: Vec<String>,
}

/// A virtual key that exists because the file says so.
#[derive(Clone, Debug)]
pub struct VirtualKeyConfig {
    /// Name, unique.
    pub name: String,
    /// The key clients send.
    pub key: Secret,
    /// Provider for requests whose model names none.
    pub provider: Option<String>,
    /// Provider key that replaces the provider's own; needs `provider`.
    pub real_api_key: Option<Secret>,
    /// Requests per minute.
    pub rate_limit: Option<u64>,
    /// Further limits of that kind.
    pub limits: KeyLimits,
    /// Spend allowed per period.
    pub budget_limit_nano: Option<NanoUsd>,
    /// Period of that spend.
    pub budget_period: Period,
    /// To whom it belongs.
    pub membership: Membership,
    /// Models the key may ask for; empty allows all.
    pub models: Vec<String>,
    /// Guardrails of the key.
    pub guardrails: Guardrails,
    /// Route configuration used when the request sends none, as JSON.
    pub config: Option<String>,
}

impl VirtualKeyConfig {
    /// A key without limits.
    pub fn new(name: &str, key: Secret) -> VirtualKeyConfig {
        VirtualKeyConfig {
            name: name.to_owned(),
            key,
            provider: None,
            real_api_key: None,
            rate_limit: None,
            limits: KeyLimits::default(),
            budget_limit_nano: None,
            budget_period: Period::default(),
            membership: Membership::default(),
            models: Vec::new(),
            guardrails: Guardrails::default(),
            config: None,
        }
    }
}

/// Budgets as `budgets` has them: a list, one entry of it, or all in one mapping. JSON is YAML.
///
/// # Errors
/// Every problem, with its member.
pub(crate) fn parse_budgets(text: &str) -> Result<Vec<BudgetConfig>, String> {
    let root = document::parse(text).map_err(|problem| problem.message)?;
    let mut reader = reader::Reader::new(&|_| None);
    let found = sections::budgets(&root, &mut reader);
    if reader.problems.is_empty() {
        return Ok(found);
    }
    let worded = reader.problems.iter().map(|problem| {
        let member = problem
            .member
            .trim_start_matches("budget")
            .trim_start_matches('.');
        if member.is_empty() {
            problem.message.clone()
        } else {
            format!("{member}: {}", problem.message)
        }
    });
    Err(worded.collect::<Vec<_>>().join("; "))
}
