//! Whose an exchange is, and whose budgets it counts against.

use engine::ledger::{self, Ask, Budget, Ledger, Scope, ScopeId};
use engine::price;
use engine::wire::{Admit, Governed, Quote};

use super::keys::VirtualKey;
use crate::config::{BudgetConfig, BudgetScope, Membership};

/// Scopes at one time. Above it exchanges of further ones are refused with `state_unavailable`.
pub(crate) const SCOPES_MAX: usize = 500_000;

/// Budgets above those of single keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules(Vec<BudgetConfig>);

/// An exchange as far as budgets are concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party<'a> {
    /// To whom the key belongs.
    pub(crate) membership: &'a Membership,
    /// End user that the request names.
    pub(crate) user: &'a str,
    /// Tags of the request.
    pub(crate) tags: &'a [String],
    /// Where it goes: all planned targets, or the one that served.
    pub(crate) targets: Targets<'a>,
    /// Whence it comes; empty when no limit asks.
    pub(crate) address: &'a str,
}

/// Providers and models.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Targets<'a> {
    Planned(&'a [Quote]),
    Served(&'a str, &'a str),
}

impl Rules {
    pub(crate) fn new(budgets: &[BudgetConfig]) -> Rules {
        Rules(budgets.to_vec())
    }

    /// Each of them.
    pub(crate) fn all(&self) -> &[BudgetConfig] {
        &self.0
    }

    /// The budgets that bound everybody together.
    pub(crate) fn global(&self) -> Vec<Budget> {
        self.budgets(&Scope::Global, None)
    }

    /// Rules other than the global ones, which alone need more than the key to be found.
    pub(crate) fn is_simple(&self) -> bool {
        self.0.iter().all(|rule| rule.scope == BudgetScope::Global)
    }

    /// The budgets of a scope. `tier` is that of its user.
    pub(crate) fn budgets(&self, scope: &Scope, tier: Option<&str>) -> Vec<Budget> {
        let bound = self.0.iter().filter(|rule| {
            rule.bounds(scope) && rule.tier.as_deref().is_none_or(|of| Some(of) == tier)
        });
        bound.map(|rule| rule.budget).collect()
    }

    /// Scopes besides everybody's and the key's own that have a budget.
    pub(crate) fn scopes(&self, party: &Party<'_>) -> Vec<Scope> {
        if self.is_simple() {
            return Vec::new();
        }
        let mut found: Vec<Scope> = Vec::new();
        party.candidates(&mut found);
        let teams = &party.membership.teams;
        let pools = self.0.iter().filter(|rule| rule.scope == BudgetScope::Pool);
        for pool in pools {
            let shares = |team: &String| pool.teams.contains(team);
            if pool.teams.is_empty() || teams.iter().any(shares) {
                let pool = Scope::Pool(pool.name.clone().unwrap_or_default());
                if !pool.name().is_empty() && !found.contains(&pool) {
                    found.push(pool);
                }
            }
        }
        let tier = party.membership.tier.as_deref();
        found.retain(|scope| !self.budgets(scope, tier).is_empty());
        found
    }

    /// Places of planned targets whose provider's or model's own budgets do not cover the request,
    /// while those of another do: a request goes where there is money for it.
    pub(crate) fn exhausted(&self, admit: &Admit, ledger: &mut Ledger, now_ms: u64) -> Vec<usize> {
        let by_target =
            |rule: &BudgetConfig| matches!(rule.scope, BudgetScope::Provider | BudgetScope::Model);
        if admit.targets.len() < 2 || !self.0.iter().any(by_target) {
            return Vec::new();
        }
        let mut short = |quote: &Quote| {
            let scopes = [
                Scope::Provider(quote.provider.clone()),
                Scope::Model(quote.model.clone()),
            ];
            let ids: Vec<ScopeId> = scopes
                .iter()
                .filter_map(|scope| ledger.place_of(scope))
                .collect();
            let (left, _) = ledger.room(&ids, now_ms);
            let ask = Ask {
                exchange: &admit.exchange,
                key: &admit.key,
                scopes: &ids,
                quotes: std::slice::from_ref(quote),
                output_cap: admit.output_cap,
                choices: admit.choices,
                tokens_in: admit.tokens_in,
                user: "",
                tags: &[],
                slice_tokens: None,
            };
            ledger::worst(&ask, left).is_none()
        };
        let places = admit.targets.iter().enumerate();
        let found: Vec<usize> = places
            .filter(|(_, quote)| short(quote))
            .map(|(place, _)| place)
            .collect();
        if found.len() < admit.targets.len() {
            found
        } else {
            Vec::new()
        }
    }

    /// Opens these scopes in the ledger with their budgets. `None` when there are too many.
    pub(crate) fn open(
        &self,
        scopes: Vec<Scope>,
        tier: Option<&str>,
        ledger: &mut Ledger,
    ) -> Option<Vec<ScopeId>> {
        let mut ids = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let known = ledger.place_of(&scope);
            if known.is_none() && ledger.scope_count() >= SCOPES_MAX {
                return None;
            }
            let budgets = self.budgets(&scope, tier);
            let id = ledger.open(scope);
            if !ledger.has_budgets(id, &budgets) {
                ledger.set_budgets(id, budgets);
            }
            ids.push(id);
        }
        Some(ids)
    }

    /// Scopes that a budget names: they are shown before anybody has spent in them.
    pub(crate) fn named(&self) -> Vec<Scope> {
        let rules = self
            .0
            .iter()
            .filter(|rule| rule.scope != BudgetScope::Global);
        let named = rules.filter_map(|rule| {
            let name = rule.name.as_deref().filter(|name| !name.ends_with("=*"))?;
            Scope::of(rule.kind(), name)
        });
        named.collect()
    }

    /// What of a request decides which budgets it counts against.
    pub(crate) fn governed(&self) -> Governed {
        let has = |scope| self.0.iter().any(|rule| rule.scope == scope);
        let tags = self.0.iter().filter_map(|rule| {
            let name = rule.name.as_deref()?.split_once('=')?.0;
            (rule.scope == BudgetScope::Tag).then(|| name.to_owned())
        });
        let mut tags: Vec<String> = tags.collect();
        tags.sort_unstable();
        tags.dedup();
        Governed {
            users: has(BudgetScope::User),
            models: has(BudgetScope::Provider) || has(BudgetScope::Model),
            tags,
            addresses: false,
        }
    }

    /// These, in place of those that bound the same over the same period.
    #[must_use]
    pub(crate) fn replaced_by(&self, others: &[BudgetConfig]) -> Rules {
        let kept = self.0.iter().filter(|rule| {
            !others
                .iter()
                .any(|other| other.identity() == rule.identity())
        });
        Rules(kept.chain(others).cloned().collect())
    }

    /// A number that changes when other scopes are counted.
    pub(crate) fn basis(&self) -> String {
        let mut basis = String::new();
        for rule in &self.0 {
            basis.push_str(&format!(
                "{:?}|{:?}|{:?}|{:?}\n",
                rule.scope, rule.name, rule.tier, rule.teams
            ));
        }
        basis
    }
}

impl BudgetConfig {
    /// What tells a budget from others: of one scope and period there is one.
    pub(crate) fn identity(&self) -> String {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let kind = self.kind();
        let period = self.budget.period.name();
        format!(
            "{kind}\n{}\n{}\n{period}",
            text(&self.name),
            text(&self.tier)
        )
    }

    /// As [`crate::config::parse_budgets`] reads it.
    pub(crate) fn document(&self) -> String {
        let parts: Vec<String> = self
            .budget
            .thresholds
            .iter()
            .map(|ppm| price::usd(i64::from(ppm).saturating_mul(1_000)))
            .collect();
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let mut members = vec![
            format!("\"limit_usd\": {}", price::usd(self.budget.limit_nano)),
            format!("\"period\": {}", text(&self.budget.period.name())),
            format!("\"hard\": {}", self.budget.hard),
            format!("\"thresholds\": [{}]", parts.join(", ")),
        ];
        let name = if self.scope == BudgetScope::Pool {
            let teams = serde_json::Value::from(self.teams.clone());
            members.push(format!("\"user_groups\": {teams}"));
            "budget_id"
        } else {
            members.push(format!("\"scope\": {}", text(self.kind())));
            "name"
        };
        for (member, value) in [(name, &self.name), ("tier", &self.tier)] {
            if let Some(value) = value {
                members.push(format!("\"{member}\": {}", text(value)));
            }
        }
        format!("{{{}}}", members.join(", "))
    }

    /// As the scope is called.
    pub(crate) fn kind(&self) -> &'static str {
        match self.scope {
            BudgetScope::Global => "global",
            BudgetScope::Tenant => "tenant",
            BudgetScope::Team => "team",
            BudgetScope::User => "user",
            BudgetScope::Tier => "tier",
            BudgetScope::Provider => "provider",
            BudgetScope::Model => "model",
            BudgetScope::Tag => "tag",
            BudgetScope::Pool => "pool",
        }
    }

    fn bounds(&self, scope: &Scope) -> bool {
        self.kind() == scope.kind()
            && names(self.name.as_deref(), self.scope == BudgetScope::Tag, scope)
    }
}

/// Whether a rule's `name` is that of `scope`; without a name it is for all of them.
pub(super) fn names(name: Option<&str>, is_tag: bool, scope: &Scope) -> bool {
    let Some(name) = name else {
        return true;
    };
    match name.strip_suffix("=*").filter(|_| is_tag) {
        Some(any) => {
            let tag = scope.name().split_once('=');
            tag.is_some_and(|(tag, _)| tag == any)
        }
        None => name == scope.name(),
    }
}

impl<'a> Party<'a> {
    /// Of a key.
    pub(crate) fn of(
        key: &'a VirtualKey,
        user: &'a str,
        tags: &'a [String],
        targets: Targets<'a>,
    ) -> Party<'a> {
        Party {
            membership: &key.membership,
            user,
            tags,
            targets,
            address: "",
        }
    }

    /// Who asks for an admission, wherever it may go.
    pub(crate) fn asking(key: &'a VirtualKey, admit: &'a Admit) -> Party<'a> {
        let planned = Targets::Planned(&admit.targets);
        Party {
            address: &admit.address,
            ..Party::of(key, &admit.user, &admit.tags, planned)
        }
    }

    /// Scopes that it belongs to, besides everybody's, the key's own, its address's and those of
    /// pools. Providers and models are the last.
    pub(super) fn candidates(&self, found: &mut Vec<Scope>) {
        let mut add = |scope: Scope| {
            if !scope.name().is_empty() && !found.contains(&scope) {
                found.push(scope);
            }
        };
        let Membership {
            tenant,
            teams,
            tier,
            tags,
            ..
        } = self.membership;
        add(Scope::Tenant(tenant.clone()));
        teams.iter().cloned().map(Scope::Team).for_each(&mut add);
        add(Scope::User(self.user().to_owned()));
        add(Scope::Tier(tier.clone().unwrap_or_default()));
        let named = |tag: &&String| {
            let name = tag.split('=').next();
            !tags.iter().any(|own| own.split('=').next() == name)
        };
        for tag in tags.iter().chain(self.tags.iter().filter(named)) {
            add(Scope::Tag(tag.clone()));
        }
        match self.targets {
            Targets::Planned(quotes) => {
                for quote in quotes {
                    add(Scope::Provider(quote.provider.clone()));
                    add(Scope::Model(quote.model.clone()));
                }
            }
            Targets::Served(provider, model) => {
                add(Scope::Provider(provider.to_owned()));
                add(Scope::Model(model.to_owned()));
            }
        }
    }

    /// The user of the key, or the one that the request names.
    pub(super) fn user(&self) -> &'a str {
        let named = self.user.trim_start_matches(char::is_control);
        self.membership.user.as_deref().unwrap_or(named)
    }
}

#[cfg(test)]
mod tests;
