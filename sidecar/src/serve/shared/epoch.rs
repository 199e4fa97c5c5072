//! Redis that has lost its memory, or some of it: a restart, a failover, `FLUSHALL`.
//!
//! A group's epoch goes with its memory, and names the server that it was begun on. Whoever misses it
//! begins another one, which admits only after a while ([`super::roll`]). In that time every service puts
//! back what it holds, and counts again what of its spool the ledger may not hold. Sums are read from the
//! ledger, and say how much of each service's records they had when they were read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::super::log::Level;
use super::super::state::Shared;
use super::super::store::database::Database;
use super::super::store::db::{Db, DbError, Row};
use super::super::store::deliveries;
use super::super::store::writer::Writer;
use super::Group;
use super::client::Fault;
use super::recount::{self, Extent, Recount};
use super::replica::Replica;
use super::roll::KNOWN_MS;
use crate::clock;

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
/// What places of other services begin with, which no group does.
const PEER: &str = "service:";

impl Standing {
    /// As of which everything in the spool was counted that is not marked otherwise, and what other
    /// services were known then.
    fn read(db: &mut Db) -> Result<(Standing, Vec<String>), DbError> {
        let sql = "SELECT place, epoch FROM epochs";
        let rows: Vec<(String, String)> =
            db.query(sql, &[], |row: &mut Row| Ok((row.take()?, row.take()?)))?;
        let mut epochs: HashMap<String, String> = rows.into_iter().collect();
        let version = epochs.remove(VERSION);
        let mut peers = Vec::new();
        epochs.retain(|place, _| match place.strip_prefix(PEER) {
            Some(peer) => {
                peers.push(peer.to_owned());
                false
            }
            None => true,
        });
        let standing = Standing {
            version: version.and_then(|text| text.parse().ok()).unwrap_or(0),
            epochs,
        };
        Ok((standing, peers))
    }

    fn write(&self, peers: &[String], db: &mut Db) -> Result<(), DbError> {
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
            for peer in peers {
                let place = format!("{PEER}{peer}");
                let sql = "INSERT INTO epochs (place, epoch) VALUES ($1, '')";
                step.execute(sql, &[place.as_str().into()])?;
            }
            Ok(())
        })
    }
}

/// Others that count in the same Redis, and when they were there last, as this service's own store and the
/// database that it shares tell. Whoever begins an epoch has to know them.
pub(crate) fn peers(db: &mut Db, shared: Option<&mut Db>) -> Result<Vec<(String, u64)>, DbError> {
    let now_ms = clock::now_ms();
    let (_, known) = Standing::read(db)?;
    let mut peers: Vec<(String, u64)> = known.into_iter().map(|peer| (peer, now_ms)).collect();
    if let Some(shared) = shared {
        peers.extend(deliveries::since(shared, now_ms.saturating_sub(KNOWN_MS))?);
    }
    Ok(peers)
}

/// Looks for epochs that have begun or are missing, for as long as the service runs.
pub(crate) async fn look(shared: Arc<Shared>, writer: Writer, database: Option<Database>) {
    let (Some(replica), Some(database)) = (&shared.replica, database) else {
        return;
    };
    // A store that cannot be read has told so; then everything is counted again, which changes nothing.
    let counted = writer.change(Standing::read).await;
    let (mut counted, mut peers) = counted.ok().and_then(Result::ok).unwrap_or_default();
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
        let looked = round(&shared, replica, &counted, &mut seen, &mut begun).await;
        // What does not answer now is looked at again.
        if looked.missed && (is_first || !replica.is_parted()) {
            continue;
        }
        replica.waits(looked.waits);
        let known = replica.roll.peers();
        if known != peers {
            peers = known;
            note(&writer, &counted, &peers).await;
        }
        if let Some(recount) = running.take() {
            match recount.ended() {
                Ok(as_of) => {
                    counted = as_of;
                    note(&writer, &counted, &peers).await;
                }
                Err(recount) => running = Some(recount),
            }
        } else if is_first || counted != seen || !moved.is_empty() {
            // What keys have spent is counted where they are now, by whatever is not in the ledger.
            let extent = Extent {
                is_first,
                everything: counted != seen || !moved.is_empty(),
            };
            moved = replica.forget(moved).await;
            let (was, now) = (counted.clone(), seen.clone());
            let mut recount = recount::start(&shared, &writer, (was, now), extent);
            if is_first {
                // What a service has to count from before is counted when it is asked for, unless that
                // takes long.
                let _later = tokio::time::timeout(FIRST_MAX, recount.end()).await;
            }
            running = Some(recount);
            is_first = false;
        } else if !looked.missed {
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
        replica.own.tidy(clock::now_ms());
    }
}

/// What is not noted is counted again after a restart, which changes nothing.
async fn note(writer: &Writer, counted: &Standing, peers: &[String]) {
    let (standing, peers) = (counted.clone(), peers.to_vec());
    let _again = writer.change(move |db| standing.write(&peers, db)).await;
}

/// Redis need not know any more what the database has.
async fn forget(shared: &Shared, replica: &Replica, stored: u64) -> Result<(), Fault> {
    for group in replica.every_group(shared) {
        replica.stored(&group, stored).await?;
    }
    Ok(())
}

/// What a look at every group has found.
#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    /// Somebody is waited for.
    waits: bool,
    /// Some group did not answer.
    missed: bool,
}

/// Looks at every group: epochs that are new here go to `begun`. In a cluster a group may answer while another
/// one does not.
async fn round(
    shared: &Arc<Shared>,
    replica: &Replica,
    counted: &Standing,
    seen: &mut Standing,
    begun: &mut Vec<String>,
) -> Looked {
    let mut looked = Looked::default();
    for group in replica.every_group(shared) {
        let done = counted.epochs.get(&group.0).map_or("", String::as_str);
        match one(shared, replica, &group, done, seen, begun).await {
            Ok(waits) => looked.waits |= waits,
            Err(_) => looked.missed = true,
        }
    }
    looked
}

/// The same for one group. Tells whether somebody is waited for.
async fn one(
    shared: &Arc<Shared>,
    replica: &Replica,
    group: &Group,
    done: &str,
    seen: &mut Standing,
    begun: &mut Vec<String>,
) -> Result<bool, Fault> {
    let answer = replica.epoch(group, done).await?;
    let epoch = answer.epoch;
    if seen.epochs.get(&group.0) == Some(&epoch) {
        return Ok(answer.waits);
    }
    replica.roll.let_out().await;
    put_back(replica, group).await?;
    if seen.epochs.insert(group.0.clone(), epoch.clone()).is_some() {
        let fields = json!({"group": group.0});
        let line = "Redis has lost what it counted: it is read from the ledger again";
        shared.log.line(Level::Warn, line, fields);
    }
    begun.push(epoch);
    let (shared, group) = (Arc::clone(shared), group.clone());
    tokio::spawn(async move {
        if let Some(replica) = &shared.replica {
            // What stays is nobody's: it takes room, no more.
            let _left = replica.sweep(&group).await;
        }
    });
    Ok(answer.waits)
}

async fn put_back(replica: &Replica, group: &Group) -> Result<(), Fault> {
    let now_ms = clock::now_ms();
    for kept in replica.own.recent(now_ms) {
        let shares = kept.shares.iter().filter(|(of, _)| of == group);
        let shares: Vec<_> = shares.cloned().collect();
        if !shares.is_empty() {
            replica.put_back_own(&kept, &shares).await?;
        }
    }
    Ok(())
}
