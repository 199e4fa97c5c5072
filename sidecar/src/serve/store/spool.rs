//! Settled records that wait on this machine's disk for the database that several services share. They
//! are in the same transaction as the settlement, and go once the database has them.

use engine::wire::UsageRecord;

use super::db::{Db, DbError, Row, Value};

/// A record that waits.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) seq: u64,
    pub(crate) record: UsageRecord,
    /// Unix milliseconds that it is charged at.
    pub(crate) charged_ms: u64,
}

/// Adds a record: its place. `counted` says that nobody else has to count it first.
pub(crate) fn add(
    step: &mut Db,
    record: &UsageRecord,
    charged_ms: u64,
    counted: bool,
) -> Result<u64, DbError> {
    let sql = "INSERT INTO spool (exchange_id, charged_ms, record, counted) \
               VALUES ($1, $2, $3, $4) RETURNING seq";
    let values = [
        (&record.exchange).into(),
        charged_ms.into(),
        serde_json::to_string(record).unwrap_or_default().into(),
        counted.into(),
    ];
    let seq = step.first(sql, &values, |row| row.take())?;
    Ok(seq.unwrap_or(0))
}

/// The first records after `seq`, as far as nobody has to count one first: sums that are read from the
/// database hold nothing that is counted later.
pub(crate) fn after(db: &mut Db, seq: u64, most: u64) -> Result<Vec<Waiting>, DbError> {
    let sql = "SELECT seq, record, charged_ms FROM spool WHERE seq > $1 AND NOT EXISTS \
               (SELECT 1 FROM spool AS first WHERE first.counted = 0 AND first.seq <= spool.seq) \
               ORDER BY seq LIMIT $2";
    waiting(db, sql, &[seq.into(), most.into()])
}

fn waiting(db: &mut Db, sql: &str, values: &[Value<'_>]) -> Result<Vec<Waiting>, DbError> {
    let rows = db.query(sql, values, |row: &mut Row| {
        let seq: u64 = row.take()?;
        let record: String = row.take()?;
        Ok((seq, serde_json::from_str(&record).ok(), row.take()?))
    })?;
    let read = |(seq, record, charged_ms): (u64, Option<UsageRecord>, u64)| {
        let record = record?;
        Some(Waiting {
            seq,
            record,
            charged_ms,
        })
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// The database has everything up to `seq`.
pub(crate) fn stored(step: &mut Db, seq: u64) -> Result<u64, DbError> {
    let sql = "DELETE FROM spool WHERE seq <= $1 AND counted <> 0";
    step.execute(sql, &[seq.into()])
}

/// All records that are here, or those that nobody has counted yet.
pub(crate) fn all(db: &mut Db, everything: bool) -> Result<Vec<Waiting>, DbError> {
    let sql = "SELECT seq, record, charged_ms FROM spool WHERE counted = 0 OR $1 ORDER BY seq";
    waiting(db, sql, &[everything.into()])
}

/// The records of these exchanges are counted.
pub(crate) fn counted(step: &mut Db, exchanges: &[String]) -> Result<(), DbError> {
    let sql = "UPDATE spool SET counted = 1 WHERE exchange_id = $1";
    for exchange in exchanges {
        step.execute(sql, &[exchange.into()])?;
    }
    Ok(())
}

/// The database will never take this one: it is kept apart.
pub(crate) fn refused(db: &mut Db, waiting: &Waiting, why: &str) -> Result<(), DbError> {
    let sql = "INSERT INTO spool_refused (exchange_id, charged_ms, record, why) \
               VALUES ($1, $2, $3, $4)";
    let values = [
        (&waiting.record.exchange).into(),
        waiting.charged_ms.into(),
        serde_json::to_string(&waiting.record)
            .unwrap_or_default()
            .into(),
        why.into(),
    ];
    db.execute(sql, &values)?;
    Ok(())
}

/// The last place that was given.
pub(crate) fn last(db: &mut Db) -> Result<u64, DbError> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'spool'";
    Ok(db.first(sql, &[], |row| row.take())?.unwrap_or(0))
}

/// How many wait.
pub(crate) fn count(db: &mut Db) -> Result<u64, DbError> {
    let rows = db.first("SELECT COUNT(*) FROM spool", &[], |row| row.take())?;
    Ok(rows.unwrap_or(0))
}

/// Gives up rows of the ledger that the database has, but for the latest `kept`: by these a record that
/// comes twice is known.
pub(crate) fn trim_ledger(step: &mut Db, kept: u64) -> Result<u64, DbError> {
    let sql = "DELETE FROM llm_usage_log WHERE timestamp < \
               (SELECT timestamp FROM llm_usage_log ORDER BY timestamp DESC LIMIT 1 OFFSET $1) \
               AND exchange_id NOT IN (SELECT exchange_id FROM spool)";
    step.execute(sql, &[kept.into()])
}
