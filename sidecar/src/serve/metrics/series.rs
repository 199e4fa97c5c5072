//! The series that Prometheus reads, each with its name and help.

use engine::price::usd;

use super::text::{Kind, Text};
use super::{Gauges, Metrics, Series};

impl Metrics {
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
