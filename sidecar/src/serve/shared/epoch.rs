//! Redis that has lost its memory, or some of it: a restart, a failover, `FLUSHALL`.
//!
//! A group's epoch goes with its memory, and names the server that it was begun on. Whoever misses it
//! begins another one, which admits only after [`GRACE_MS`]. In that time every service puts back what
//! it holds and counts again what the ledger does not have yet; sums are then read from the ledger.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::usage::NanoUsd;
use serde_json::json;

use super::super::log::Level;
use super::super::state::Shared;
use super::super::store::database::Database;
use super::super::store::spool;
use super::super::store::writer::Writer;
use super::bounds::Bounds;
use super::client::Fault;
use super::counting::Batch;
use super::{Group, Wish};
use crate::clock;

/// How long a new epoch admits nobody, in milliseconds: several times as long as services take to see
/// that it began.
pub(crate) const GRACE_MS: u64 = 2_000;
/// How often a service looks.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// A hold that was not renewed here for so long is not put back, in milliseconds: others may have
/// settled it.
const PUT_BACK_MS: u64 = 20_000;

/// What this service holds.
#[derive(Default)]
pub(crate) struct Own(Mutex<HashMap<String, Kept>>);

struct Kept {
    wish: Wish,
    shares: Vec<(Group, Bounds)>,
    admitted_ms: u64,
    seen_ms: u64,
}

impl Own {
    /// When an exchange or a lease was admitted, if it was here.
    pub(crate) fn admitted_ms(&self, id: &str) -> Option<u64> {
        self.lock().get(id).map(|kept| kept.admitted_ms)
    }

    pub(super) fn held(&self, wish: &Wish, shares: Vec<(Group, Bounds)>, now_ms: u64) {
        let kept = Kept {
            wish: wish.clone(),
            shares,
            admitted_ms: now_ms,
            seen_ms: now_ms,
        };
        self.lock().insert(wish.id.clone(), kept);
    }

    pub(super) fn renewed(&self, live: &[(String, NanoUsd)], now_ms: u64) {
        let mut own = self.lock();
        for (id, cost_nano) in live {
            if let Some(kept) = own.get_mut(id) {
                kept.seen_ms = now_ms;
                kept.wish.cost_nano = (*cost_nano).max(kept.wish.cost_nano);
                kept.wish.amount_nano = (*cost_nano).max(kept.wish.amount_nano);
            }
        }
    }

    pub(super) fn changed(&self, id: &str, more_nano: NanoUsd) {
        if let Some(kept) = self.lock().get_mut(id) {
            let amount_nano = kept.wish.amount_nano.saturating_add(more_nano);
            kept.wish.amount_nano = amount_nano.max(0);
        }
    }

    pub(super) fn ended(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Forgets what nobody has renewed for long, and gives the rest.
    fn recent(&self, now_ms: u64) -> Vec<(Wish, Vec<(Group, Bounds)>)> {
        let mut own = self.lock();
        own.retain(|_, kept| kept.seen_ms.saturating_add(PUT_BACK_MS) > now_ms);
        own.values()
            .map(|kept| (kept.wish.clone(), kept.shares.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks for epochs that have begun or are missing, for as long as the service runs. What the database
/// may not have is counted again in a new one.
pub(crate) async fn look(shared: Arc<Shared>, writer: Writer, database: Option<Database>) {
    let Some(replica) = &shared.replica else {
        return;
    };
    let mut known: HashMap<Group, String> = HashMap::new();
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        // A Redis that does not answer now is looked at again.
        let again = round(&shared, replica, &mut known).await;
        if let (Ok(true), Some(database)) = (again, &database) {
            let stored = database.stored();
            let records = writer
                .change(move |db| spool::undelivered(db, stored))
                .await;
            // A store that is busy has told so; its records are counted after a restart.
            let records = records.ok().and_then(Result::ok).unwrap_or_default();
            replica.count(Batch {
                records,
                ..Batch::default()
            });
        }
        replica.own.recent(clock::now_ms());
    }
}

async fn round(
    shared: &Arc<Shared>,
    replica: &super::replica::Replica,
    known: &mut HashMap<Group, String>,
) -> Result<bool, Fault> {
    let mut lost = false;
    let server = replica.server().await?;
    for group in replica.every_group(shared) {
        let epoch = replica.epoch(&group, server.as_deref()).await?;
        let before = known.insert(group.clone(), epoch.clone());
        if before.as_ref() == Some(&epoch) {
            continue;
        }
        if before.is_some() {
            lost = true;
            let fields = json!({"group": group.0});
            let line = "Redis has lost what it counted: it is read from the ledger again";
            shared.log.line(Level::Warn, line, fields);
        }
        let now_ms = clock::now_ms();
        for (wish, shares) in replica.own.recent(now_ms) {
            let shares: Vec<_> = shares.into_iter().filter(|(of, _)| *of == group).collect();
            if !shares.is_empty() {
                replica.put_back(&wish, &shares, now_ms).await?;
            }
        }
        replica.opened(&epoch);
    }
    Ok(lost)
}
