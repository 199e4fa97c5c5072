//! Rows of `spend_daily`: what each scope spent on each day of the calendar.

use std::collections::HashMap;

use engine::ledger::Scope;
use engine::period::{Calendar, Period};
use engine::usage::NanoUsd;

use super::super::state::Spent;
use super::db::{Db, DbError, Instant, Row};
use super::sums::Sums;

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
/// `basis`. Says whether it did. Services that share the ledger do it one after the other.
pub(crate) fn rebase(
    db: &mut Db,
    basis: i64,
    calendar: &Calendar,
    scopes: impl Fn(&Spent<'_>) -> Vec<Scope>,
) -> Result<bool, DbError> {
    if is_based(db, basis)? {
        return Ok(false);
    }
    db.transaction(|step| {
        if let Db::Postgres(_) = step {
            // What is written meanwhile would be missing in the sums or be in them twice.
            step.batch("LOCK TABLE llm_usage_log, spend_daily IN SHARE ROW EXCLUSIVE MODE")?;
            if is_based(step, basis)? {
                return Ok(false);
            }
        }
        remake(step, calendar, scopes)?;
        set_basis(step, basis)?;
        Ok(true)
    })
}

/// Makes the sums anew from the ledger.
pub(super) fn remake(
    step: &mut Db,
    calendar: &Calendar,
    scopes: impl Fn(&Spent<'_>) -> Vec<Scope>,
) -> Result<(), DbError> {
    let sums = summed(step, calendar, scopes)?;
    step.execute("DELETE FROM spend_daily", &[])?;
    sums.write(step)
}

pub(super) fn is_based(db: &mut Db, basis: i64) -> Result<bool, DbError> {
    let sql = "SELECT value FROM meta WHERE name = 'spend_basis'";
    let known: Option<i64> = db.first(sql, &[], |row| row.take())?;
    Ok(known == Some(basis))
}

/// Says what the sums stand for.
pub(crate) fn set_basis(db: &mut Db, basis: i64) -> Result<(), DbError> {
    let sql = "INSERT INTO meta (name, value) VALUES ('spend_basis', $1) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    db.execute(sql, &[basis.into()])?;
    Ok(())
}

fn summed(
    db: &mut Db,
    calendar: &Calendar,
    scopes: impl Fn(&Spent<'_>) -> Vec<Scope>,
) -> Result<Sums, DbError> {
    let sql = "SELECT key_id, user_id, tags, provider, model, timestamp, cost_nano \
               FROM llm_usage_log WHERE cost_nano <> 0";
    let mut sums = Sums::default();
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
        sums.spend(&scopes(&spent), day_ms, cost);
        Ok(())
    })?;
    Ok(sums)
}
