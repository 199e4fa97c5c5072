//! The database that several services share, and the thread that speaks to it. Nothing waits for it but
//! changes of keys and budgets: settled records wait in the spool, and what it says of keys and budgets
//! is asked for every second.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;

use super::super::adoption;
use super::super::log::Level;
use super::super::membership::Rules;
use super::super::state::Shared;
use super::super::store;
use super::counted::{self, Shares};
use super::db::{Db, DbError, Target};
use super::mirror::{self, Snapshot};
use super::refusals::{REFUSALS_MAX, Refusals};
use super::seal::Sealer;
use super::spool::{self, Waiting};
use super::sums::Sums;
use super::usage::{self, Written};
use super::writer::{Failure, Writer, charge};
use super::{StoreError, alerts, catalogue, deliveries, schema, spend};
use crate::clock;
use crate::config::Config;
use crate::serve::admin;

mod courier;
mod greeting;

pub(crate) use courier::Courier;
pub(crate) use greeting::{Greeting, is_fatal};

/// Jobs that may wait.
const JOBS_MAX: usize = 256;
/// How often the version of keys and budgets is asked for, and whether something waits.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// How often a service says there that it is alive, in milliseconds.
const SHOW_EVERY_MS: u64 = 5_000;
/// Records of one transaction.
const BATCH: u64 = 500;
/// Pause after a first failure to connect, which doubles up to the longest.
const PAUSE_MS: u64 = 250;
const PAUSE_MS_MAX: u64 = 5_000;
/// How long who changes something waits for the database.
const CHANGE_MAX: Duration = Duration::from_secs(8);
/// Times that one round looks again at what others have begun to count meanwhile.
const ADOPTIONS_MAX: usize = 4;
/// Alerts handed over at one time.
const ALERTS_MAX: usize = 100;

type Change = Box<dyn FnOnce(Option<&mut Db>) + Send>;

enum Job {
    Change(Change),
    /// Something waits in the spool.
    Deliver,
    Stop,
}

/// A handle to the thread.
#[derive(Clone)]
pub(crate) struct Database {
    jobs: SyncSender<Job>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    up: AtomicBool,
    /// Somebody has said that something waits.
    rung: AtomicBool,
    /// What the database has of the spool.
    stored: AtomicU64,
    /// What of that nobody has to count again, whatever becomes of Redis.
    confirmed: AtomicU64,
}

/// What the thread will be asked.
pub(crate) struct Jobs(Receiver<Job>);

impl Database {
    /// A handle, and what its thread needs.
    pub(crate) fn new() -> (Database, Jobs) {
        let (jobs, queue) = sync_channel(JOBS_MAX);
        let state = Arc::default();
        (Database { jobs, state }, Jobs(queue))
    }

    /// Runs `change` on the database's connection. It is not run once nobody waits for it.
    ///
    /// # Errors
    /// The database cannot be reached or does not answer.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Db) -> Result<T, DbError> + Send + 'static,
    ) -> Result<Result<T, DbError>, Failure> {
        let (reply, answer) = oneshot::channel();
        let change = move |db: Option<&mut Db>| {
            if !reply.is_closed() {
                // A caller that has gone meanwhile does not undo the change.
                let _gone = reply.send(db.map(change));
            }
        };
        let sent = self.jobs.try_send(Job::Change(Box::new(change)));
        sent.map_err(|_| Failure::Unavailable)?;
        match tokio::time::timeout(CHANGE_MAX, answer).await {
            Ok(Ok(Some(done))) => Ok(done),
            _ => Err(Failure::Unavailable),
        }
    }

    /// Comes back when what was changed before is in force here.
    pub(crate) async fn settled(&self) {
        // The thread looks for changes after each job.
        let _unreachable = self.change(|_| Ok(())).await;
    }

    /// Something waits in the spool.
    pub(crate) fn ring(&self) {
        if !self.state.rung.swap(true, Ordering::AcqRel)
            && self.jobs.try_send(Job::Deliver).is_err()
        {
            self.state.rung.store(false, Ordering::Release);
        }
    }

    /// Everything up to this place of the spool is in the database.
    pub(crate) fn stored(&self) -> u64 {
        self.state.stored.load(Ordering::Acquire)
    }

    /// Nobody has to count again what is stored up to this place.
    pub(crate) fn confirm(&self, stored: u64) {
        self.state.confirmed.store(stored, Ordering::Release);
    }

    /// Up to where nobody has to.
    pub(crate) fn confirmed(&self) -> u64 {
        self.state.confirmed.load(Ordering::Acquire)
    }

    /// Whether it answered the last time.
    pub(crate) fn is_up(&self) -> bool {
        self.state.up.load(Ordering::Relaxed)
    }

    /// Ends the thread after everything sent before.
    pub(crate) fn stop(&self) {
        // A thread that has ended already needs no telling.
        let _ended = self.jobs.send(Job::Stop);
    }
}
