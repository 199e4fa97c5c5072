//! Where keys, budgets and alerts are changed: the file that is this service's own, or the database that
//! several share.

use super::database::Database;
use super::db::{Db, DbError};
use super::writer::{Failure, Writer};

/// A handle to it.
#[derive(Clone)]
pub(crate) enum Registry {
    Own(Writer),
    Shared(Database),
}

impl Registry {
    /// Runs `change` where it counts.
    ///
    /// # Errors
    /// It was not run: the store is busy, or the database cannot be reached.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Db) -> Result<T, DbError> + Send + 'static,
    ) -> Result<Result<T, DbError>, Failure> {
        match self {
            Registry::Own(writer) => writer.change(change).await,
            Registry::Shared(database) => database.change(change).await,
        }
    }
}
