//! The one thread that writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use engine::ledger::Hold;
use engine::wire::{LeaseState, Settle, Settled, UsageRecord};
use tokio::sync::oneshot;

use super::super::log::Level;
use super::super::shared::Place;
use super::super::shared::counting::{self, Durable};
use super::super::state::Shared;
use super::alerts;
use super::db::Db;
use super::refusals::{REFUSALS_MAX, Refusals};
use super::spool;
use super::usage::Written;
use crate::clock;

mod counters;
mod rows;
mod spooling;

pub(super) use rows::charge;
pub(crate) use spooling::Spool;

/// Jobs that may wait. Above it callers are told to come again.
const JOBS_MAX: usize = 1_024;
/// Records of one transaction, so that a long queue does not make the first caller wait for all.
const RECORDS_PER_COMMIT_MAX: usize = 5_000;
/// Exchanges that are counted without the spool saying so.
const COUNTED_MAX: usize = 500;

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
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    if let Some(spool) = &mut self.spool {
                        spool.counted.extend(exchanges);
                        if spool.counted.len() > COUNTED_MAX {
                            self.say_counted();
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
                next = self.queue.try_recv().ok();
            }
            if next.is_none() {
                // Whatever comes next, these do not wait for it.
                self.say_counted();
                next = self.queue.recv().ok();
            }
        }
    }

    fn gather(&self, job: Job, batches: &mut Vec<Batch>) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        match job {
            Job::Settle(body, reply) => match Settle::read(&body) {
                Some(settle) => batches.push(Batch {
                    records: settle.records,
                    leases: settle.leases,
                    reply: Some(reply),
                }),
                None => {
                    let _gone = reply.send(Err(Failure::Malformed));
                }
            },
            Job::Expire(holds) => {
                let now_ms = clock::now_ms();
                let records = holds
                    .into_iter()
                    .map(|hold| rows::expired(hold, now_ms))
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
}
