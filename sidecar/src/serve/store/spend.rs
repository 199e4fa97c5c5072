//! Rows of `spend_daily`: what each scope spent on each day of the calendar.

use std::collections::HashMap;

use engine::ledger::Scope;
use engine::period::{self, Calendar, Period};
use engine::usage::NanoUsd;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::super::state::Spent;
use super::signed;

/// Adds a cost to some scopes' day.
pub(crate) fn add(
    step: &Transaction<'_>,
    scopes: &[Scope],
    day_ms: u64,
    cost_nano: NanoUsd,
) -> rusqlite::Result<()> {
    if cost_nano == 0 {
        return Ok(());
    }
    let mut statement = step.prepare_cached(
        "INSERT INTO spend_daily VALUES (?1, ?2, ?3) \
         ON CONFLICT DO UPDATE SET cost_nano = cost_nano + ?3",
    )?;
    for scope in scopes {
        statement.execute(params![scope.to_string(), signed(day_ms), cost_nano])?;
    }
    Ok(())
}

/// Days and costs of each scope.
pub(crate) fn all(db: &Connection) -> rusqlite::Result<HashMap<Scope, Vec<(u64, NanoUsd)>>> {
    let mut statement = db.prepare("SELECT scope, day_ms, cost_nano FROM spend_daily")?;
    let mut rows = statement.query([])?;
    let mut found: HashMap<Scope, Vec<(u64, NanoUsd)>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let day: i64 = row.get(1)?;
        if let Some(scope) = Scope::parse(&name) {
            let day_ms = u64::try_from(day).unwrap_or(0);
            found.entry(scope).or_default().push((day_ms, row.get(2)?));
        }
    }
    Ok(found)
}

/// Makes the sums anew from the ledger when they stand for other scopes or another calendar than
/// `basis`. Says whether it did.
pub(crate) fn rebase(
    db: &mut Connection,
    basis: i64,
    calendar: &Calendar,
    scopes: impl Fn(&Spent<'_>) -> Vec<Scope>,
) -> rusqlite::Result<bool> {
    let sql = "SELECT value FROM meta WHERE name = 'spend_basis'";
    let known: Option<i64> = db.query_row(sql, [], |row| row.get(0)).optional()?;
    if known == Some(basis) {
        return Ok(false);
    }
    let step = db.transaction()?;
    let mut sums: HashMap<(Scope, u64), NanoUsd> = HashMap::new();
    {
        let mut statement = step.prepare(
            "SELECT key_id, user_id, tags, provider, model, timestamp, cost_nano \
             FROM llm_usage_log WHERE cost_nano <> 0",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let tags: String = row.get(2)?;
            let at: String = row.get(5)?;
            let cost: NanoUsd = row.get(6)?;
            let tags: Vec<String> = serde_json::from_str(&tags).unwrap_or_default();
            let (key, user): (String, String) = (row.get(0)?, row.get(1)?);
            let (provider, model): (String, String) = (row.get(3)?, row.get(4)?);
            let spent = Spent {
                key: &key,
                user: &user,
                tags: &tags,
                provider: &provider,
                model: &model,
            };
            let at_ms = period::parse(&at).unwrap_or(0);
            let day_ms = calendar.window(Period::Daily, at_ms).start_ms;
            for scope in scopes(&spent) {
                let sum = sums.entry((scope, day_ms)).or_default();
                *sum = sum.saturating_add(cost);
            }
        }
    }
    step.execute("DELETE FROM spend_daily", [])?;
    for ((scope, day_ms), cost_nano) in sums {
        add(&step, &[scope], day_ms, cost_nano)?;
    }
    step.execute(
        "INSERT OR REPLACE INTO meta VALUES ('spend_basis', ?)",
        [basis],
    )?;
    step.commit()?;
    Ok(true)
}
