//! Redis that has lost its memory, or some of it: a restart, a failover, `FLUSHALL`.
//!
//! A group's epoch goes with its memory, and names the server that it was begun on. Whoever misses it
//! begins another one, which admits only after [`GRACE_MS`]. In that time every service puts back what
//! it holds. Sums are then read from the ledger, and each service counts again what of its spool they do
//! not hold: sums say how much of each service's records they had when they were read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::super::log::Level;
use super::super::state::Shared;
use super::super::store::database::Database;
use super::super::store::db::{Db, DbError, Row};
use super::super::store::writer::Writer;
use super::client::Fault;
use super::recount::{self, Recount};
use super::replica::Replica;
use super::{Group, comeback};
use crate::clock;

/// How long a new epoch admits nobody, in milliseconds: several times as long as services take to see
/// that it began.
pub(crate) const GRACE_MS: u64 = 2_000;
/// How long a service that starts waits for what it has to count from before.
const FIRST_MAX: Duration = Duration::from_secs(2);
/// How often a service looks.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Where and as of when things are counted: the epochs of groups, by name, and the version of what is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) epochs: HashMap<String, String>,
    pub(super) version: u64,
}

/// The place of the version among the epochs.
const VERSION: &str = "";

impl Standing {
    /// As of which everything in the spool was counted that is not marked otherwise.
    fn read(db: &mut Db) -> Result<Standing, DbError> {
        let sql = "SELECT place, epoch FROM epochs";
        let rows: Vec<(String, String)> =
            db.query(sql, &[], |row: &mut Row| Ok((row.take()?, row.take()?)))?;
        let mut epochs: HashMap<String, String> = rows.into_iter().collect();
        let version = epochs.remove(VERSION);
        Ok(Standing {
            version: version.and_then(|text| text.parse().ok()).unwrap_or(0),
            epochs,
        })
    }

    fn write(&self, db: &mut Db) -> Result<(), DbError> {
        db.transaction(|step| {
            step.execute("DELETE FROM epochs", &[])?;
            let version = self.version.to_string();
            let version = [(VERSION, version.as_str())].into_iter();
            let epochs = self
                .epochs
                .iter()
                .map(|(place, epoch)| (&**place, &**epoch));
            for (place, epoch) in version.chain(epochs) {
                let sql = "INSERT INTO epochs (place, epoch) VALUES ($1, $2)";
                step.execute(sql, &[place.into(), epoch.into()])?;
            }
            Ok(())
        })
    }
}

/// Looks for epochs that have begun or are missing, for as long as the service runs.
pub(crate) async fn look(shared: Arc<Shared>, writer: Writer, database: Option<Database>) {
    let (Some(replica), Some(database)) = (&shared.replica, database) else {
        return;
    };
    // A store that cannot be read has told so; then everything is counted again, which changes nothing.
    let counted = writer.change(Standing::read).await;
    let mut counted = counted.ok().and_then(Result::ok).unwrap_or_default();
    let mut seen = Standing::default();
    let mut running: Option<Recount> = None;
    let (mut is_first, mut told) = (true, 0);
    let (mut moved, mut begun) = (Vec::new(), Vec::new());
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        let stored = database.stored();
        {
            let mut core = shared.core();
            seen.version = core.counted.version;
            moved.append(&mut core.keys.moved);
        }
        // A Redis that does not answer now is looked at again.
        let looked = round(&shared, replica, &mut seen, &mut begun);
        if looked.await.is_err() {
            continue;
        }
        if is_first {
            comeback::start(&shared, counted.epochs.clone(), seen.epochs.clone());
        }
        if let Some(recount) = running.take() {
            match recount.ended() {
                Ok(as_of) => {
                    counted = as_of;
                    let standing = counted.clone();
                    // What is not noted is counted again after a restart, which changes nothing.
                    let _again = writer.change(move |db| standing.write(db)).await;
                }
                Err(recount) => running = Some(recount),
            }
        } else if is_first || counted != seen || !moved.is_empty() {
            // What keys have spent is counted where they are now, by whatever is not in the ledger.
            let everything = counted != seen || !moved.is_empty();
            moved = replica.forget(moved).await;
            let (was, now) = (counted.clone(), seen.clone());
            let mut recount = recount::start(&shared, &writer, (was, now), everything);
            if is_first {
                // What a service has to count from before is counted when it is asked for, unless that
                // takes long.
                let _later = tokio::time::timeout(FIRST_MAX, recount.end()).await;
            }
            running = Some(recount);
            is_first = false;
        } else {
            // Whatever begins after this look has these records in the sums that it reads.
            if stored > database.confirmed() {
                database.confirm(stored);
                writer.trim();
            }
            if stored > told && forget(&shared, replica, stored).await.is_ok() {
                told = stored;
            }
        }
        for epoch in begun.drain(..) {
            replica.opened(&epoch);
        }
        replica.own.recent(clock::now_ms());
    }
}

/// Redis need not know any more what the database has.
async fn forget(shared: &Shared, replica: &Replica, stored: u64) -> Result<(), Fault> {
    for group in replica.every_group(shared) {
        replica.stored(&group, stored).await?;
    }
    Ok(())
}

/// Looks at every group: epochs that are new here go to `begun`.
async fn round(
    shared: &Arc<Shared>,
    replica: &Replica,
    seen: &mut Standing,
    begun: &mut Vec<String>,
) -> Result<(), Fault> {
    for group in replica.every_group(shared) {
        let epoch = replica.epoch(&group).await?;
        let before = seen.epochs.insert(group.0.clone(), epoch.clone());
        if before.as_ref() == Some(&epoch) {
            continue;
        }
        if before.is_some() {
            let fields = json!({"group": group.0});
            let line = "Redis has lost what it counted: it is read from the ledger again";
            shared.log.line(Level::Warn, line, fields);
        }
        if let Err(fault) = put_back(replica, &group).await {
            seen.epochs.remove(&group.0);
            return Err(fault);
        }
        begun.push(epoch);
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            if let Some(replica) = &shared.replica {
                // What stays is nobody's: it takes room, no more.
                let _left = replica.sweep(&group).await;
            }
        });
    }
    Ok(())
}

async fn put_back(replica: &Replica, group: &Group) -> Result<(), Fault> {
    let now_ms = clock::now_ms();
    for (wish, shares) in replica.own.recent(now_ms) {
        let shares: Vec<_> = shares.into_iter().filter(|(of, _)| of == group).collect();
        if !shares.is_empty() {
            replica.put_back(&wish, &shares, now_ms).await?;
        }
    }
    Ok(())
}
