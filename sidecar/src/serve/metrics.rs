//! Counters of finished exchanges and their Prometheus text.
//!
//! Counters start at zero with the process, which `rate()` and `increase()` expect; what must not
//! restart is in the ledger. Series of configured models exist from the start, so that the first
//! request of each is seen as an increase.

use std::collections::{BTreeMap, BTreeSet};

use engine::reply::Code;
use engine::usage::NanoUsd;
use engine::wire::{CacheStatus, Ending, Policy, UsageRecord};

use crate::vault::Access;

mod histogram;
mod series;
mod text;

#[cfg(test)]
pub(crate) mod tests;

use histogram::Histogram;
pub(crate) use text::MEDIA_TYPE;

/// Pairs of provider and model with series of their own; the rest counts as `other`.
const PAIRS_MAX: usize = 500;
/// Detector types with a series of their own.
const PII_TYPES_MAX: usize = 64;
/// Rules, directions and actions with a series of their own: there are fewer.
const VERDICTS_MAX: usize = 128;
/// Bytes of a label value; longer ones are cut.
const LABEL_BYTES_MAX: usize = 128;
const OTHER: &str = "other";

/// Counters of finished exchanges.
pub(crate) struct Metrics {
    /// By provider, then model.
    pairs: BTreeMap<String, BTreeMap<String, Series>>,
    pair_count: usize,
    /// Models that requests may name without having reached a provider.
    known_models: BTreeSet<String>,
    refusals: BTreeMap<&'static str, u64>,
    pii: BTreeMap<String, u64>,
    /// By rule, direction and action.
    verdicts: BTreeMap<(String, &'static str, &'static str), u64>,
    cache_hits: u64,
    cache_misses: u64,
    holds_expired: u64,
    clients_gone: u64,
    /// Exchanges that were admitted under a lease, and by a call.
    admitted: [u64; 2],
    /// By vault, then result.
    vaults: BTreeMap<String, BTreeMap<&'static str, u64>>,
}

#[derive(Default)]
struct Series {
    succeeded: u64,
    failed: u64,
    duration: Histogram,
    cost_nano: NanoUsd,
    tokens_in: u64,
    tokens_out: u64,
    attempts: u64,
}

/// What is read at the moment of asking.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) holds_open: usize,
    pub(crate) keys: usize,
    pub(crate) cache_entries: usize,
    pub(crate) cache_bytes: usize,
    pub(crate) writer_queue: usize,
    pub(crate) vms: usize,
    pub(crate) store_works: bool,
    pub(crate) counters_work: bool,
    pub(crate) spooled: u64,
    /// `None` without one that is shared.
    pub(crate) database_works: Option<bool>,
    pub(crate) spent_month_nano: NanoUsd,
    pub(crate) held_nano: NanoUsd,
}

impl Metrics {
    /// Counters at zero for every model that `policy` lists.
    pub(crate) fn new(policy: &Policy) -> Metrics {
        let mut metrics = Metrics {
            pairs: BTreeMap::new(),
            pair_count: 0,
            known_models: policy.models.iter().map(|model| model.id.clone()).collect(),
            refusals: BTreeMap::new(),
            pii: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            cache_hits: 0,
            cache_misses: 0,
            holds_expired: 0,
            clients_gone: 0,
            admitted: [0; 2],
            vaults: BTreeMap::new(),
        };
        for model in policy.models.iter().filter(|model| model.listed) {
            metrics.series(&model.provider, &model.model);
        }
        metrics
    }

    /// Counts one finished exchange.
    pub(crate) fn observe(&mut self, record: &UsageRecord) {
        let (provider, model) = self.labels(record);
        let series = self.series(&provider, &model);
        if record.succeeded() {
            series.succeeded = series.succeeded.saturating_add(1);
        } else {
            series.failed = series.failed.saturating_add(1);
        }
        series.cost_nano = series.cost_nano.saturating_add(record.cost_nano);
        series.attempts = series.attempts.saturating_add(u64::from(record.attempts));
        if record.cache != CacheStatus::Hit {
            series.tokens_in = series.tokens_in.saturating_add(record.usage.input);
            series.tokens_out = series.tokens_out.saturating_add(record.usage.output);
        }
        if record.ending != Ending::Expired {
            series.duration.observe(record.duration_ms);
        }
        match record.cache {
            CacheStatus::Hit => self.cache_hits = self.cache_hits.saturating_add(1),
            CacheStatus::Miss => self.cache_misses = self.cache_misses.saturating_add(1),
            CacheStatus::Refresh | CacheStatus::Off => {}
        }
        if record.ending != Ending::Refused && !record.key.is_empty() {
            let [by_lease, by_call] = &mut self.admitted;
            bump(
                if record.lease.is_some() {
                    by_lease
                } else {
                    by_call
                },
                1,
            );
        }
        match record.ending {
            Ending::ClientGone => self.clients_gone = self.clients_gone.saturating_add(1),
            Ending::Expired => self.holds_expired = self.holds_expired.saturating_add(1),
            Ending::Done | Ending::Refused | Ending::UpstreamCut => {}
        }
        if !record.code.is_empty() {
            let name = Code::from_name(&record.code).map_or(OTHER, |code| code.row().name);
            bump(self.refusals.entry(name).or_default(), 1);
        }
        for (kind, count) in &record.pii {
            let full = self.pii.len() >= PII_TYPES_MAX && !self.pii.contains_key(kind);
            let kind = if full { OTHER } else { kind };
            bump(
                self.pii.entry(kind.to_owned()).or_default(),
                u64::from(*count),
            );
        }
        for verdict in &record.guard {
            let known = self.verdicts.len() < VERDICTS_MAX;
            let rule = if known { verdict.rule.as_str() } else { OTHER };
            let of = (rule.to_owned(), verdict.on.name(), verdict.action.name());
            let count = u64::from(verdict.count);
            bump(self.verdicts.entry(of).or_default(), count);
        }
    }

    /// Counts one access to a vault.
    pub(crate) fn vault_access(&mut self, access: &Access) {
        let results = self.vaults.entry(access.vault.clone()).or_default();
        bump(results.entry(access.result()).or_default(), 1);
    }

    /// Takes a correction of what an exchange cost.
    pub(crate) fn correct(&mut self, record: &UsageRecord, more_nano: NanoUsd) {
        let (provider, model) = self.labels(record);
        // A counter does not fall: a smaller cost shows in the ledger alone.
        let series = self.series(&provider, &model);
        series.cost_nano = series.cost_nano.saturating_add(more_nano.max(0));
    }

    /// Share of hits among the lookups of this process, 0 before the first.
    pub(crate) fn cache_hit_rate(&self) -> f64 {
        let lookups = self.cache_hits.saturating_add(self.cache_misses);
        if lookups == 0 {
            0.0
        } else {
            self.cache_hits as f64 / lookups as f64
        }
    }

    /// A model's name comes from the client until a provider was tried: unknown ones get one label.
    fn labels(&self, record: &UsageRecord) -> (String, String) {
        let tried = !record.provider.is_empty();
        let provider = if tried {
            record.provider.as_str()
        } else {
            "none"
        };
        let known = tried || self.known_models.contains(&record.model);
        let model = if known {
            record.model.as_str()
        } else {
            "unknown"
        };
        (cut(provider), cut(model))
    }

    fn series(&mut self, provider: &str, model: &str) -> &mut Series {
        let exists = self
            .pairs
            .get(provider)
            .is_some_and(|models| models.contains_key(model));
        let (provider, model) = if exists {
            (provider, model)
        } else if self.pair_count >= PAIRS_MAX {
            (OTHER, OTHER)
        } else {
            self.pair_count = self.pair_count.saturating_add(1);
            (provider, model)
        };
        let models = self.pairs.entry(provider.to_owned()).or_default();
        models.entry(model.to_owned()).or_default()
    }
}

fn bump(counter: &mut u64, by: u64) {
    *counter = counter.saturating_add(by);
}

fn cut(label: &str) -> String {
    let mut end = label.len().min(LABEL_BYTES_MAX);
    while !label.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    label.get(..end).unwrap_or_default().to_owned()
}
