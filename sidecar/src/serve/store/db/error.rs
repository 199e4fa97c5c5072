//! Why a database did not do what it was asked.

use std::fmt;
use std::io;

/// Why a statement failed.
#[derive(Debug)]
pub enum DbError {
    /// The file cannot be used.
    File(io::Error),
    /// SQLite says no.
    Sqlite(rusqlite::Error),
    /// A column does not hold what is read from it.
    Column(&'static str),
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DbError::File(error) => error.fmt(f),
            DbError::Sqlite(error) => error.fmt(f),
            DbError::Column(wanted) => write!(f, "a column does not hold {wanted}"),
        }
    }
}

impl std::error::Error for DbError {}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> DbError {
        DbError::Sqlite(error)
    }
}

impl From<io::Error> for DbError {
    fn from(error: io::Error) -> DbError {
        DbError::File(error)
    }
}
