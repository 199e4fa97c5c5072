//! Tables, and how older ones become the present ones. What the databases do not share is here.

use super::StoreError;
use super::db::Db;

mod postgres;
mod sqlite;
mod views;

pub(crate) use postgres::LOCK;

/// Brings a database to the present version. Several services may do it at once.
pub(crate) fn migrate(db: &mut Db) -> Result<(), StoreError> {
    match db {
        Db::Sqlite(_) => sqlite::migrate(db),
        Db::Postgres(_) => db.unhurried(postgres::migrate),
    }
}
