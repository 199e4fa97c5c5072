//! What of the spool waits, and what may go.

use std::sync::atomic::Ordering;

use super::super::database::Database;
use super::super::db::DbError;
use super::super::spool;
use super::Thread;

/// Records that stay in the local ledger when a database has them.
const KEPT: u64 = 100_000;

/// The spool of a service that shares a database.
pub(crate) struct Spool {
    /// Whose records wait.
    pub(crate) database: Database,
    /// Records that may wait.
    pub(crate) max: u64,
    /// Whether somebody else counts records before they may go.
    pub(crate) counted_elsewhere: bool,
    pub(super) rows: u64,
    /// What of it is gone.
    pub(super) trimmed: u64,
    /// Exchanges that are counted, which the spool does not say yet.
    pub(super) counted: Vec<String>,
}

impl Spool {
    pub(crate) fn new(database: Database, max: u64, counted_elsewhere: bool) -> Spool {
        Spool {
            database,
            max,
            counted_elsewhere,
            rows: 0,
            trimmed: 0,
            counted: Vec::new(),
        }
    }

    /// Up to where nobody needs its records.
    pub(super) fn stored(&self) -> u64 {
        match self.counted_elsewhere {
            true => self.database.confirmed(),
            false => self.database.stored(),
        }
    }
}

impl Thread {
    /// More records wait, and those up to `stored` no more.
    pub(super) fn spooled(&mut self, more: u64, gone: u64, stored: u64) {
        if let Some(spool) = &mut self.spool {
            spool.trimmed = stored;
            spool.counted.clear();
            spool.rows = spool.rows.saturating_add(more).saturating_sub(gone);
            self.shared.spooled.store(spool.rows, Ordering::Relaxed);
            if more > 0 {
                spool.database.ring();
            }
        }
    }

    /// Says in the spool what is counted: the database may have that then.
    pub(super) fn say_counted(&mut self) {
        let says = |spool: &Spool| !spool.counted.is_empty();
        if self.spool.as_ref().is_some_and(says) {
            self.trim();
            if let Some(spool) = &self.spool {
                spool.database.ring();
            }
        }
    }

    /// Gives up what the database has.
    pub(super) fn trim(&mut self) {
        let Some(spool) = &self.spool else {
            return;
        };
        let stored = spool.stored();
        let trimmed = self.db.transaction(|step| {
            spool::counted(step, &spool.counted)?;
            let gone = spool::stored(step, stored)?;
            spool::trim_ledger(step, KEPT)?;
            Ok::<_, DbError>(gone)
        });
        // What stays is given to the database again after a restart, which knows it.
        if let Ok(gone) = trimmed {
            self.spooled(0, gone, stored);
        }
    }
}
