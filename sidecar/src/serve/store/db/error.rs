//! Why a database did not do what it was asked.

use std::fmt;
use std::io;
use std::time::Duration;

/// Why a statement failed.
#[derive(Debug)]
pub enum DbError {
    /// The file, or what a connection needs of this machine.
    File(io::Error),
    /// SQLite says no.
    Sqlite(rusqlite::Error),
    /// PostgreSQL says no, or cannot be reached.
    Postgres(tokio_postgres::Error),
    /// PostgreSQL has not answered within this time.
    TooSlow(Duration),
    /// A column does not hold what is read from it.
    Column(&'static str),
    /// Who answers is not the database that is meant.
    Other(String),
}

impl DbError {
    /// Whether the values are at fault: they will not be taken the next time either.
    pub(crate) fn is_of_values(&self) -> bool {
        let DbError::Postgres(error) = self else {
            return false;
        };
        // Classes of SQLSTATE: data exception, integrity constraint, program limit exceeded.
        let code = error.code().map_or("", |code| code.code());
        ["22", "23", "54"]
            .iter()
            .any(|class| code.starts_with(class))
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DbError::File(error) => error.fmt(f),
            DbError::Sqlite(error) => error.fmt(f),
            // Without detail and hint, where rows are quoted.
            DbError::Postgres(error) => match error.as_db_error() {
                Some(said) => write!(f, "{} ({})", said.message(), said.code().code()),
                None => error.fmt(f),
            },
            DbError::TooSlow(bound) => write!(f, "no answer within {} s", bound.as_secs()),
            DbError::Column(wanted) => write!(f, "a column does not hold {wanted}"),
            DbError::Other(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for DbError {}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> DbError {
        DbError::Sqlite(error)
    }
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> DbError {
        DbError::Postgres(error)
    }
}

impl From<io::Error> for DbError {
    fn from(error: io::Error) -> DbError {
        DbError::File(error)
    }
}
