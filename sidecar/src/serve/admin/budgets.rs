//! `/admin/budgets`: what they are, where spend stands, and changes of those above keys.

use std::borrow::Cow;
use std::sync::Arc;

use engine::ledger::{BudgetState, Scope};
use engine::period;
use engine::reply::Code;
use serde::Serialize;
use serde_json::value::RawValue;

use super::super::adoption;
use super::super::log::Level;
use super::super::store;
use super::super::store::db::{Db, DbError};
use super::super::store::registry::Registry;
use super::{Interface, Refusal, Reply, usd};
use crate::clock;
use crate::config;
use crate::http;

/// Budgets that can be set here, all together.
const BUDGETS_MAX: usize = 10_000;

#[derive(Serialize)]
struct ShownBudget {
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    period: Cow<'static, str>,
    hard: bool,
    limit_usd: Option<Box<RawValue>>,
    spent_usd: Option<Box<RawValue>>,
    held_usd: Option<Box<RawValue>>,
    remaining_usd: Option<Box<RawValue>>,
    resets_at: Option<String>,
}

/// `GET`: every budget with its present window.
pub(super) async fn list(interface: &Interface) -> Reply {
    let now_ms = clock::now_ms();
    let keys: Vec<_> = {
        let core = interface.shared.core();
        let limited = core
            .keys
            .all()
            .filter(|entry| entry.key.budget_limit_nano.is_some());
        limited
            .map(|entry| (entry.key.clone(), entry.scopes))
            .collect()
    };
    let above = interface.shared.core().ledger.scopes_with_budgets();
    let mut shown = Vec::new();
    for (scope, id) in above {
        if matches!(scope, Scope::Key(_)) {
            continue;
        }
        let name = Some(scope.name().to_owned()).filter(|name| !name.is_empty());
        for state in interface.shared.core().ledger.budgets(id, now_ms) {
            shown.push(show(scope.kind(), None, name.clone(), &state));
        }
    }
    for (key, [_, own]) in keys {
        for state in interface.shared.core().ledger.budgets(own, now_ms) {
            shown.push(show(
                "key",
                Some(key.id.clone()),
                Some(key.name.clone()),
                &state,
            ));
        }
    }
    super::list(&shown)
}

fn show(
    scope: &'static str,
    key: Option<String>,
    name: Option<String>,
    state: &BudgetState,
) -> ShownBudget {
    let BudgetState { budget, spend } = state;
    ShownBudget {
        scope,
        key,
        name,
        period: budget.period.name(),
        hard: budget.hard,
        limit_usd: usd(budget.limit_nano),
        spent_usd: usd(spend.spent_nano),
        held_usd: usd(spend.held_nano),
        remaining_usd: usd(spend.left(*budget)),
        resets_at: spend.window.end_ms.map(period::rfc3339),
    }
}

/// `PUT`: sets budgets above keys, each in place of one of the same scope and period. They stay after
/// a restart, whatever `weir.yaml` says.
pub(super) async fn put(interface: &Interface, body: &[u8]) -> Reply {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::new(Code::InvalidJson))?;
    let invalid = |message: String| Refusal {
        code: Code::InvalidRequest,
        message,
        param: None,
    };
    let given = config::parse_budgets(text).map_err(invalid)?;
    if given.is_empty() {
        return Err(invalid("there is no budget in it".to_owned()));
    }
    change(interface, move |db| {
        let known = store::rules::all(db)?;
        if known.len().saturating_add(given.len()) > BUDGETS_MAX {
            return Ok(false);
        }
        for budget in &given {
            store::rules::put(db, &budget.identity(), &budget.document())?;
        }
        Ok(true)
    })
    .await
}

/// `DELETE`: takes back what was set here; a budget of `weir.yaml` holds again.
pub(super) async fn remove(interface: &Interface, query: &str) -> Reply {
    let mut parts = [
        ("scope", ""),
        ("name", ""),
        ("tier", ""),
        ("period", "monthly"),
    ]
    .map(|(name, default)| (name, default.to_owned()));
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let part = parts.iter_mut().find(|(known, _)| *known == name);
        let Some((_, part)) = part else {
            return Err(Refusal::member(
                name,
                "is not a parameter that is known here",
            ));
        };
        *part = http::decoded(value);
    }
    let identity = parts.map(|(_, value)| value).join("\n");
    change(interface, move |db| store::rules::remove(db, &identity)).await
}

/// Changes the table, and puts what it says now in force: for new requests at once, with what was
/// spent before. Runs where records are written, so that none is missed in between.
async fn change(
    interface: &Interface,
    alter: impl FnOnce(&mut Db) -> Result<bool, DbError> + Send + 'static,
) -> Reply {
    let altered = move |db: &mut Db| {
        db.transaction(|step| {
            let altered = alter(step)?;
            if altered {
                store::next_keys_version(step)?;
            }
            Ok::<bool, DbError>(altered)
        })
    };
    let done = match &interface.registry {
        Registry::Own(writer) => {
            let shared = Arc::clone(&interface.shared);
            let (file, sealer) = (interface.file_rules.clone(), Arc::clone(&interface.sealer));
            let change = move |db: &mut Db| {
                let altered = altered(db)?;
                adoption::of_own(&shared, &file, &sealer, db)?;
                Ok(altered)
            };
            writer.change(change).await
        }
        Registry::Shared(database) => {
            let done = database.change(altered).await;
            database.settled().await;
            done
        }
    };
    match done {
        Ok(Ok(true)) => {
            let log = interface.shared.log;
            log.line(Level::Info, "budgets changed", serde_json::json!({}));
            if let Some(replica) = &interface.shared.replica {
                let scopes = interface.shared.core().ledger.scopes_with_budgets();
                let scopes: Vec<Scope> = scopes.into_iter().map(|(scope, _)| scope).collect();
                // What cannot be read now does not undo the change.
                let _unseen = replica.watch(&interface.shared, &scopes).await;
            }
            list(interface).await
        }
        Ok(Ok(false)) => Err(Refusal::not_found("There is no such budget, or too many")),
        Ok(Err(_)) | Err(_) => Err(Refusal::new(Code::StateUnavailable)),
    }
}
