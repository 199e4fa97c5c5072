//! What must outlive the process, in SQLite: keys and the ledger.
//!
//! One thread writes. It takes every settlement that waits, writes them in one transaction with
//! `synchronous=FULL`, and only then applies them to the counters and answers: what was
//! acknowledged survives. An exchange id is written once; a second record of it changes nothing,
//! except that a real record replaces the one that stood for an expired hold. Of records that cost
//! nothing because Weir refused, the latest [`refusals::REFUSALS_MAX`] are kept.

use std::io;
use std::path::Path;

use db::{Db, DbError};

pub(crate) mod alerts;
pub(crate) mod catalogue;
pub(crate) mod counted;
pub(crate) mod database;
pub(crate) mod db;
pub(crate) mod deliveries;
pub(crate) mod keys;
pub(crate) mod mirror;
pub(crate) mod refusals;
pub(crate) mod registry;
pub(crate) mod rules;
mod schema;
pub(crate) mod seal;
pub(crate) mod spend;
pub(crate) mod spool;
mod sums;
pub(crate) mod usage;
pub(crate) mod writer;

#[cfg(test)]
mod tests;

/// Why the store cannot be used.
#[derive(Debug)]
pub enum StoreError {
    /// A file of it.
    File(io::Error),
    /// The database.
    Database(DbError),
    /// The database was written by a newer version of Weir: its schema, and the newest known here.
    TooNew(i64, i64),
    /// The key that provider keys are sealed with cannot be used.
    Secret(&'static str),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::File(error) => write!(f, "store: {error}"),
            StoreError::Database(error) => write!(f, "store: {error}"),
            StoreError::TooNew(version, known) => write!(
                f,
                "store: the database has schema {version}, this version knows up to {known}"
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

impl From<DbError> for StoreError {
    fn from(error: DbError) -> StoreError {
        StoreError::Database(error)
    }
}

/// Opens the database for writing and brings its schema up to date.
pub(crate) fn open(path: &Path) -> Result<Db, StoreError> {
    let mut db = Db::file(path)?;
    schema::migrate(&mut db)?;
    Ok(db)
}

/// Counts one change of budgets: workers that see the version move give up what they have leased.
/// Changes of keys are counted by the database itself. Returns the new version.
pub(crate) fn next_keys_version(db: &mut Db) -> Result<u64, DbError> {
    let sql = "UPDATE meta SET value = value + 1 WHERE name = 'keys_version'";
    db.execute(sql, &[])?;
    keys_version(db)
}

/// The version of all keys and of the budgets above them, which grows with each change of one.
pub(crate) fn keys_version(db: &mut Db) -> Result<u64, DbError> {
    let sql = "SELECT value FROM meta WHERE name = 'keys_version'";
    let version = db.first(sql, &[], |row| row.take())?;
    Ok(version.unwrap_or(1))
}

/// The same, unless the database has more of that service than is here: this is an old copy of its data,
/// and becomes another service.
pub(crate) fn instance_beside(db: &mut Db, shared: &mut Db) -> Result<String, StoreError> {
    let who = instance(db)?;
    if deliveries::of(shared, &who)? <= spool::last(db)? {
        return Ok(who);
    }
    db.execute("DELETE FROM meta WHERE name = 'instance'", &[])?;
    instance(db)
}

/// Who this service is among those that share a database: the same after a restart, so that it goes on
/// with what it had begun.
pub(crate) fn instance(db: &mut Db) -> Result<String, StoreError> {
    let mut fresh = [0; 8];
    seal::random(&mut fresh)?;
    let sql =
        "INSERT INTO meta (name, value) VALUES ('instance', $1) ON CONFLICT (name) DO NOTHING";
    db.execute(sql, &[i64::from_be_bytes(fresh).into()])?;
    let sql = "SELECT value FROM meta WHERE name = 'instance'";
    let known = db.first(sql, &[], |row| row.take::<i64>())?;
    Ok(known.unwrap_or_default().to_string())
}
