//! What is durable changes counters, metrics and the log.

use engine::ledger::ScopeId;
use engine::period;
use engine::wire::{LeaseState, UsageRecord};

use super::super::super::log::{self, Level};
use super::super::super::state::{Core, Spent};
use super::super::usage::Written;
use super::Thread;

/// A record, when it is charged, and what writing it came to.
type Settled<'a> = (&'a UsageRecord, u64, &'a Written);

impl Thread {
    /// Counts records, takes back what leases do not need, and tells of both.
    pub(super) fn apply<'a>(
        &self,
        records: &[&UsageRecord],
        leases: impl Iterator<Item = &'a [LeaseState]>,
        charged: &[u64],
        written: &[(Written, u64)],
        now_ms: u64,
    ) {
        let all = || {
            let all = records.iter().zip(charged).zip(written);
            all.map(|((record, charged_ms), (written, _))| (*record, *charged_ms, written))
        };
        {
            let mut core = self.shared.core();
            let counted_here = self.shared.replica.is_none();
            if counted_here {
                count(&mut core, all(), now_ms);
            }
            note_demand(&mut core, all(), counted_here, now_ms);
            if counted_here {
                for states in leases {
                    core.lease_states(states, now_ms);
                }
                self.compact(&mut core);
            }
        }
        self.tell(all(), now_ms);
    }

    /// Makes the journal of holds short again.
    fn compact(&self, core: &mut Core) {
        let Core {
            journal,
            ledger,
            limits,
            ..
        } = core;
        if journal.is_full()
            && let Err(error) = journal.compact(ledger, limits)
        {
            let fields = serde_json::json!({"error": error.to_string()});
            let line = "the journal of holds cannot be rewritten";
            self.shared.log.line(Level::Error, line, fields);
        }
    }

    fn tell<'a>(&self, all: impl Iterator<Item = Settled<'a>>, now_ms: u64) {
        let timestamp = period::rfc3339(now_ms);
        let mut lines = Vec::new();
        let mut metrics = self.shared.metrics();
        for (record, _, written) in all {
            match written {
                Written::New => metrics.observe(record),
                Written::Replaced { old, .. } => {
                    let more_nano = record.cost_nano.saturating_sub(old.cost_nano);
                    metrics.correct(record, more_nano);
                }
                Written::Known => continue,
            }
            self.shared.log.exchange(record, &timestamp, &mut lines);
        }
        drop(metrics);
        log::emit(&lines);
    }
}

fn count<'a>(core: &mut Core, all: impl Iterator<Item = Settled<'a>>, now_ms: u64) {
    // Records that follow each other mostly count in the same scopes.
    let mut last: Option<(Spent<'a>, Vec<ScopeId>)> = None;
    for (record, charged_ms, written) in all {
        let spent = Spent::of(record);
        if last.as_ref().is_none_or(|(of, _)| *of != spent) {
            last = Some((spent, core.scope_ids(&spent)));
        }
        let scopes = last.as_ref().map_or(&[] as &[_], |(_, scopes)| scopes);
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
                Some(lease) => ledger.settle_leased(lease, scopes, charged_ms, record.cost_nano),
                None => ledger.settle(&record.exchange, scopes, charged_ms, record.cost_nano),
            },
            Written::Replaced { charged_ms, .. } => {
                ledger.cancel(&record.exchange);
                ledger.charge(scopes, *charged_ms, record.cost_nano);
            }
            Written::Known => ledger.cancel(&record.exchange),
        }
    }
}

/// Exchanges under leases are asked for by nobody else.
fn note_demand<'a>(
    core: &mut Core,
    all: impl Iterator<Item = Settled<'a>>,
    counted_here: bool,
    now_ms: u64,
) {
    for (record, _, written) in all {
        if record.lease.is_some()
            && (!counted_here || *written == Written::New)
            && let Some(entry) = core.keys.by_id_mut(&record.key)
        {
            entry.demand.note(1, now_ms);
        }
    }
}
