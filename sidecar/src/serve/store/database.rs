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
use super::counted::{self, Shares};
use super::db::{Db, DbError, Target};
use super::mirror::{self, Snapshot};
use super::refusals::{REFUSALS_MAX, Refusals};
use super::seal::Sealer;
use super::spool::{self, Waiting};
use super::sums::Sums;
use super::usage::{self, Written};
use super::writer::{Failure, Writer, charge};
use super::{StoreError, alerts, deliveries, schema, spend};
use crate::clock;
use crate::config::Config;
use crate::serve::admin;

/// Jobs that may wait.
const JOBS_MAX: usize = 256;
/// How often the version of keys and budgets is asked for, and whether something waits.
const POLL_EVERY: Duration = Duration::from_secs(1);
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

/// What a service says to a database that it meets.
#[derive(Clone)]
pub(crate) struct Greeting {
    pub(crate) target: Target,
    pub(crate) config: Config,
    pub(crate) sealer: Arc<Sealer>,
}

impl Greeting {
    /// Connects, brings tables up to date, and writes what `weir.yaml` names.
    ///
    /// # Errors
    /// The database cannot be reached or is not ours: see [`is_fatal`].
    pub(crate) fn meet(&self) -> Result<Db, StoreError> {
        let mut db = Db::server(&self.target)?;
        schema::migrate(&mut db)?;
        db.transaction(|step| {
            step.batch(&format!("SELECT pg_advisory_xact_lock({})", schema::LOCK))?;
            self.check_seal(step)?;
            super::catalogue::put(step, &self.config)?;
            admin::write_file_keys(&self.config, step, &self.sealer)
        })?;
        Ok(db)
    }

    /// Provider keys that one service seals have to be opened by the others.
    fn check_seal(&self, step: &mut Db) -> Result<(), StoreError> {
        let ours = self.sealer.fingerprint();
        let sql =
            "INSERT INTO meta (name, value) VALUES ('seal', $1) ON CONFLICT (name) DO NOTHING";
        step.execute(sql, &[ours.into()])?;
        let sql = "SELECT value FROM meta WHERE name = 'seal'";
        let known: Option<i64> = step.first(sql, &[], |row| row.take())?;
        if known == Some(ours) {
            return Ok(());
        }
        Err(StoreError::Secret(
            "is not the one that this database's provider keys are encrypted with: all services need \
             the same file, or the same `store.secret_key`",
        ))
    }
}

/// Whether a service must not start with this database, rather than without it for now.
pub(crate) fn is_fatal(error: &StoreError) -> bool {
    matches!(error, StoreError::TooNew(..) | StoreError::Secret(_))
}

/// What the thread works with.
pub(crate) struct Courier {
    pub(crate) greeting: Greeting,
    pub(crate) db: Option<Db>,
    pub(crate) database: Database,
    pub(crate) writer: Writer,
    pub(crate) shared: Arc<Shared>,
    /// The local store.
    pub(crate) file: PathBuf,
    /// Budgets of `weir.yaml`.
    pub(crate) rules: Rules,
    /// Whether somebody wants to be told of alerts.
    pub(crate) tells: bool,
    /// Whether the counters are this service's own.
    pub(crate) counts: bool,
    /// Whether what was spent is not known yet: it started without the database.
    pub(crate) pull: bool,
    /// The versions of keys and budgets, and of what is counted, that are in force.
    pub(crate) version: Option<(u64, u64)>,
    /// Who this service is.
    pub(crate) who: String,
}

impl Courier {
    /// Starts the thread.
    pub(crate) fn start(self, jobs: Jobs) -> Result<JoinHandle<()>, StoreError> {
        let file = Db::reader(&self.file)?;
        let mut thread = Thread {
            file,
            courier: self,
            refusals: None,
            cursor: 0,
            retry_ms: 0,
            pause_ms: PAUSE_MS,
            insists: true,
        };
        let spawned = std::thread::Builder::new()
            .name("weir-database".into())
            .spawn(move || thread.run(&jobs.0));
        Ok(spawned?)
    }
}

struct Thread {
    courier: Courier,
    file: Db,
    refusals: Option<Refusals>,
    /// What the database has of the spool.
    cursor: u64,
    /// Not before this instant a new connection is tried.
    retry_ms: u64,
    pause_ms: u64,
    /// Whether sums are still to be made anew in this service's calendar.
    insists: bool,
}

impl Thread {
    fn run(&mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(POLL_EVERY) {
                Ok(Job::Change(change)) => {
                    self.connect();
                    change(self.courier.db.as_mut());
                }
                Ok(Job::Deliver) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Job::Stop) => {
                    self.round();
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.courier
                .database
                .state
                .rung
                .store(false, Ordering::Release);
            self.round();
        }
    }

    /// Everything that is to be done, as far as the database takes part.
    fn round(&mut self) {
        self.connect();
        if self.courier.db.is_none() {
            return;
        }
        if let Err(error) = self
            .adopt()
            .and_then(|()| self.deliver())
            .and_then(|()| self.tell())
        {
            self.failed(&error.into());
        }
        let lost = self.courier.db.as_ref().is_none_or(Db::is_lost);
        if lost {
            self.courier.db = None;
        }
        self.courier
            .database
            .state
            .up
            .store(!lost, Ordering::Relaxed);
    }

    fn connect(&mut self) {
        let courier = &mut self.courier;
        if courier.db.as_ref().is_some_and(Db::is_lost) {
            courier.db = None;
        }
        let now_ms = clock::now_ms();
        if courier.db.is_some() || now_ms < self.retry_ms {
            return;
        }
        match courier.greeting.meet() {
            Ok(db) => {
                courier.db = Some(db);
                courier.version = None;
                self.refusals = None;
                self.pause_ms = PAUSE_MS;
                let log = courier.shared.log;
                log.line(Level::Info, "database connected", json!({}));
            }
            Err(error) => {
                self.retry_ms = now_ms.saturating_add(self.pause_ms);
                self.pause_ms = self.pause_ms.saturating_mul(2).min(PAUSE_MS_MAX);
                self.failed(&error);
            }
        }
    }

    fn failed(&self, error: &StoreError) {
        let state = &self.courier.database.state;
        state.up.store(false, Ordering::Relaxed);
        let fields = json!({"error": error.to_string()});
        let log = self.courier.shared.log;
        log.line(Level::Error, "the database cannot be used", fields);
    }

    /// Brings what waits to the database.
    fn deliver(&mut self) -> Result<(), DbError> {
        let before = self.cursor;
        loop {
            let waiting = spool::after(&mut self.file, self.cursor, BATCH)?;
            let Some(last) = waiting.last().map(|last| last.seq) else {
                break;
            };
            let stored = match self.store(&waiting) {
                Err(error) if error.is_of_values() => self.store_each(&waiting)?,
                stored => stored?,
            };
            if !stored {
                break;
            }
            self.cursor = last;
            self.courier
                .database
                .state
                .stored
                .store(last, Ordering::Release);
        }
        if self.cursor > before {
            self.courier.writer.trim();
        }
        Ok(())
    }

    /// Says whether it did: others may have begun to count more than is known here.
    fn store(&mut self, waiting: &[Waiting]) -> Result<bool, DbError> {
        let Courier {
            db, shared, who, ..
        } = &mut self.courier;
        let (Some(db), Some(last)) = (db, waiting.last()) else {
            return Ok(false);
        };
        let refusals = match &mut self.refusals {
            Some(known) => known,
            none => none.insert(Refusals::count(db, REFUSALS_MAX)?),
        };
        let records: Vec<_> = waiting
            .iter()
            .map(|waiting| (waiting.record.clone(), waiting.charged_ms))
            .collect();
        let (basis, version) = {
            let core = shared.core();
            (core.calendar_basis(), core.counted.version)
        };
        let kept = db.transaction(|step| {
            if counted::version_held(step)? != version {
                return Ok(None);
            }
            let mut sums = Sums::default();
            let written = usage::write_all(step, &records, &mut sums)?;
            for ((record, charged_ms), written) in records.iter().zip(&written) {
                charge(&mut sums, &shared.core(), record, *charged_ms, written);
            }
            sums.write(step)?;
            deliveries::note(step, who, last.seq, clock::now_ms())?;
            // Sums in another calendar than ours are made anew by whoever has that.
            let sql = "UPDATE meta SET value = 0 WHERE name = 'spend_basis' AND value <> $1";
            step.execute(sql, &[basis.into()])?;
            let all = records.iter().map(|(record, _)| record).zip(&written);
            refusals.trim(step, all).map(Some)
        })?;
        let stored = kept.is_some();
        if let Some(kept) = kept {
            refusals.committed(kept);
        }
        Ok(stored)
    }

    /// One record that the database does not take must not hold up the others.
    fn store_each(&mut self, waiting: &[Waiting]) -> Result<bool, DbError> {
        for one in waiting {
            match self.store(std::slice::from_ref(one)) {
                Err(error) if error.is_of_values() => {
                    let why = error.to_string();
                    let fields = json!({"exchange": one.record.exchange, "error": why});
                    let log = self.courier.shared.log;
                    log.line(Level::Error, "the database does not take a record", fields);
                    let one = one.clone();
                    let kept = move |db: &mut Db| spool::refused(db, &one, &why);
                    let kept = self.courier.writer.change_now(kept);
                    kept.map_err(|_| DbError::Other("the local store is full".into()))??;
                }
                stored => {
                    if !stored? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Hands over thresholds that were reached; whoever is the first to do so says it.
    fn tell(&mut self) -> Result<(), DbError> {
        let found = alerts::untold(&mut self.file, ALERTS_MAX)?;
        let Courier {
            db, shared, tells, ..
        } = &mut self.courier;
        let (Some(db), false) = (db, found.is_empty()) else {
            return Ok(());
        };
        let now_ms = clock::now_ms();
        let told_ms = (!*tells).then_some(now_ms);
        let mut fresh = Vec::new();
        for alert in &found {
            if alerts::insert(db, alert, told_ms)? {
                fresh.push(alert.clone());
            }
        }
        super::super::alerts::log(&fresh, &shared.log);
        let told = move |db: &mut Db| {
            let mut each = found.iter();
            each.try_for_each(|alert| alerts::told(db, alert, now_ms))
        };
        // What is handed over twice is known the second time.
        let _again = self.courier.writer.change_now(told);
        Ok(())
    }

    /// Puts in force what others have changed of keys and budgets.
    fn adopt(&mut self) -> Result<(), DbError> {
        for _ in 0..ADOPTIONS_MAX {
            if self.adopt_once()? {
                break;
            }
        }
        Ok(())
    }

    /// Says whether there is nothing more to be known.
    fn adopt_once(&mut self) -> Result<bool, DbError> {
        let Some(db) = &mut self.courier.db else {
            return Ok(true);
        };
        let version = (super::keys_version(db)?, counted::version(db)?);
        if self.courier.version == Some(version) {
            return Ok(true);
        }
        let snapshot = Snapshot::take(db)?;
        let version = (snapshot.version, snapshot.counted.version);
        let shared = Arc::clone(&self.courier.shared);
        let rules = self.courier.rules.clone();
        let sealer = Arc::clone(&self.courier.greeting.sealer);
        let adopted = self.courier.writer.change_now(move |local: &mut Db| {
            snapshot.put(local)?;
            adoption::take_over(&shared, &snapshot, &rules, &sealer);
            Ok::<_, DbError>(())
        });
        adopted.map_err(|_| DbError::Other("the local store is busy".into()))??;
        let is_known = self.recount()?;
        if is_known {
            self.courier.version = Some(version);
        }
        Ok(is_known)
    }

    /// Makes the sums anew when more is counted than before. Says whether nothing has changed thereby.
    fn recount(&mut self) -> Result<bool, DbError> {
        let Courier {
            db,
            shared,
            counts,
            pull,
            ..
        } = &mut self.courier;
        let Some(db) = db else {
            return Ok(false);
        };
        let shares = adoption::share(db, shared, self.insists)?;
        if shares != Shares::Same {
            self.insists &= shares == Shares::Again;
            *pull = true;
            return Ok(false);
        }
        self.insists = false;
        if !*counts || !*pull {
            return Ok(true);
        }
        let sums = spend::all(db)?;
        *pull = false;
        let (shared, cursor) = (Arc::clone(&self.courier.shared), self.cursor);
        // Where records are written, so that none is missed in between.
        let counted = self.courier.writer.change_now(move |local: &mut Db| {
            mirror::put_spend(local, &sums)?;
            let basis = shared.core().basis();
            spend::set_basis(local, basis)?;
            let mut more = Sums::default();
            for waiting in spool::after(local, cursor, u64::MAX / 2)? {
                let (record, at_ms) = (&waiting.record, waiting.charged_ms);
                charge(&mut more, &shared.core(), record, at_ms, &Written::New);
            }
            local.transaction(|step| more.write(step))?;
            let sums = spend::all(local)?;
            shared.core().recount(sums);
            Ok::<_, DbError>(())
        });
        counted.map_err(|_| DbError::Other("the local store is busy".into()))??;
        Ok(true)
    }
}
