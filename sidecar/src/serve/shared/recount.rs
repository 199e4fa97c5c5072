//! Records of the spool that Redis may not have counted: after it has lost its memory, after a restart of
//! this service, and when more is counted than before.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use engine::wire::Ending;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::super::state::Shared;
use super::super::store::spool::{self, Waiting};
use super::super::store::writer::Writer;
use super::counting::{Batch, Durable};
use super::epoch::Standing;
use super::ledger::Known;
use super::replica::Replica;
use super::{MARK_TTL_MS, Place, comeback};
use crate::clock;

/// Records of one piece.
const PIECE: usize = 500;
/// How long the ledger is left alone after it did not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// One that is under way.
pub(super) struct Recount {
    task: JoinHandle<()>,
    now: Standing,
}

impl Recount {
    /// Comes back when it has ended.
    pub(super) async fn end(&mut self) {
        let _done = (&mut self.task).await;
    }

    /// As of which everything is counted, once that is so.
    pub(super) fn ended(self) -> Result<Standing, Recount> {
        if self.task.is_finished() {
            Ok(self.now.clone())
        } else {
            Err(self)
        }
    }
}

impl Drop for Recount {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What there is to count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Holds of the service before are to be looked after.
    pub(super) is_first: bool,
    /// What was counted is counted again.
    pub(super) everything: bool,
}

/// Counts as of `now` what was counted as of `was`, or only what was not counted at all, once everything
/// that is held stands again.
pub(super) fn start(
    shared: &Arc<Shared>,
    writer: &Writer,
    (was, now): (Standing, Standing),
    extent: Extent,
) -> Recount {
    let (shared, writer, as_of) = (Arc::clone(shared), writer.clone(), now.clone());
    let Extent {
        is_first,
        everything,
    } = extent;
    let task = tokio::spawn(async move {
        let Some(replica) = &shared.replica else {
            return;
        };
        if is_first {
            comeback::all(replica, &was.epochs, &as_of.epochs).await;
        } else if was.epochs != as_of.epochs {
            comeback::doubtful(replica).await;
        }
        let rows = loop {
            let rows = writer.change(move |db| spool::all(db, everything)).await;
            if let Ok(Ok(rows)) = rows {
                break rows;
            }
            tokio::time::sleep(PAUSE).await;
        };
        for piece in rows.chunks(PIECE) {
            let epochs_differ = was.epochs != as_of.epochs;
            let known = looked_up(replica, piece, epochs_differ).await;
            let mut records = Vec::with_capacity(piece.len());
            for waiting in piece {
                let known = known.get(&waiting.record.exchange);
                records.push(again(&shared, replica, waiting, known, was.version).await);
            }
            let (done, counted) = oneshot::channel();
            replica.count(Batch {
                records,
                done: vec![done],
                ..Batch::default()
            });
            let _ended = counted.await;
        }
    });
    Recount { task, now }
}

/// What others have brought to the ledger of these records, as far as that can matter: what Redis knows
/// by itself needs no asking.
async fn looked_up(replica: &Replica, piece: &[Waiting], all: bool) -> HashMap<String, Known> {
    let oldest_ms = clock::now_ms().saturating_sub(MARK_TTL_MS / 2);
    let asked = piece.iter().filter(|it| {
        let ended_ms = it.record.at_ms.saturating_add(it.record.duration_ms);
        all || ended_ms < oldest_ms
    });
    let exchanges: Vec<String> = asked.map(|it| it.record.exchange.clone()).collect();
    if exchanges.is_empty() {
        return HashMap::new();
    }
    loop {
        // Without it nothing could be read that these records would be missing in.
        match replica.sums.known(&replica.who, exchanges.clone()).await {
            Ok((known, stored)) => {
                let own = |it: &&Waiting| it.seq <= stored;
                let own: Vec<&str> = piece
                    .iter()
                    .filter(own)
                    .map(|it| &*it.record.exchange)
                    .collect();
                let others = known.into_iter();
                let others = others.filter(|known| !own.contains(&&*known.exchange));
                return others
                    .map(|known| (known.exchange.clone(), known))
                    .collect();
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// A record as it is counted again. What another service has brought to the ledger is counted by that
/// one, and what an expired hold was charged is made known before its record replaces it.
async fn again(
    shared: &Shared,
    replica: &Replica,
    waiting: &Waiting,
    known: Option<&Known>,
    version: u64,
) -> Durable {
    let mut elsewhere = false;
    if let Some(known) = known {
        elsewhere = !known.expired || waiting.record.ending == Ending::Expired;
        while !elsewhere && replica.stand(shared, known).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Durable {
        record: waiting.record.clone(),
        charged_ms: waiting.charged_ms,
        place: Place {
            seq: waiting.seq,
            again: Some(version),
        },
        elsewhere,
    }
}
