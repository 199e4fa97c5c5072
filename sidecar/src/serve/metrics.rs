//! Counters of finished exchanges and their Prometheus text.
//!
//! Counters start at zero with the process, which `rate()` and `increase()` expect; what must not
//! restart is in the ledger. Series of configured models exist from the start, so that the first
//! request of each is seen as an increase.

use std::collections::{BTreeMap, BTreeSet};

use engine::price::usd;
use engine::reply::Code;
use engine::usage::NanoUsd;
use engine::wire::{CacheStatus, Ending, Policy, UsageRecord};

use crate::vault::Access;

mod text;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use text::MEDIA_TYPE;
use text::{Kind, Text};

/// Pairs of provider and model with series of their own; the rest counts as `other`.
const PAIRS_MAX: usize = 500;
/// Detector types with a series of their own.
const PII_TYPES_MAX: usize = 64;
/// Rules, directions and actions with a series of their own: there are fewer.
const VERDICTS_MAX: usize = 128;
/// Bytes of a label value; longer ones are cut.
const LABEL_BYTES_MAX: usize = 128;
const OTHER: &str = "other";
/// Upper bounds of the duration histogram, milliseconds.
const BUCKETS_MS: [u64; 15] = [
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000,
];

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

#[derive(Default)]
struct Histogram {
    /// Observations at or below each bound and above the one before.
    counts: [u64; BUCKETS_MS.len()],
    above: u64,
    sum_ms: u64,
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

    /// Prometheus' text format, version 0.0.4.
    pub(crate) fn render(&self, gauges: &Gauges) -> String {
        let mut text = Text::default();
        self.render_pairs(&mut text);
        self.render_counters(&mut text);
        let mut gauge = |name, help, value: String| {
            text.family(name, Kind::Gauge, help);
            text.sample(name, &[], &value);
        };
        gauge(
            "cache_hit_rate",
            "Share of exact-cache lookups that hit, 0 to 1, of this process.",
            self.cache_hit_rate().to_string(),
        );
        gauge(
            "weir_cache_entries",
            "Answers in the exact cache.",
            gauges.cache_entries.to_string(),
        );
        gauge(
            "weir_cache_bytes",
            "Bytes in the exact cache.",
            gauges.cache_bytes.to_string(),
        );
        gauge(
            "weir_holds_open",
            "Exchanges with money held for them.",
            gauges.holds_open.to_string(),
        );
        gauge(
            "weir_held_usd",
            "Money held for running exchanges.",
            usd(gauges.held_nano),
        );
        gauge(
            "weir_spent_month_usd",
            "Money spent since the first of the month (UTC).",
            usd(gauges.spent_month_nano),
        );
        gauge(
            "weir_keys",
            "Virtual keys, revoked ones included.",
            gauges.keys.to_string(),
        );
        gauge(
            "weir_writer_queue",
            "Jobs that wait for the store.",
            gauges.writer_queue.to_string(),
        );
        gauge(
            "weir_filter_vms",
            "Filter VMs seen in the last 5 seconds.",
            gauges.vms.to_string(),
        );
        gauge(
            "weir_store_up",
            "1 while the store takes writes.",
            u8::from(gauges.store_works).to_string(),
        );
        gauge(
            "weir_counters_up",
            "1 while what is counted can be read and changed; without Redis always.",
            u8::from(gauges.counters_work).to_string(),
        );
        gauge(
            "weir_spooled_records",
            "Settled records that wait for the shared database.",
            gauges.spooled.to_string(),
        );
        gauge(
            "weir_database_up",
            "1 while the shared database answers, and without one.",
            u8::from(gauges.database_works.unwrap_or(true)).to_string(),
        );
        text.finish()
    }

    fn render_pairs(&self, text: &mut Text) {
        let name = "llm_requests_total";
        text.family(
            name,
            Kind::Counter,
            "Finished exchanges by provider, model and outcome.",
        );
        self.each(|pair, series| {
            for (status, count) in [("success", series.succeeded), ("error", series.failed)] {
                text.sample(
                    name,
                    &[pair[0], pair[1], ("status", status)],
                    &count.to_string(),
                );
            }
        });
        let name = "llm_request_duration_seconds";
        text.family(
            name,
            Kind::Histogram,
            "Seconds from the request's head to the end of the answer.",
        );
        self.each(|pair, series| series.duration.render(text, name, pair));
        let name = "llm_cost_total_usd";
        text.family(
            name,
            Kind::Counter,
            "Price of finished exchanges in US dollars.",
        );
        self.each(|pair, series| text.sample(name, &pair, &usd(series.cost_nano)));
        let name = "weir_tokens_total";
        text.family(
            name,
            Kind::Counter,
            "Tokens of finished exchanges, cache hits left out.",
        );
        self.each(|pair, series| {
            for (direction, count) in [("in", series.tokens_in), ("out", series.tokens_out)] {
                text.sample(
                    name,
                    &[pair[0], pair[1], ("direction", direction)],
                    &count.to_string(),
                );
            }
        });
        let name = "weir_attempts_total";
        text.family(
            name,
            Kind::Counter,
            "Attempts at providers, counted at the last one tried.",
        );
        self.each(|pair, series| text.sample(name, &pair, &series.attempts.to_string()));
    }

    fn render_counters(&self, text: &mut Text) {
        let name = "cache_requests_total";
        text.family(name, Kind::Counter, "Lookups in the exact cache.");
        for (result, count) in [("hit", self.cache_hits), ("miss", self.cache_misses)] {
            text.sample(name, &[("result", result)], &count.to_string());
        }
        let name = "weir_refusals_total";
        text.family(
            name,
            Kind::Counter,
            "Exchanges that ended with an error code of Weir's.",
        );
        for (code, count) in &self.refusals {
            text.sample(name, &[("code", code)], &count.to_string());
        }
        let name = "weir_pii_findings_total";
        text.family(
            name,
            Kind::Counter,
            "Personal data found in requests and answers, by type.",
        );
        for (kind, count) in &self.pii {
            text.sample(name, &[("type", kind)], &count.to_string());
        }
        let name = "weir_guardrail_verdicts_total";
        text.family(
            name,
            Kind::Counter,
            "What guardrails found, by rule, direction and what was done.",
        );
        for ((rule, on, action), count) in &self.verdicts {
            let labels = [
                ("rule", rule.as_str()),
                ("direction", on),
                ("action", action),
            ];
            text.sample(name, &labels, &count.to_string());
        }
        let name = "weir_admissions_total";
        text.family(
            name,
            Kind::Counter,
            "Finished exchanges by how they were admitted.",
        );
        for (by, count) in ["lease", "call"].into_iter().zip(self.admitted) {
            text.sample(name, &[("by", by)], &count.to_string());
        }
        let name = "weir_vault_fetches_total";
        text.family(
            name,
            Kind::Counter,
            "Secrets asked of a vault; result is ok, denied, missing, unavailable or unusable.",
        );
        for (vault, results) in &self.vaults {
            for (result, count) in results {
                let labels = [("vault", vault.as_str()), ("result", *result)];
                text.sample(name, &labels, &count.to_string());
            }
        }
        for (name, help, count) in [
            (
                "weir_clients_gone_total",
                "Clients that left before the answer was complete.",
                self.clients_gone,
            ),
            (
                "weir_holds_expired_total",
                "Holds that were given up without a settlement.",
                self.holds_expired,
            ),
        ] {
            text.family(name, Kind::Counter, help);
            text.sample(name, &[], &count.to_string());
        }
    }

    fn each(&self, mut visit: impl FnMut([(&'static str, &str); 2], &Series)) {
        for (provider, models) in &self.pairs {
            for (model, series) in models {
                visit([("provider", provider), ("model", model)], series);
            }
        }
    }
}

impl Histogram {
    fn observe(&mut self, ms: u64) {
        let place = BUCKETS_MS.iter().position(|bound| ms <= *bound);
        match place.and_then(|place| self.counts.get_mut(place)) {
            Some(count) => bump(count, 1),
            None => bump(&mut self.above, 1),
        }
        bump(&mut self.sum_ms, ms);
    }

    fn render(&self, text: &mut Text, name: &str, pair: [(&'static str, &str); 2]) {
        let bucket = format!("{name}_bucket");
        let mut total: u64 = 0;
        for (bound, count) in BUCKETS_MS.iter().zip(self.counts) {
            bump(&mut total, count);
            let bound = seconds(*bound);
            text.sample(
                &bucket,
                &[pair[0], pair[1], ("le", &bound)],
                &total.to_string(),
            );
        }
        bump(&mut total, self.above);
        let total = total.to_string();
        text.sample(&bucket, &[pair[0], pair[1], ("le", "+Inf")], &total);
        text.sample(&format!("{name}_sum"), &pair, &seconds(self.sum_ms));
        text.sample(&format!("{name}_count"), &pair, &total);
    }
}

fn seconds(ms: u64) -> String {
    (ms as f64 / 1_000.0).to_string()
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
