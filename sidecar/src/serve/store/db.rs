//! One language for every SQL database: statements with `$1`-style parameters, and neutral values.
//! What databases do not share is in their migrations.

use std::path::Path;

mod error;
mod postgres;
mod sqlite;
mod value;

pub(crate) use error::DbError;
pub(crate) use postgres::{Session, Target};
#[cfg(test)]
pub(crate) use value::Cell;
pub(crate) use value::{Instant, Row, Value};

/// A connection to a database.
pub(crate) enum Db {
    /// A file of this machine.
    Sqlite(rusqlite::Connection),
    /// A server that several services share.
    Postgres(Box<Session>),
}

impl Db {
    /// Opens a file for writing, or makes it, readable by its owner alone.
    pub(crate) fn file(path: &Path) -> Result<Db, DbError> {
        sqlite::open(path).map(Db::Sqlite)
    }

    /// Opens a file for reading beside whoever writes.
    pub(crate) fn reader(path: &Path) -> Result<Db, DbError> {
        sqlite::reader(path).map(Db::Sqlite)
    }

    /// Connects to a server. Blocks: not for threads that other tasks run on.
    pub(crate) fn server(target: &Target) -> Result<Db, DbError> {
        Session::connect(target).map(|session| Db::Postgres(Box::new(session)))
    }

    /// Whether it has to be opened again.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Db::Sqlite(_) => false,
            Db::Postgres(session) => session.is_lost(),
        }
    }

    /// Runs a statement; the number of rows that it has changed.
    pub(crate) fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, DbError> {
        match self {
            Db::Sqlite(db) => sqlite::execute(db, sql, values),
            Db::Postgres(session) => session.execute(sql, values),
        }
    }

    /// Runs a statement once for each row of values: the number of rows that each has changed.
    pub(crate) fn execute_each<'v, V: AsRef<[Value<'v>]>>(
        &mut self,
        sql: &str,
        rows: impl Iterator<Item = V>,
    ) -> Result<Vec<u64>, DbError> {
        match self {
            Db::Sqlite(db) => sqlite::execute_each(db, sql, rows),
            Db::Postgres(session) => rows.map(|row| session.execute(sql, row.as_ref())).collect(),
        }
    }

    /// Runs a statement that gives rows, and makes something of each.
    pub(crate) fn query<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&mut Row) -> Result<T, DbError>,
    ) -> Result<Vec<T>, DbError> {
        match self {
            Db::Sqlite(db) => sqlite::query(db, sql, values, &mut read),
            Db::Postgres(session) => session.query(sql, values, &mut read),
        }
    }

    /// The first row, if there is one.
    pub(crate) fn first<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnMut(&mut Row) -> Result<T, DbError>,
    ) -> Result<Option<T>, DbError> {
        Ok(self.query(sql, values, read)?.into_iter().next())
    }

    /// Runs statements that stand between semicolons.
    pub(crate) fn batch(&mut self, statements: &str) -> Result<(), DbError> {
        match self {
            Db::Sqlite(db) => Ok(db.execute_batch(statements)?),
            Db::Postgres(session) => session.batch(statements),
        }
    }

    /// Does all of `work` or none of it. Transactions do not nest.
    pub(crate) fn transaction<T, E: From<DbError>>(
        &mut self,
        work: impl FnOnce(&mut Db) -> Result<T, E>,
    ) -> Result<T, E> {
        let begin = match self {
            // It takes the write lock at once: a lock that is asked for half-way may be refused.
            Db::Sqlite(_) => "BEGIN IMMEDIATE",
            Db::Postgres(_) => "BEGIN",
        };
        self.batch(begin)?;
        let done = work(self).and_then(|done| {
            self.batch("COMMIT")?;
            Ok(done)
        });
        if done.is_err() && !self.is_lost() {
            // Some errors have ended it already.
            let _ended = self.batch("ROLLBACK");
        }
        done
    }

    /// Does `work` that may take minutes: it reads or rewrites whole tables.
    pub(crate) fn unhurried<T, E: From<DbError>>(
        &mut self,
        work: impl FnOnce(&mut Db) -> Result<T, E>,
    ) -> Result<T, E> {
        if let Db::Postgres(session) = self {
            session.hurry(false)?;
        }
        let done = work(self);
        if let Db::Postgres(session) = self
            && !session.is_lost()
        {
            session.hurry(true)?;
        }
        done
    }
}
