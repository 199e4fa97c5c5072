//! The one thread that writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use engine::ledger::Hold;
use engine::period::Period;
use engine::usage::Usage;
use engine::wire::{CacheStatus, Ending, LeaseState, Settle, Settled, UsageRecord};
use tokio::sync::oneshot;

use super::super::log::{self, Level};
use super::super::shared::Place;
use super::super::shared::counting::{self, Durable};
use super::super::state::{Core, Shared, Spent};
use super::alerts;
use super::database::Database;
use super::db::{Db, DbError};
use super::refusals::{REFUSALS_MAX, Refusals};
use super::spool;
use super::sums::Sums;
use super::usage::{self, Written};
use crate::clock;

/// Jobs that may wait. Above it callers are told to come again.
const JOBS_MAX: usize = 1_024;
/// Records of one transaction, so that a long queue does not make the first caller wait for all.
const RECORDS_PER_COMMIT_MAX: usize = 5_000;

/// Exchanges that are counted without the spool saying so.
const COUNTED_MAX: usize = 500;
/// Records that stay in the local ledger when a database has them.
const KEPT: u64 = 100_000;

/// Why a job was not done. The caller may try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The body is not a [`Settle`].
    Malformed,
    /// The store does not take writes, the queue is full, or the service is ending.
    Unavailable,
}

type Change = Box<dyn FnOnce(&mut Db) + Send>;

enum Job {
    /// Records as they came, decoded here to keep the internal interface's thread free.
    Settle(Bytes, oneshot::Sender<Result<Settled, Failure>>),
    /// Holds that nobody renewed.
    Expire(Vec<(String, Hold)>),
    /// Anything else that writes, in transactions of its own.
    Change(Change),
    /// The database has more of the spool.
    Trim,
    /// The records of these exchanges are counted.
    Counted(Vec<String>),
    /// The end, after everything before it.
    Stop,
}

/// A handle to the thread.
#[derive(Clone)]
pub(crate) struct Writer {
    jobs: SyncSender<Job>,
    waiting: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

/// The spool of a service that shares a database.
pub(crate) struct Spool {
    /// Whose records wait.
    pub(crate) database: Database,
    /// Records that may wait.
    pub(crate) max: u64,
    /// Whether somebody else counts records before they may go.
    pub(crate) counted_elsewhere: bool,
    rows: u64,
    /// What of it is gone.
    trimmed: u64,
    /// Exchanges that are counted, which the spool does not say yet.
    counted: Vec<String>,
}

impl Spool {
    pub(crate) fn new(database: Database, max: u64, counted_elsewhere: bool) -> Spool {
        Spool {
            database,
            max,
            counted_elsewhere,
            rows: 0,
            trimmed: 0,
            counted: Vec::new(),
        }
    }

    /// Up to where nobody needs its records.
    fn stored(&self) -> u64 {
        match self.counted_elsewhere {
            true => self.database.confirmed(),
            false => self.database.stored(),
        }
    }
}

struct Batch {
    records: Vec<UsageRecord>,
    leases: Vec<LeaseState>,
    reply: Option<oneshot::Sender<Result<Settled, Failure>>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        mut db: Db,
        shared: Arc<Shared>,
        tells: bool,
        mut spool: Option<Spool>,
    ) -> std::io::Result<(Writer, JoinHandle<()>)> {
        if let Some(spool) = &mut spool {
            spool.rows = spool::count(&mut db).map_err(std::io::Error::other)?;
            shared.spooled.store(spool.rows, Ordering::Relaxed);
        }
        let refusals = Refusals::count(&mut db, REFUSALS_MAX).map_err(std::io::Error::other)?;
        let (jobs, queue) = sync_channel(JOBS_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let writer = Writer {
            jobs,
            ended: Arc::default(),
            waiting: Arc::clone(&waiting),
        };
        let thread = Thread {
            db,
            refusals,
            shared,
            tells,
            spool,
            queue,
            waiting,
        };
        let handle = std::thread::Builder::new()
            .name("weir-store".into())
            .spawn(|| thread.run())?;
        Ok((writer, handle))
    }

    /// Settles the records of `body`; the answer comes once they are durable and counted.
    pub(crate) async fn settle(&self, body: Bytes) -> Result<Settled, Failure> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Settle(body, reply))?;
        answer.await.unwrap_or(Err(Failure::Unavailable))
    }

    /// Settles holds that nobody renewed.
    pub(crate) fn expire(&self, holds: Vec<(String, Hold)>) -> Result<(), Failure> {
        self.send(Job::Expire(holds))
    }

    /// Runs `change` on the writer's connection.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Db) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let change = move |db: &mut Db| {
            // A caller that has gone does not undo the change.
            let _gone = reply.send(change(db));
        };
        self.send(Job::Change(Box::new(change)))?;
        answer.await.map_err(|_| Failure::Unavailable)
    }

    /// The same for threads that nobody else waits on.
    pub(crate) fn change_now<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Db) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let change = move |db: &mut Db| {
            let _gone = reply.send(change(db));
        };
        self.send(Job::Change(Box::new(change)))?;
        answer.blocking_recv().map_err(|_| Failure::Unavailable)
    }

    /// Gives up what the database has of the spool.
    pub(crate) fn trim(&self) {
        // A full queue has settlements in it, which do the same.
        let _busy = self.send(Job::Trim);
    }

    /// The records of these exchanges are counted.
    ///
    /// # Errors
    /// There is no place for it now: until it is said the database does not get them.
    pub(crate) fn counted(&self, exchanges: Vec<String>) -> Result<(), Failure> {
        self.send(Job::Counted(exchanges))
    }

    /// Ends the thread once everything sent before is written.
    pub(crate) fn stop(&self) {
        self.ended.store(true, Ordering::Relaxed);
        // A thread that has ended already needs no telling.
        let _ended = self.jobs.send(Job::Stop);
    }

    /// Whether nothing is written any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Jobs that wait.
    pub(crate) fn queue(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn send(&self, job: Job) -> Result<(), Failure> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        match self.jobs.try_send(job) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                Err(Failure::Unavailable)
            }
        }
    }
}

struct Thread {
    db: Db,
    refusals: Refusals,
    shared: Arc<Shared>,
    /// Whether somebody wants to be told of alerts.
    tells: bool,
    spool: Option<Spool>,
    queue: Receiver<Job>,
    waiting: Arc<AtomicUsize>,
}

impl Thread {
    fn run(mut self) {
        let mut next = self.queue.recv().ok();
        while let Some(job) = next.take() {
            let mut batches = Vec::new();
            match job {
                Job::Stop => return,
                Job::Change(change) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    change(&mut self.db);
                }
                Job::Counted(exchanges) => {
                    let busy = self.waiting.fetch_sub(1, Ordering::Relaxed) > 1;
                    if let Some(spool) = &mut self.spool {
                        spool.counted.extend(exchanges);
                        if !busy || spool.counted.len() > COUNTED_MAX {
                            self.trim();
                            if let Some(spool) = &self.spool {
                                spool.database.ring();
                            }
                        }
                    }
                }
                Job::Trim => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.trim();
                }
                job => {
                    self.gather(job, &mut batches);
                    let mut records: usize = 0;
                    while records < RECORDS_PER_COMMIT_MAX {
                        match self.queue.try_recv() {
                            Ok(job @ (Job::Settle(..) | Job::Expire(_))) => {
                                self.gather(job, &mut batches);
                            }
                            Ok(job) => {
                                next = Some(job);
                                break;
                            }
                            Err(_) => break,
                        }
                        records = batches.iter().map(|batch| batch.records.len()).sum();
                    }
                    self.commit(batches);
                }
            }
            if next.is_none() {
                next = self.queue.recv().ok();
            }
        }
    }

    fn gather(&self, job: Job, batches: &mut Vec<Batch>) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        match job {
            Job::Settle(body, reply) => match serde_json::from_slice::<Settle>(&body) {
                Ok(settle) => batches.push(Batch {
                    records: settle.records,
                    leases: settle.leases,
                    reply: Some(reply),
                }),
                Err(_) => {
                    let _gone = reply.send(Err(Failure::Malformed));
                }
            },
            Job::Expire(holds) => {
                let now_ms = clock::now_ms();
                let records = holds
                    .into_iter()
                    .map(|hold| expired(hold, now_ms))
                    .collect();
                batches.push(Batch {
                    records,
                    leases: Vec::new(),
                    reply: None,
                });
            }
            Job::Change(_) | Job::Trim | Job::Counted(_) | Job::Stop => {}
        }
    }

    /// Makes all batches durable together, counts them, answers.
    fn commit(&mut self, batches: Vec<Batch>) {
        let records: Vec<&UsageRecord> = batches.iter().flat_map(|batch| &batch.records).collect();
        let now_ms = clock::now_ms();
        let charged: Vec<u64> = {
            let core = self.shared.core();
            let at = |record: &&UsageRecord| {
                let hold = record.lease.as_ref().unwrap_or(&record.exchange);
                let replica = self.shared.replica.as_ref();
                if let Some(at_ms) = replica.and_then(|replica| replica.own.admitted_ms(hold)) {
                    return at_ms;
                }
                core.ledger.charged_ms(hold, record.at_ms, now_ms)
            };
            records.iter().map(at).collect()
        };
        match self.write(&records, &charged) {
            Ok(written) => {
                self.shared.note_store(true);
                let leases = batches.iter().map(|batch| batch.leases.as_slice());
                self.apply(&records, leases, &charged, &written, now_ms);
                self.alert(now_ms);
                self.answer(batches, &charged, &written);
            }
            Err(error) => {
                self.shared.note_store(false);
                let fields =
                    serde_json::json!({"error": error.to_string(), "records": records.len()});
                self.shared
                    .log
                    .line(Level::Error, "the store does not take records", fields);
                for reply in batches.into_iter().filter_map(|batch| batch.reply) {
                    let _gone = reply.send(Err(Failure::Unavailable));
                }
            }
        }
    }

    /// Writes records with all their sums, in one transaction.
    fn write(
        &mut self,
        records: &[&UsageRecord],
        charged: &[u64],
    ) -> Result<Vec<(Written, u64)>, DbError> {
        let shared = Arc::clone(&self.shared);
        if let Some(spool) = &self.spool
            && spool.rows.saturating_add(records.len() as u64) > spool.max
        {
            return Err(DbError::Other(
                "too many records wait for the database".into(),
            ));
        }
        let (refusals, spool) = (&self.refusals, self.spool.as_ref());
        let stored = spool.map_or(0, Spool::stored);
        let (written, kept, spooled, gone) = self.db.transaction(|step| {
            let mut written = Vec::with_capacity(records.len());
            let (mut sums, mut spooled) = (Sums::default(), 0_u64);
            for (record, charged_ms) in records.iter().zip(charged) {
                if record.key.is_empty() {
                    // Nobody to charge: it is counted and logged only.
                    written.push((Written::New, 0));
                    continue;
                }
                let result = usage::write(step, record, *charged_ms, &mut sums)?;
                charge(&mut sums, &shared.core(), record, *charged_ms, &result);
                let mut seq = 0;
                if let Some(spool) = spool.filter(|_| result != Written::Known) {
                    seq = spool::add(step, record, *charged_ms, !spool.counted_elsewhere)?;
                    spooled = spooled.saturating_add(1);
                }
                written.push((result, seq));
            }
            sums.write(step)?;
            let all = records.iter().copied().zip(written.iter().map(|it| &it.0));
            let kept = refusals.trim(step, all)?;
            let gone = match spool {
                Some(spool) if stored > spool.trimmed || !spool.counted.is_empty() => {
                    spool::counted(step, &spool.counted)?;
                    spool::stored(step, stored)?
                }
                _ => 0,
            };
            Ok::<_, DbError>((written, kept, spooled, gone))
        })?;
        self.refusals.committed(kept);
        self.spooled(spooled, gone, stored);
        Ok(written)
    }

    /// More records wait, and those up to `stored` no more.
    fn spooled(&mut self, more: u64, gone: u64, stored: u64) {
        if let Some(spool) = &mut self.spool {
            spool.trimmed = stored;
            spool.counted.clear();
            spool.rows = spool.rows.saturating_add(more).saturating_sub(gone);
            self.shared.spooled.store(spool.rows, Ordering::Relaxed);
            if more > 0 {
                spool.database.ring();
            }
        }
    }

    /// Gives up what the database has.
    fn trim(&mut self) {
        let Some(spool) = &self.spool else {
            return;
        };
        let stored = spool.stored();
        let trimmed = self.db.transaction(|step| {
            spool::counted(step, &spool.counted)?;
            let gone = spool::stored(step, stored)?;
            spool::trim_ledger(step, KEPT)?;
            Ok::<_, DbError>(gone)
        });
        // What stays is given to the database again after a restart, which knows it.
        if let Ok(gone) = trimmed {
            self.spooled(0, gone, stored);
        }
    }

    /// Tells of thresholds that were reached. What cannot be noted now comes again after a restart.
    fn alert(&mut self, now_ms: u64) {
        let crossings = self.shared.core().ledger.take_crossings();
        if crossings.is_empty() {
            return;
        }
        let shares = self.spool.is_some();
        match alerts::note(&mut self.db, crossings, now_ms, self.tells || shares) {
            // The first of all services says it.
            Ok(_) if shares => {
                if let Some(spool) = &self.spool {
                    spool.database.ring();
                }
            }
            Ok(fresh) => super::super::alerts::log(&fresh, &self.shared.log),
            Err(error) => {
                let fields = serde_json::json!({"error": error.to_string()});
                let line = "thresholds of budgets cannot be noted";
                self.shared.log.line(Level::Error, line, fields);
            }
        }
    }

    /// Answers everybody, or leaves that to who counts the records elsewhere.
    fn answer(&self, batches: Vec<Batch>, charged: &[u64], written: &[(Written, u64)]) {
        let mut durable = counting::Batch::default();
        let mut written = written.iter().zip(charged);
        for batch in batches {
            let count = u32::try_from(batch.records.len()).unwrap_or(u32::MAX);
            let replies = batch.reply.into_iter().map(|reply| (reply, count));
            durable.replies.extend(replies);
            let fresh = batch.records.into_iter().zip(written.by_ref());
            let fresh = fresh.filter(|(_, ((written, _), _))| *written != Written::Known);
            let fresh = fresh.map(|(record, ((_, seq), charged_ms))| Durable {
                record,
                charged_ms: *charged_ms,
                place: Place {
                    seq: *seq,
                    again: None,
                },
                elsewhere: false,
            });
            durable.records.extend(fresh);
            durable.leases.extend(batch.leases);
        }
        match &self.shared.replica {
            Some(replica) => replica.count(durable),
            None => durable.answer(),
        }
    }

    /// Exchanges under leases are asked for by nobody else.
    fn note_demand(&self, records: &[&UsageRecord]) {
        let now_ms = clock::now_ms();
        let mut core = self.shared.core();
        for record in records.iter().filter(|record| record.lease.is_some()) {
            if let Some(entry) = core.keys.by_id_mut(&record.key) {
                entry.demand.note(1, now_ms);
            }
        }
    }

    fn apply<'a>(
        &self,
        records: &[&UsageRecord],
        leases: impl Iterator<Item = &'a [LeaseState]>,
        charged: &[u64],
        written: &[(Written, u64)],
        now_ms: u64,
    ) {
        let written = || written.iter().map(|it| &it.0);
        let all = || records.iter().zip(charged).zip(written());
        if self.shared.replica.is_some() {
            self.note_demand(records);
        } else {
            let mut core = self.shared.core();
            let mut leased = Vec::new();
            for ((record, charged_ms), written) in all() {
                let scopes = core.scope_ids(&Spent::of(record));
                if let Written::Replaced { old, charged_ms } = written {
                    let stood = core.scope_ids(&old.spent(&record.key));
                    let taken_back = old.cost_nano.saturating_neg();
                    core.ledger.charge(&stood, *charged_ms, taken_back);
                }
                core.settle_limits(record, matches!(written, Written::New), now_ms);
                let ledger = &mut core.ledger;
                match written {
                    Written::New if record.key.is_empty() => ledger.cancel(&record.exchange),
                    Written::New => match &record.lease {
                        Some(lease) => {
                            ledger.settle_leased(lease, &scopes, *charged_ms, record.cost_nano);
                            leased.push(record.key.as_str());
                        }
                        None => {
                            ledger.settle(&record.exchange, &scopes, *charged_ms, record.cost_nano);
                        }
                    },
                    Written::Replaced { charged_ms, .. } => {
                        ledger.cancel(&record.exchange);
                        ledger.charge(&scopes, *charged_ms, record.cost_nano);
                    }
                    Written::Known => ledger.cancel(&record.exchange),
                }
            }
            for key in leased {
                if let Some(entry) = core.keys.by_id_mut(key) {
                    entry.demand.note(1, now_ms);
                }
            }
            for state in leases {
                core.lease_states(state, now_ms);
            }
            let Core {
                journal,
                ledger,
                limits,
                ..
            } = &mut *core;
            if journal.is_full()
                && let Err(error) = journal.compact(ledger, limits)
            {
                let fields = serde_json::json!({"error": error.to_string()});
                self.shared.log.line(
                    Level::Error,
                    "the journal of holds cannot be rewritten",
                    fields,
                );
            }
        }
        let mut lines = Vec::new();
        let mut metrics = self.shared.metrics();
        for ((record, _), written) in all() {
            match written {
                Written::New => metrics.observe(record),
                Written::Replaced { old, .. } => {
                    let more_nano = record.cost_nano.saturating_sub(old.cost_nano);
                    metrics.correct(record, more_nano);
                }
                Written::Known => continue,
            }
            self.shared.log.exchange(record, now_ms, &mut lines);
        }
        drop(metrics);
        log::emit(&lines);
    }
}

/// What a record changes in the spend of scopes, as far as `written` says that it counts.
pub(super) fn charge(
    sums: &mut Sums,
    core: &Core,
    record: &UsageRecord,
    charged_ms: u64,
    written: &Written,
) {
    let mut at_ms = charged_ms;
    let calendar = core.ledger.calendar();
    let day_of = |at_ms| calendar.window(Period::Daily, at_ms).start_ms;
    match written {
        Written::Known => return,
        Written::New => {}
        Written::Replaced { old, charged_ms } => {
            let taken_back = old.cost_nano.saturating_neg();
            sums.spend(
                &core.scopes(&old.spent(&record.key)),
                day_of(*charged_ms),
                taken_back,
            );
            at_ms = *charged_ms;
        }
    }
    if record.cost_nano != 0 {
        sums.spend(
            &core.scopes(&Spent::of(record)),
            day_of(at_ms),
            record.cost_nano,
        );
    }
}

/// The record that stands for an exchange nobody settled.
fn expired((exchange, hold): (String, Hold), now_ms: u64) -> UsageRecord {
    UsageRecord {
        endpoint: String::new(),
        tags: hold.tags,
        trace_id: exchange.clone(),
        exchange,
        key: hold.key,
        user: hold.user,
        at_ms: hold.admitted_ms,
        duration_ms: now_ms.saturating_sub(hold.admitted_ms),
        first_byte_ms: None,
        provider: hold.provider,
        model: hold.model,
        status: 500,
        code: String::new(),
        ending: Ending::Expired,
        stream: false,
        attempts: 0,
        usage: Usage {
            input: hold.tokens_in,
            ..Usage::default()
        },
        metered: true,
        cost_nano: hold.metered_nano,
        cache: CacheStatus::Off,
        pii: Vec::new(),
        pii_action: None,
        guard: Vec::new(),
        lease: None,
    }
}
