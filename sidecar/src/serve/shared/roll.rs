//! Who counts in the same Redis, so that nobody is admitted after it has lost its memory before all of
//! them have put back what they hold, and have counted what the ledger does not have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::ledger::HOLD_TTL_MS;

use super::calls::{odd, text, whole};
use super::{Counters, Fault, Group, Value, script};

/// How long a new epoch admits nobody, in milliseconds: several times as long as services take to see
/// that it began.
pub(crate) const GRACE_MS: u64 = 2_000;
/// How long a service is waited for that was there before an epoch began, in milliseconds, once the epoch
/// would admit; and one that has shown itself since, from then on.
pub(crate) const ABSENT_MS: u64 = 15_000;
/// How long a service is known that says nothing, in milliseconds: as long as what it holds.
pub(crate) const KNOWN_MS: u64 = HOLD_TTL_MS;
/// How often those who were let in are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long they are waited for. Each waits for Redis less than that.
const LET_IN_MAX: Duration = Duration::from_secs(3);

/// What is told to a group, and asked of it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// From when on an epoch admits that begins now.
    pub(crate) open_ms: u64,
    /// The epoch that everything of this service is in.
    pub(crate) done: String,
    /// Others that this service knows.
    pub(crate) peers: Vec<String>,
}

/// What a group answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) epoch: String,
    /// Whether somebody is waited for.
    pub(crate) waits: bool,
    /// Services, and when they were there last.
    peers: Vec<(String, u64)>,
}

impl Counters {
    /// The epoch of a group, which begins now if it has none, or one of another server.
    pub(crate) async fn epoch(
        &self,
        group: &Group,
        call: &Call,
        now_ms: u64,
    ) -> Result<Answer, Fault> {
        let mut command = redis::cmd("EVALSHA");
        command
            .arg(&script::EPOCH.name)
            .arg(1)
            .arg(group.key("e"))
            .arg(group.key(""))
            .arg(now_ms)
            .arg(format!("{:013}", call.open_ms))
            .arg(ABSENT_MS)
            .arg(KNOWN_MS)
            .arg(&self.who)
            .arg(&call.done)
            .arg(&call.peers);
        let mut told = self.told(&command).await?.into_iter();
        let epoch = told.next().and_then(text).ok_or_else(odd)?;
        let waits = told.next().and_then(whole).ok_or_else(odd)? > 0;
        let Some(Value::Array(list)) = told.next() else {
            return Err(odd());
        };
        let mut list = list.into_iter().filter_map(text);
        let mut peers = Vec::new();
        while let (Some(peer), Some(at)) = (list.next(), list.next()) {
            peers.push((peer, at.parse().unwrap_or(0)));
        }
        Ok(Answer {
            epoch,
            waits,
            peers,
        })
    }
}

/// Others, as this service knows them.
#[derive(Default)]
pub(crate) struct Roll {
    /// When they were there last.
    seen: Mutex<HashMap<String, u64>>,
    /// Whoever asks Redis to hold something has a part of this.
    passage: Mutex<Arc<()>>,
}

impl Roll {
    /// Those that were known before this service was started, and when they were there last.
    pub(crate) fn remember(&self, peers: impl IntoIterator<Item = (String, u64)>) {
        lock(&self.seen).extend(peers);
    }

    pub(crate) fn heard(&self, answer: &Answer, now_ms: u64) {
        let mut seen = lock(&self.seen);
        for (peer, at_ms) in &answer.peers {
            let at = seen.entry(peer.clone()).or_default();
            *at = (*at).max(*at_ms);
        }
        seen.retain(|_, at_ms| at_ms.saturating_add(KNOWN_MS) > now_ms);
    }

    /// Their names, in order.
    pub(crate) fn peers(&self) -> Vec<String> {
        let mut peers: Vec<String> = lock(&self.seen).keys().cloned().collect();
        peers.sort_unstable();
        peers
    }

    /// Lets one in that has Redis hold something and notes it then, for as long as it has this.
    pub(crate) fn enter(&self) -> Arc<()> {
        lock(&self.passage).clone()
    }

    /// Waits until all that are in have noted what they hold.
    pub(crate) async fn let_out(&self) {
        let before = std::mem::take(&mut *lock(&self.passage));
        let out = async {
            while Arc::strong_count(&before) > 1 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        // Whoever still waits is given up by its own patience, and then holds nothing.
        let _late = tokio::time::timeout(LET_IN_MAX, out).await;
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
