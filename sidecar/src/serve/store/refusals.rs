//! A bound on rows of the ledger that stand for refusals.
//!
//! A refusal costs nothing to make and, unlike what was paid for, nothing to lose: a client that is
//! refused in a loop must not fill the disk. Beyond the bound the oldest rows go. The daily sums
//! still count every one of them, and so do the metrics.

use engine::wire::{Ending, UsageRecord};

use super::db::{Db, DbError};
use super::usage::Written;

/// Rows of refusals that the ledger keeps: the latest ones, some 30 MB.
pub(crate) const REFUSALS_MAX: u64 = 100_000;
/// Share of the bound that is given up at once, so that not every write has to.
const TRIMMED_PART: u64 = 20;

/// How many there are.
pub(crate) struct Refusals {
    pub(super) rows: u64,
    max: u64,
}

impl Refusals {
    /// Counts those in the store.
    pub(crate) fn count(db: &mut Db, max: u64) -> Result<Refusals, DbError> {
        let sql = "SELECT COUNT(*) FROM llm_usage_log WHERE ending = 'refused'";
        let rows = db.first(sql, &[], |row| row.take())?.unwrap_or(0);
        Ok(Refusals { rows, max })
    }

    /// Gives up the oldest when `records`, just written in `step`, made them too many. Gives the
    /// number of rows to be kept in mind once the transaction is committed.
    pub(crate) fn trim<'a>(
        &self,
        step: &mut Db,
        records: impl Iterator<Item = (&'a UsageRecord, &'a Written)>,
    ) -> Result<u64, DbError> {
        let new = records.filter(|(record, written)| {
            **written == Written::New && record.ending == Ending::Refused && !record.key.is_empty()
        });
        let rows = self.rows.saturating_add(new.count() as u64);
        if rows <= self.max {
            return Ok(rows);
        }
        let excess = (rows - self.max).saturating_add(self.max / TRIMMED_PART);
        let sql = "DELETE FROM llm_usage_log WHERE exchange_id IN \
                   (SELECT exchange_id FROM llm_usage_log WHERE ending = 'refused' \
                    ORDER BY timestamp LIMIT $1)";
        let gone = step.execute(sql, &[excess.into()])?;
        Ok(rows.saturating_sub(gone))
    }

    /// The transaction of a [`Refusals::trim`] was committed.
    pub(crate) fn committed(&mut self, rows: u64) {
        self.rows = rows;
    }
}
