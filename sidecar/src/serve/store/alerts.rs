//! Rows of `budget_alerts`: thresholds that were reached, each once in a window.

use engine::ledger::{Crossing, Scope};
use engine::period::Period;
use engine::usage::NanoUsd;

use super::db::{Db, DbError, Row, Value};

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
    db: &mut Db,
    crossings: Vec<Crossing>,
    now_ms: u64,
    to_tell: bool,
) -> Result<Vec<Alert>, DbError> {
    db.transaction(|step| {
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
            let told_ms = (!to_tell).then_some(now_ms);
            if insert(step, &alert, told_ms)? {
                fresh.push(alert);
            }
        }
        Ok(fresh)
    })
}

/// Says whether it is new.
pub(super) fn insert(db: &mut Db, alert: &Alert, told_ms: Option<u64>) -> Result<bool, DbError> {
    let sql = "INSERT INTO budget_alerts (scope, period, window_ms, threshold_ppm, reached_ms, \
               spent_nano, limit_nano, resets_ms, told_ms) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
    let values = [
        alert.scope.to_string().into(),
        alert.period.name().into(),
        alert.window_ms.into(),
        alert.threshold_ppm.into(),
        alert.reached_ms.into(),
        alert.spent_nano.into(),
        alert.limit_nano.into(),
        alert.resets_ms.into(),
        told_ms.into(),
    ];
    Ok(db.execute(sql, &values)? == 1)
}

/// The oldest alerts that nobody was told of.
pub(crate) fn untold(db: &mut Db, most: usize) -> Result<Vec<Alert>, DbError> {
    let sql = "SELECT scope, period, window_ms, resets_ms, threshold_ppm, spent_nano, limit_nano, \
               reached_ms FROM budget_alerts WHERE told_ms IS NULL ORDER BY reached_ms LIMIT $1";
    db.query(sql, &[Value::from(most as u64)], read)
}

/// Takes it upon itself to tell of `alert`, unless somebody else has, since `stale_ms`.
pub(crate) fn claim(
    db: &mut Db,
    alert: &Alert,
    who: &str,
    now_ms: u64,
    stale_ms: u64,
) -> Result<bool, DbError> {
    let sql = "UPDATE budget_alerts SET claimed_by = $1, claimed_ms = $2 \
               WHERE scope = $3 AND period = $4 AND window_ms = $5 AND threshold_ppm = $6 \
               AND told_ms IS NULL \
               AND (claimed_ms IS NULL OR claimed_ms < $7 OR claimed_by = $8)";
    let values = [
        who.into(),
        now_ms.into(),
        alert.scope.to_string().into(),
        alert.period.name().into(),
        alert.window_ms.into(),
        alert.threshold_ppm.into(),
        stale_ms.into(),
        who.into(),
    ];
    Ok(db.execute(sql, &values)? == 1)
}

/// Somebody was told of `alert`.
pub(crate) fn told(db: &mut Db, alert: &Alert, now_ms: u64) -> Result<(), DbError> {
    let sql = "UPDATE budget_alerts SET told_ms = $1 \
               WHERE scope = $2 AND period = $3 AND window_ms = $4 AND threshold_ppm = $5";
    let values = [
        now_ms.into(),
        alert.scope.to_string().into(),
        alert.period.name().into(),
        alert.window_ms.into(),
        alert.threshold_ppm.into(),
    ];
    db.execute(sql, &values)?;
    Ok(())
}

fn read(row: &mut Row) -> Result<Alert, DbError> {
    let (scope, period): (String, String) = (row.take()?, row.take()?);
    Ok(Alert {
        scope: Scope::parse(&scope).unwrap_or(Scope::Global),
        period: Period::from_name(&period).unwrap_or_default(),
        window_ms: row.take()?,
        resets_ms: row.take()?,
        threshold_ppm: row.take()?,
        spent_nano: row.take()?,
        limit_nano: row.take()?,
        reached_ms: row.take()?,
    })
}
