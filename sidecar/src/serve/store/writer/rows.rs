//! Records as rows and sums, in one transaction.

use std::sync::Arc;

use engine::ledger::{Hold, Scope};
use engine::period::{Period, Window};
use engine::usage::{NanoUsd, Usage};
use engine::wire::{CacheStatus, Ending, UsageRecord};

use super::super::super::state::{Core, Spent};
use super::super::db::DbError;
use super::super::spool;
use super::super::sums::Sums;
use super::super::usage::{self, Written};
use super::{Spool, Thread};

impl Thread {
    /// Writes records with all their sums, in one transaction: what came of each, and its place in the
    /// spool.
    pub(super) fn write(
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
            let all = records.iter().copied().zip(charged.iter().copied());
            let kept: Vec<_> = all.filter(|(record, _)| !record.key.is_empty()).collect();
            let mut results = usage::write_each(step, &kept, &mut sums)?.into_iter();
            for (record, charged_ms) in records.iter().zip(charged) {
                let charges = !record.key.is_empty();
                let Some(result) = charges.then(|| results.next()).flatten() else {
                    // Nobody to charge: it is counted and logged only.
                    written.push((Written::New, 0));
                    continue;
                };
                let mut seq = 0;
                if let Some(spool) = spool.filter(|_| result != Written::Known) {
                    seq = spool::add(step, record, *charged_ms, !spool.counted_elsewhere)?;
                    spooled = spooled.saturating_add(1);
                }
                written.push((result, seq));
            }
            let results = || written.iter().map(|(result, _)| result);
            let all = records.iter().zip(charged).zip(results());
            let all = all.map(|((record, charged_ms), result)| (*record, *charged_ms, result));
            charge(&mut sums, &shared.core(), all);
            sums.write(step)?;
            let all = records.iter().copied().zip(results());
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
}

/// What records change in the spend of scopes, as far as what was written says that they count.
pub(in super::super) fn charge<'a>(
    sums: &mut Sums,
    core: &Core,
    records: impl Iterator<Item = (&'a UsageRecord, u64, &'a Written)>,
) {
    let mut run = Run::default();
    for (record, charged_ms, written) in records {
        let mut at_ms = charged_ms;
        match written {
            // Without a key there is nobody to charge.
            _ if record.key.is_empty() => continue,
            Written::Known => continue,
            Written::New => {}
            Written::Replaced { old, charged_ms } => {
                let taken_back = old.cost_nano.saturating_neg();
                run.add(sums, core, old.spent(&record.key), *charged_ms, taken_back);
                at_ms = *charged_ms;
            }
        }
        if record.cost_nano != 0 {
            run.add(sums, core, Spent::of(record), at_ms, record.cost_nano);
        }
    }
    run.end(sums);
}

/// Records that follow each other mostly count in the same scopes on the same day: these are looked up
/// once for all of them.
#[derive(Default)]
struct Run<'a>(Option<Same<'a>>);

struct Same<'a> {
    spent: Spent<'a>,
    day: Window,
    scopes: Vec<Scope>,
    cost_nano: NanoUsd,
}

impl<'a> Run<'a> {
    fn add(
        &mut self,
        sums: &mut Sums,
        core: &Core,
        spent: Spent<'a>,
        at_ms: u64,
        cost_nano: NanoUsd,
    ) {
        if let Some(same) = &mut self.0
            && same.spent == spent
            && same.day.start_ms <= at_ms
            && same.day.end_ms.is_some_and(|end_ms| at_ms < end_ms)
        {
            same.cost_nano = same.cost_nano.saturating_add(cost_nano);
            return;
        }
        self.end(sums);
        self.0 = Some(Same {
            spent,
            day: core.ledger.calendar().window(Period::Daily, at_ms),
            scopes: core.scopes(&spent),
            cost_nano,
        });
    }

    fn end(&mut self, sums: &mut Sums) {
        if let Some(same) = self.0.take() {
            sums.spend(&same.scopes, same.day.start_ms, same.cost_nano);
        }
    }
}

/// The record that stands for an exchange nobody settled.
pub(super) fn expired((exchange, hold): (String, Hold), now_ms: u64) -> UsageRecord {
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
