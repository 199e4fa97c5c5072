//! PostgreSQL. Every call ends within a bound, whatever the other side does.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::{Client, Statement};

use super::{DbError, Row, Value};

mod target;
mod tls;
mod wire;

pub(crate) use target::Target;
use wire::Sent;

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How long a statement may take.
const STATEMENT_MAX: Duration = Duration::from_secs(5);
/// The same for statements that read or rewrite whole tables.
const MAINTENANCE_MAX: Duration = Duration::from_secs(600);
/// Statements that stay prepared.
const PREPARED_MAX: usize = 128;
/// A transaction whose client says nothing for so long is undone: its locks hold up other services.
const SETTINGS: &str = "SET TIME ZONE 'UTC'; SET idle_in_transaction_session_timeout = '30s'; \
                        SET client_min_messages = 'warning'";

/// A connection.
pub(crate) struct Session {
    runtime: Runtime,
    client: Client,
    statements: HashMap<String, Statement>,
    patience: Duration,
    /// A call was given up: what the connection is doing is not known.
    lost: bool,
}

impl Session {
    /// Connects. Blocks for at most [`CONNECT_MAX`] and a statement.
    pub(super) fn connect(target: &Target) -> Result<Session, DbError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let client = runtime.block_on(async {
            let made = target.config.connect(target.tls.clone());
            let made = tokio::time::timeout(CONNECT_MAX, made).await;
            let (client, connection) = made.map_err(|_| DbError::TooSlow(CONNECT_MAX))??;
            tokio::spawn(async move {
                // The client hears of its end with the next call.
                let _ended = connection.await;
            });
            Ok::<_, DbError>(client)
        })?;
        let mut session = Session {
            runtime,
            client,
            statements: HashMap::new(),
            patience: STATEMENT_MAX,
            lost: false,
        };
        session.batch(SETTINGS)?;
        session.hurry(true)?;
        Ok(session)
    }

    /// Whether another connection has to be made.
    pub(super) fn is_lost(&self) -> bool {
        self.lost || self.client.is_closed()
    }

    /// Gives statements less or more time.
    pub(super) fn hurry(&mut self, hurry: bool) -> Result<(), DbError> {
        self.patience = if hurry {
            STATEMENT_MAX
        } else {
            MAINTENANCE_MAX
        };
        let ms = self.patience.as_millis();
        self.batch(&format!("SET statement_timeout = {ms}"))
    }

    pub(super) fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, DbError> {
        let statement = self.prepared(sql)?;
        let sent: Vec<Sent<'_>> = values.iter().map(Sent).collect();
        let Session {
            runtime,
            client,
            patience,
            ..
        } = self;
        let done = bounded(runtime, *patience, client.execute_raw(&statement, &sent));
        self.heard(done)
    }

    pub(super) fn query<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        read: &mut impl FnMut(&mut Row) -> Result<T, DbError>,
    ) -> Result<Vec<T>, DbError> {
        let statement = self.prepared(sql)?;
        let sent: Vec<Sent<'_>> = values.iter().map(Sent).collect();
        let params: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = sent
            .iter()
            .map(|value| -> &(dyn tokio_postgres::types::ToSql + Sync) { value })
            .collect();
        let Session {
            runtime,
            client,
            patience,
            ..
        } = self;
        let rows = bounded(runtime, *patience, client.query(&statement, &params));
        let rows = self.heard(rows)?;
        rows.iter()
            .map(|row| read(&mut Row::new(wire::cells(row)?)))
            .collect()
    }

    pub(super) fn batch(&mut self, statements: &str) -> Result<(), DbError> {
        let Session {
            runtime,
            client,
            patience,
            ..
        } = self;
        let done = bounded(runtime, *patience, client.batch_execute(statements));
        self.heard(done)
    }

    fn prepared(&mut self, sql: &str) -> Result<Statement, DbError> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let Session {
            runtime,
            client,
            patience,
            ..
        } = self;
        let made = bounded(runtime, *patience, client.prepare(sql));
        let made = self.heard(made)?;
        if self.statements.len() >= PREPARED_MAX {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), made.clone());
        Ok(made)
    }

    fn heard<T>(&mut self, done: Result<T, DbError>) -> Result<T, DbError> {
        self.lost |= match &done {
            Err(DbError::TooSlow(_)) => true,
            // What the server itself says leaves the connection as it was, unless it says goodbye.
            Err(DbError::Postgres(error)) => error.code().is_none_or(|code| {
                let code = code.code();
                code.starts_with("57P") || code.starts_with("08")
            }),
            _ => false,
        };
        done
    }
}

/// The server ends a statement by itself at the same bound; a server that says nothing is given up.
fn bounded<T>(
    runtime: &Runtime,
    patience: Duration,
    call: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, DbError> {
    runtime.block_on(async {
        let done = tokio::time::timeout(patience, call).await;
        Ok(done.map_err(|_| DbError::TooSlow(patience))??)
    })
}
