//! Rows of `budget_alerts`: thresholds that were reached, each once in a window.

use engine::ledger::{Crossing, Scope};
use engine::period::Period;
use engine::usage::NanoUsd;
use rusqlite::{Connection, params};

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

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
