//! Records that are durable here and not yet counted in Redis.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use engine::ledger::Scope;
use engine::wire::{Ending, LeaseState, Settled, UsageRecord};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::super::log::Level;
use super::super::state::{Shared, Spent};
use super::super::store::writer::{Failure, Writer};
use super::client::Fault;
use super::{Charged, Place};

/// Records that are counted at the same time.
const AT_ONCE_MAX: usize = 500;
/// How long a settlement that is durable is not answered because it is not counted yet.
const ANSWER_PATIENCE: Duration = Duration::from_millis(300);
/// How long Redis is left alone after it did not answer.
const PAUSE: Duration = Duration::from_millis(200);

/// A record that is durable.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    pub(crate) record: UsageRecord,
    /// Unix milliseconds that it is charged at.
    pub(crate) charged_ms: u64,
    pub(crate) place: Place,
    /// Another service has counted it.
    pub(crate) elsewhere: bool,
}

/// What one settlement leaves to do.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Durable>,
    pub(crate) leases: Vec<LeaseState>,
    /// Who waits until it is counted, however long that takes.
    pub(crate) done: Vec<oneshot::Sender<()>>,
    /// Who waits for it, and for how many records.
    pub(crate) replies: Vec<(oneshot::Sender<Result<Settled, Failure>>, u32)>,
}

impl Batch {
    /// Tells everybody who waits that the records are durable.
    pub(crate) fn answer(&mut self) {
        for (reply, durable) in self.replies.drain(..) {
            let _gone = reply.send(Ok(Settled { durable }));
        }
    }
}

/// Where the writer leaves what it has made durable.
pub(crate) type Counting = UnboundedSender<Batch>;

/// Counts what the writer leaves, in order, until it has succeeded.
pub(crate) async fn count(shared: Arc<Shared>, writer: Writer, mut left: UnboundedReceiver<Batch>) {
    let mut backlog = VecDeque::new();
    loop {
        let next = match backlog.pop_front() {
            Some(next) => Some(next),
            None => left.recv().await,
        };
        let Some(mut batch) = next else {
            return;
        };
        while batch.records.len() < AT_ONCE_MAX
            && let Some(more) = backlog.pop_front().or_else(|| left.try_recv().ok())
        {
            batch.records.extend(more.records);
            batch.leases.extend(more.leases);
            batch.replies.extend(more.replies);
            batch.done.extend(more.done);
        }
        let (records, leases) = (
            std::mem::take(&mut batch.records),
            std::mem::take(&mut batch.leases),
        );
        let work = async {
            let counted = settled(&shared, records).await;
            end(&shared, &leases).await;
            counted
        };
        tokio::pin!(work);
        let counted = match tokio::time::timeout(ANSWER_PATIENCE, &mut work).await {
            Ok(counted) => counted,
            Err(_) => {
                batch.answer();
                late(work, &mut left, &mut backlog).await
            }
        };
        batch.answer();
        let exchanges = counted.iter().map(|it| it.0.record.exchange.clone());
        let exchanges: Vec<String> = exchanges.collect();
        while writer.counted(exchanges.clone()).is_err() && !writer.has_ended() {
            tokio::time::sleep(PAUSE).await;
        }
        for done in std::mem::take(&mut batch.done) {
            let _gone = done.send(());
        }
        watch(&shared, &writer, &counted).await;
    }
}

/// While Redis is waited for, nobody else is kept waiting: what comes is durable.
async fn late<T>(
    work: impl Future<Output = T>,
    left: &mut UnboundedReceiver<Batch>,
    backlog: &mut VecDeque<Batch>,
) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            Some(mut more) = left.recv() => {
                more.answer();
                backlog.push_back(more);
            }
        }
    }
}

/// What stands for an expired hold comes before what replaces it.
async fn settled(shared: &Arc<Shared>, records: Vec<Durable>) -> Vec<(Durable, Charged)> {
    let (stands, records) = records
        .into_iter()
        .partition(|it: &Durable| it.record.ending == Ending::Expired);
    let mut done = together(shared, stands).await;
    done.extend(together(shared, records).await);
    done
}

async fn together(shared: &Arc<Shared>, records: Vec<Durable>) -> Vec<(Durable, Charged)> {
    let mut done = Vec::with_capacity(records.len());
    let mut waiting = records;
    loop {
        let mut calls = JoinSet::new();
        for record in std::mem::take(&mut waiting) {
            let shared = Arc::clone(shared);
            calls.spawn(async move {
                let answer = match &shared.replica {
                    Some(replica) => replica.settle(&shared, &record).await,
                    None => Err(Fault::Odd("there is none".to_owned())),
                };
                (record, answer)
            });
        }
        let mut why = None;
        while let Some(answer) = calls.join_next().await {
            match answer {
                Ok((record, Ok(charged))) => done.push((record, charged)),
                Ok((mut record, Err(fault))) => {
                    why = Some(fault);
                    // It may be counted though the answer is lost.
                    let version = shared.core().counted.version;
                    record.place.again.get_or_insert(version);
                    waiting.push(record);
                }
                Err(_) => {}
            }
        }
        let Some(why) = why else {
            return done;
        };
        let fields = json!({"error": why.to_string(), "records": waiting.len()});
        shared
            .log
            .line(Level::Warn, "records wait to be counted", fields);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Leases end after their records.
async fn end(shared: &Arc<Shared>, leases: &[LeaseState]) {
    let Some(replica) = &shared.replica else {
        return;
    };
    while !leases.is_empty() && replica.lease_states(leases).await.is_err() {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks whether thresholds were reached where something was charged.
async fn watch(shared: &Arc<Shared>, writer: &Writer, counted: &[(Durable, Charged)]) {
    let Some(replica) = &shared.replica else {
        return;
    };
    let scopes = {
        let core = shared.core();
        let mut scopes: Vec<Scope> = Vec::new();
        let records = counted.iter().map(|(durable, _)| &durable.record);
        for record in records.filter(|record| record.cost_nano != 0) {
            for scope in core.scopes(&Spent::of(record)) {
                let id = core.ledger.place_of(&scope);
                if id.is_some_and(|id| core.ledger.tells(id)) && !scopes.contains(&scope) {
                    scopes.push(scope);
                }
            }
        }
        scopes
    };
    if scopes.is_empty() {
        return;
    }
    // What cannot be seen now is seen with the next charge.
    let _unseen = replica.watch(shared, &scopes).await;
    if shared.core().ledger.has_crossings() {
        // The writer tells of thresholds after each of its steps, an empty one too.
        let _later = writer.expire(Vec::new());
    }
}
