//! Rows of `spend_daily`: what each scope spent on each day of the calendar.

use std::collections::HashMap;

use engine::ledger::Scope;
use engine::period::{Calendar, Period};
use engine::usage::NanoUsd;

use super::super::state::Spent;
use super::db::{Db, DbError, Instant, Row};

/// Adds a cost to some scopes' day.
pub(crate) fn add(
    step: &mut Db,
    scopes: &[Scope],
    day_ms: u64,
    cost_nano: NanoUsd,
) -> Result<(), DbError> {
    if cost_nano == 0 {
        return Ok(());
    }
    let sql = "INSERT INTO spend_daily (scope, day_ms, cost_nano) VALUES ($1, $2, $3) \
               ON CONFLICT (scope, day_ms) \
               DO UPDATE SET cost_nano = spend_daily.cost_nano + excluded.cost_nano";
    for scope in scopes {
        let values = [scope.to_string().into(), day_ms.into(), cost_nano.into()];
        step.execute(sql, &values)?;
    }
    Ok(())
}

/// Days and costs of each scope.
pub(crate) fn all(db: &mut Db) -> Result<HashMap<Scope, Vec<(u64, NanoUsd)>>, DbError> {
    let sql = "SELECT scope, day_ms, cost_nano FROM spend_daily";
    let rows = db.query(sql, &[], |row| {
        let scope: String = row.take()?;
        Ok((Scope::parse(&scope), (row.take()?, row.take()?)))
    })?;
    let mut found: HashMap<Scope, Vec<(u64, NanoUsd)>> = HashMap::new();
    for (scope, day) in rows {
        if let Some(scope) = scope {
            found.entry(scope).or_default().push(day);
        }
    }
    Ok(found)
}

/// Makes the sums anew from the ledger when they stand for other scopes or another calendar than
/// `basis`. Says whether it did.
pub(crate) fn rebase(
    db: &mut Db,
    basis: i64,
    calendar: &Calendar,
    scopes: impl Fn(&Spent<'_>) -> Vec<Scope>,
) -> Result<bool, DbError> {
    let sql = "SELECT value FROM meta WHERE name = 'spend_basis'";
    let known: Option<i64> = db.first(sql, &[], |row| row.take())?;
    if known == Some(basis) {
        return Ok(false);
    }
    db.transaction(|step| {
        let sums = summed(step, calendar, scopes)?;
        step.execute("DELETE FROM spend_daily", &[])?;
        for ((scope, day_ms), cost_nano) in sums {
            add(step, &[scope], day_ms, cost_nano)?;
        }
        let sql = "INSERT INTO meta (name, value) VALUES ('spend_basis', $1) \
                   ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        step.execute(sql, &[basis.into()])?;
        Ok(true)
    })
}

fn summed(
    db: &mut Db,
    calendar: &Calendar,
    scopes: impl Fn(&Spent<'_>) -> Vec<Scope>,
) -> Result<HashMap<(Scope, u64), NanoUsd>, DbError> {
    let sql = "SELECT key_id, user_id, tags, provider, model, timestamp, cost_nano \
               FROM llm_usage_log WHERE cost_nano <> 0";
    let mut sums: HashMap<(Scope, u64), NanoUsd> = HashMap::new();
    db.query(sql, &[], |row: &mut Row| {
        let (key, user): (String, String) = (row.take()?, row.take()?);
        let tags: String = row.take()?;
        let tags: Vec<String> = serde_json::from_str(&tags).unwrap_or_default();
        let (provider, model): (String, String) = (row.take()?, row.take()?);
        let spent = Spent {
            key: &key,
            user: &user,
            tags: &tags,
            provider: &provider,
            model: &model,
        };
        let Instant(at_ms) = row.take()?;
        let cost: NanoUsd = row.take()?;
        let day_ms = calendar.window(Period::Daily, at_ms).start_ms;
        for scope in scopes(&spent) {
            let sum = sums.entry((scope, day_ms)).or_default();
            *sum = sum.saturating_add(cost);
        }
        Ok(())
    })?;
    Ok(sums)
}
