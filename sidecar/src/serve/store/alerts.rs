//! Rows of `budget_alerts`: thresholds that were reached, each once in a window.

use engine::ledger::{Crossing, Scope};
use engine::period::Period;
use engine::usage::NanoUsd;
use rusqlite::{Connection, Row, params};

use super::{signed, unsigned};

/// A threshold that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    pub(crate) scope: Scope,
    pub(crate) period: Period,
    /// Unix milliseconds at which the window began.
    pub(crate) window_ms: u64,
    /// Unix milliseconds at which it ends.
    pub(crate) resets_ms: Option<u64>,
    /// In millionths of the limit.
    pub(crate) threshold_ppm: u32,
    pub(crate) spent_nano: NanoUsd,
    pub(crate) limit_nano: NanoUsd,
    pub(crate) reached_ms: u64,
}

/// Notes crossings; those that were not known come back. `to_tell` says that somebody wants to be
/// told of them.
pub(crate) fn note(
    db: &mut Connection,
    crossings: Vec<Crossing>,
    now_ms: u64,
    to_tell: bool,
) -> rusqlite::Result<Vec<Alert>> {
    let step = db.transaction()?;
    let mut fresh = Vec::new();
    for crossing in crossings {
        let alert = Alert {
            scope: crossing.scope,
            period: crossing.budget.period,
            window_ms: crossing.window.start_ms,
            resets_ms: crossing.window.end_ms,
            threshold_ppm: crossing.threshold_ppm,
            spent_nano: crossing.spent_nano,
            limit_nano: crossing.budget.limit_nano,
            reached_ms: now_ms,
        };
        let told_ms = (!to_tell).then(|| signed(now_ms));
        let new = step
            .prepare_cached(
                "INSERT OR IGNORE INTO budget_alerts (scope, period, window_ms, threshold_ppm, \
                 reached_ms, spent_nano, limit_nano, resets_ms, told_ms) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                alert.scope.to_string(),
                alert.period.name(),
                signed(alert.window_ms),
                alert.threshold_ppm,
                signed(now_ms),
                alert.spent_nano,
                alert.limit_nano,
                alert.resets_ms.map(signed),
                told_ms,
            ])?;
        if new == 1 {
            fresh.push(alert);
        }
    }
    step.commit()?;
    Ok(fresh)
}

/// The oldest alerts that nobody was told of.
pub(crate) fn untold(db: &Connection, most: usize) -> rusqlite::Result<Vec<Alert>> {
    let mut statement = db.prepare_cached(
        "SELECT scope, period, window_ms, resets_ms, threshold_ppm, spent_nano, limit_nano, \
         reached_ms FROM budget_alerts WHERE told_ms IS NULL ORDER BY reached_ms LIMIT ?",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = statement.query_map([most], read)?;
    rows.collect()
}

/// Somebody was told of `alert`.
pub(crate) fn told(db: &Connection, alert: &Alert, now_ms: u64) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE budget_alerts SET told_ms = ? \
         WHERE scope = ? AND period = ? AND window_ms = ? AND threshold_ppm = ?",
        params![
            signed(now_ms),
            alert.scope.to_string(),
            alert.period.name(),
            signed(alert.window_ms),
            alert.threshold_ppm,
        ],
    )?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Alert> {
    let scope: String = row.get(0)?;
    let period: String = row.get(1)?;
    let resets: Option<i64> = row.get(3)?;
    Ok(Alert {
        scope: Scope::parse(&scope).unwrap_or(Scope::Global),
        period: Period::from_name(&period).unwrap_or_default(),
        window_ms: unsigned(row.get(2)?),
        resets_ms: resets.map(unsigned),
        threshold_ppm: row.get(4)?,
        spent_nano: row.get(5)?,
        limit_nano: row.get(6)?,
        reached_ms: unsigned(row.get(7)?),
    })
}
