//! What must outlive the process, in SQLite: keys and the ledger.
//!
//! One thread writes. It takes every settlement that waits, writes them in one transaction with
//! `synchronous=FULL`, and only then applies them to the counters and answers: what was
//! acknowledged survives. An exchange id is written once; a second record of it changes nothing,
//! except that a real record replaces the one that stood for an expired hold. Of records that cost
//! nothing because Weir refused, the latest [`refusals::REFUSALS_MAX`] are kept.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

pub(crate) mod alerts;
pub(crate) mod keys;
pub(crate) mod refusals;
pub(crate) mod rules;
mod schema;
pub(crate) mod seal;
pub(crate) mod spend;
pub(crate) mod usage;
pub(crate) mod writer;

#[cfg(test)]
mod tests;

/// How long one connection waits for another's lock, in milliseconds.
const BUSY_MS: u64 = 2_000;

/// Why the store cannot be used.
#[derive(Debug)]
pub enum StoreError {
    /// A file of it.
    File(io::Error),
    /// The database.
    Database(rusqlite::Error),
    /// The database was written by a newer version of Weir.
    TooNew(i64),
    /// The key that provider keys are sealed with cannot be used.
    Secret(&'static str),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::File(error) => write!(f, "store: {error}"),
            StoreError::Database(error) => write!(f, "store: {error}"),
            StoreError::TooNew(version) => write!(
                f,
                "store: the database has schema {version}, this version knows up to {}",
                schema::VERSION
            ),
            StoreError::Secret(why) => write!(f, "store: secret.key {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> StoreError {
        StoreError::File(error)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        StoreError::Database(error)
    }
}

/// Opens the database for writing and brings its schema up to date.
pub(crate) fn open(path: &Path) -> Result<Connection, StoreError> {
    // Its `-wal` and `-shm` files take the same mode.
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    let mut db = Connection::open(path)?;
    db.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", "ON")?;
    schema::migrate(&mut db)?;
    Ok(db)
}

/// Opens the database for reading beside the writer.
pub(crate) fn reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
    Ok(db)
}

/// Counts one change of keys, or of budgets above them: workers that see the version move give up what
/// they have leased. Returns the new version.
pub(crate) fn next_keys_version(db: &Connection) -> rusqlite::Result<u64> {
    db.execute(
        "UPDATE meta SET value = value + 1 WHERE name = 'keys_version'",
        [],
    )?;
    keys_version(db)
}

/// The version of all keys and of the budgets above them, which grows with each change of one.
pub(crate) fn keys_version(db: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT value FROM meta WHERE name = 'keys_version'";
    let version: Option<i64> = db.query_row(sql, [], |row| row.get(0)).optional()?;
    Ok(version
        .and_then(|version| u64::try_from(version).ok())
        .unwrap_or(1))
}

/// A number as SQLite takes it.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The opposite of [`signed`].
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
