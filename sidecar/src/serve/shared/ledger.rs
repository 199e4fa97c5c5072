//! What the ledger tells of scopes' spend and of exchanges. One connection is kept for it.

use std::collections::HashMap;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use engine::ledger::Scope;
use engine::usage::NanoUsd;
use tokio::sync::oneshot;

use super::super::state::Spent;
use super::super::store::counted;
use super::super::store::db::{Db, DbError, Instant, Row, Target, Value};
use super::super::store::deliveries;

/// Scopes or exchanges of one statement.
const ASKED_MAX: usize = 100;
/// Questions that may wait.
const JOBS_MAX: usize = 1_024;
/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the thread that reads is asked: with a connection, or without when there is none.
type Job = Box<dyn FnOnce(&mut Reader) + Send>;

/// The database that services share, as far as sums are read from it. A thread of its own holds the
/// connection, and ends with what stands for it.
pub(crate) struct LedgerSums(SyncSender<Job>);

struct Reader {
    target: Target,
    link: Option<Db>,
}

/// The sums of some scopes, and exchanges that they may hold.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// What was spent on each day, by its first instant.
    pub(crate) days: HashMap<Scope, Vec<(u64, NanoUsd)>>,
    /// Those of the exchanges asked for that the ledger has.
    pub(crate) known: Vec<Known>,
    /// The version of what is counted.
    pub(crate) version: u64,
    /// How much of each service's records is there.
    pub(crate) held: Vec<(String, u64)>,
}

/// An exchange that the ledger has.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) exchange: String,
    pub(crate) cost_nano: NanoUsd,
    pub(crate) at_ms: u64,
    /// Whether it stands for an expired hold.
    pub(crate) expired: bool,
    pub(crate) key: String,
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
    /// Errors: the thread cannot be started.
    pub(crate) fn new(target: Target) -> std::io::Result<LedgerSums> {
        let (jobs, asked) = sync_channel::<Job>(JOBS_MAX);
        let mut reader = Reader { target, link: None };
        std::thread::Builder::new()
            .name("weir-sums".into())
            .spawn(move || {
                for job in asked {
                    job(&mut reader);
                }
            })?;
        Ok(LedgerSums(jobs))
    }

    /// Reads the sums of scopes and these exchanges, as they are at one moment.
    pub(crate) async fn read(
        &self,
        scopes: Vec<Scope>,
        exchanges: Vec<String>,
    ) -> Result<Read, DbError> {
        self.ask(move |db| {
            db.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
            let read = read(db, &scopes, &exchanges);
            // What was read is read, however this ends.
            let _ended = db.batch("COMMIT");
            read
        })
        .await
    }

    /// Those of these exchanges that the ledger has, and up to where the records of `who` are there.
    pub(crate) async fn known(
        &self,
        who: &str,
        exchanges: Vec<String>,
    ) -> Result<(Vec<Known>, u64), DbError> {
        let who = who.to_owned();
        self.ask(move |db| {
            // In this order: what is found of this service's own lies before where its records end.
            let known = known(db, &exchanges)?;
            Ok((known, deliveries::of(db, &who)?))
        })
        .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Db) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let (reply, answer) = oneshot::channel();
        let job = move |reader: &mut Reader| {
            if !reply.is_closed() {
                let _gone = reply.send(reader.with(work));
            }
        };
        let busy = |_| DbError::Other("too many wait for the ledger's sums".into());
        self.0.try_send(Box::new(job)).map_err(busy)?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(read)) => read,
            _ => Err(DbError::Other("the ledger's sums were not read".into())),
        }
    }
}

impl Reader {
    /// Runs `work` on the connection, which is made anew once when it was lost since.
    fn with<T>(&mut self, work: impl Fn(&mut Db) -> Result<T, DbError>) -> Result<T, DbError> {
        let kept = self.link.take();
        let was_kept = kept.is_some();
        let mut db = match kept {
            Some(db) => db,
            None => Db::server(&self.target)?,
        };
        let mut done = work(&mut db);
        if done.is_err() && db.is_lost() && was_kept {
            db = Db::server(&self.target)?;
            done = work(&mut db);
        }
        if !db.is_lost() {
            self.link = Some(db);
        }
        done
    }
}

fn read(db: &mut Db, scopes: &[Scope], exchanges: &[String]) -> Result<Read, DbError> {
    let mut days: HashMap<Scope, Vec<_>> = HashMap::new();
    for scopes in scopes.chunks(ASKED_MAX) {
        let names: Vec<String> = scopes.iter().map(Scope::to_string).collect();
        let sql = format!(
            "SELECT scope, day_ms, cost_nano FROM spend_daily WHERE scope IN ({})",
            places(names.len())
        );
        let names: Vec<Value<'_>> = names.iter().map(Value::from).collect();
        let rows = db.query(&sql, &names, |row: &mut Row| {
            let scope: String = row.take()?;
            Ok((Scope::parse(&scope), (row.take()?, row.take()?)))
        })?;
        for (scope, day) in rows {
            if let Some(scope) = scope {
                days.entry(scope).or_default().push(day);
            }
        }
    }
    Ok(Read {
        days,
        known: known(db, exchanges)?,
        version: counted::version(db)?,
        held: deliveries::all(db)?,
    })
}

fn known(db: &mut Db, exchanges: &[String]) -> Result<Vec<Known>, DbError> {
    let mut found = Vec::new();
    for exchanges in exchanges.chunks(ASKED_MAX) {
        let sql = format!(
            "SELECT exchange_id, cost_nano, timestamp, ending, key_id, user_id, tags, provider, model \
             FROM llm_usage_log WHERE exchange_id IN ({})",
            places(exchanges.len())
        );
        let names: Vec<Value<'_>> = exchanges.iter().map(Value::from).collect();
        found.extend(db.query(&sql, &names, of_row)?);
    }
    Ok(found)
}

/// `$1, $2` for two.
fn places(count: usize) -> String {
    let places: Vec<String> = (1..=count).map(|place| format!("${place}")).collect();
    places.join(", ")
}

fn of_row(row: &mut Row) -> Result<Known, DbError> {
    let (exchange, cost_nano) = (row.take()?, row.take()?);
    let Instant(at_ms) = row.take()?;
    let ending: String = row.take()?;
    let (key, user) = (row.take()?, row.take()?);
    let tags: String = row.take()?;
    Ok(Known {
        exchange,
        cost_nano,
        at_ms,
        expired: ending == "expired",
        key,
        user,
        tags: serde_json::from_str(&tags).unwrap_or_default(),
        provider: row.take()?,
        model: row.take()?,
    })
}
