//! SQLite.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use engine::period;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::{DbError, Row, Value};

/// How long one connection waits for another's lock.
const BUSY: Duration = Duration::from_secs(2);
/// Statements that stay prepared.
const PREPARED_MAX: usize = 64;

pub(super) fn open(path: &Path) -> Result<Connection, DbError> {
    // Its `-wal` and `-shm` files take the same mode.
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    let db = Connection::open(path)?;
    db.busy_timeout(BUSY)?;
    db.set_prepared_statement_cache_capacity(PREPARED_MAX);
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", "ON")?;
    Ok(db)
}

pub(super) fn reader(path: &Path) -> Result<Connection, DbError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY)?;
    Ok(db)
}

pub(super) fn execute(
    db: &mut Connection,
    sql: &str,
    values: &[Value<'_>],
) -> Result<u64, DbError> {
    let mut statement = db.prepare_cached(&numbered(sql))?;
    let changed = statement.execute(params_from_iter(values))?;
    Ok(changed as u64)
}

pub(super) fn execute_each<'v, V: AsRef<[Value<'v>]>>(
    db: &mut Connection,
    sql: &str,
    rows: impl Iterator<Item = V>,
) -> Result<Vec<u64>, DbError> {
    let mut statement = db.prepare_cached(&numbered(sql))?;
    rows.map(|row| Ok(statement.execute(params_from_iter(row.as_ref()))? as u64))
        .collect()
}

pub(super) fn query<T>(
    db: &mut Connection,
    sql: &str,
    values: &[Value<'_>],
    read: &mut impl FnMut(&mut Row) -> Result<T, DbError>,
) -> Result<Vec<T>, DbError> {
    let mut statement = db.prepare_cached(&numbered(sql))?;
    let columns = statement.column_count();
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut cells = Vec::with_capacity(columns);
        for column in 0..columns {
            cells.push(owned(row.get_ref(column)?));
        }
        found.push(read(&mut Row::new(cells))?);
    }
    Ok(found)
}

/// `$1` is the name of a parameter here, `?1` its place. No statement has the letter for anything else.
fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

fn owned(cell: ValueRef<'_>) -> Value<'static> {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned().into()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec().into()),
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Bool(yes) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(*yes))),
            Value::Integer(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Value::Real(number) => ToSqlOutput::Borrowed(ValueRef::Real(*number)),
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Value::Instant(at_ms) => ToSqlOutput::from(period::sql(*at_ms)),
        })
    }
}
