//! What the ledger tells of a scope's spend.

use std::path::PathBuf;

use engine::ledger::Scope;
use engine::usage::NanoUsd;

use super::super::state::Spent;
use super::super::store::db::{Db, DbError, Row, Target};

/// Where sums are read.
pub(crate) enum LedgerSums {
    /// In a file of this machine.
    File(PathBuf),
    /// In the database that replicas share.
    Server(Box<Target>),
}

/// The sums of a scope, and exchanges that they may hold.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// What was spent on each day, by its first instant.
    pub(crate) days: Vec<(u64, NanoUsd)>,
    /// Those of the exchanges asked for that the ledger has.
    pub(crate) known: Vec<Known>,
}

/// An exchange that the ledger has.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) exchange: String,
    pub(crate) cost_nano: NanoUsd,
    key: String,
    user: String,
    tags: Vec<String>,
    provider: String,
    model: String,
}

impl Known {
    /// Whose spend it was.
    pub(crate) fn spent(&self) -> Spent<'_> {
        Spent {
            key: &self.key,
            user: &self.user,
            tags: &self.tags,
            provider: &self.provider,
            model: &self.model,
        }
    }
}

impl LedgerSums {
    /// Reads the sums of a scope and these exchanges, as they are at one moment.
    pub(crate) fn read(&self, scope: &Scope, exchanges: &[String]) -> Result<Read, DbError> {
        let mut db = match self {
            LedgerSums::File(path) => Db::reader(path)?,
            LedgerSums::Server(target) => Db::server(target)?,
        };
        read(&mut db, scope, exchanges)
    }
}

fn read(db: &mut Db, scope: &Scope, exchanges: &[String]) -> Result<Read, DbError> {
    // Both as they are at one moment.
    db.batch(match db {
        Db::Sqlite(_) => "BEGIN",
        Db::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    })?;
    let sql = "SELECT day_ms, cost_nano FROM spend_daily WHERE scope = $1";
    let days = db.query(sql, &[scope.to_string().into()], |row| {
        Ok((row.take()?, row.take()?))
    })?;
    let sql = "SELECT exchange_id, cost_nano, key_id, user_id, tags, provider, model \
               FROM llm_usage_log WHERE exchange_id = $1";
    let mut known = Vec::new();
    for exchange in exchanges {
        known.extend(db.first(sql, &[exchange.into()], of_row)?);
    }
    db.batch("COMMIT")?;
    Ok(Read { days, known })
}

fn of_row(row: &mut Row) -> Result<Known, DbError> {
    let exchange = row.take()?;
    let cost_nano = row.take()?;
    let (key, user) = (row.take()?, row.take()?);
    let tags: String = row.take()?;
    Ok(Known {
        exchange,
        cost_nano,
        key,
        user,
        tags: serde_json::from_str(&tags).unwrap_or_default(),
        provider: row.take()?,
        model: row.take()?,
    })
}
