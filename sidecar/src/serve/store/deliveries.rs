//! How much of each service's spool a shared database has, and when that service was there. Sums that are
//! read from it say so, so that nobody counts a record there that they hold already.

use super::db::{Db, DbError, Row};

/// Services that sums tell of, the latest.
const SERVICES_MAX: u64 = 64;

/// Everything of a service up to `seq` is written with this transaction.
pub(super) fn note(step: &mut Db, service: &str, seq: u64, now_ms: u64) -> Result<(), DbError> {
    let sql = "INSERT INTO deliveries (service, seq, at_ms) VALUES ($1, $2, $3) \
               ON CONFLICT (service) DO UPDATE SET at_ms = excluded.at_ms, \
               seq = CASE WHEN deliveries.seq < excluded.seq THEN excluded.seq \
                     ELSE deliveries.seq END";
    step.execute(sql, &[service.into(), seq.into(), now_ms.into()])?;
    Ok(())
}

/// Services that were there since, and when.
pub(crate) fn since(db: &mut Db, at_ms: u64) -> Result<Vec<(String, u64)>, DbError> {
    let sql = "SELECT service, at_ms FROM deliveries WHERE at_ms >= $1";
    db.query(sql, &[at_ms.into()], |row: &mut Row| {
        Ok((row.take()?, row.take()?))
    })
}

/// Services, and up to where their records are here.
pub(crate) fn all(db: &mut Db) -> Result<Vec<(String, u64)>, DbError> {
    let sql = "SELECT service, seq FROM deliveries ORDER BY at_ms DESC LIMIT $1";
    db.query(sql, &[SERVICES_MAX.into()], |row: &mut Row| {
        Ok((row.take()?, row.take()?))
    })
}

/// Up to where the records of one are here.
pub(crate) fn of(db: &mut Db, service: &str) -> Result<u64, DbError> {
    let sql = "SELECT seq FROM deliveries WHERE service = $1";
    let seq = db.first(sql, &[service.into()], |row: &mut Row| row.take())?;
    Ok(seq.unwrap_or(0))
}
