//! Medians, ratios and the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::load::Sample;
use crate::stage::Memory;

/// One round of a closed loop.
#[derive(Clone, Copy)]
pub(crate) struct Throughput {
    pub(crate) rps: f64,
    /// CPU time of Envoy and the state service per request.
    pub(crate) cpu_ms: f64,
    /// The state service's part of it.
    pub(crate) sidecar_ms: f64,
    /// Share of its core that was in use: below 0.95 something else was the limit.
    pub(crate) busy: f64,
}

/// One round of an open loop, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Latency {
    p50: f64,
    p99: f64,
    first_p50: f64,
}

impl Latency {
    pub(crate) fn of(samples: Vec<Sample>) -> Latency {
        let whole: Vec<Duration> = samples.iter().map(|sample| sample.whole).collect();
        let first: Vec<Duration> = samples.iter().map(|sample| sample.first).collect();
        Latency {
            p50: quantile(whole.clone(), 0.50),
            p99: quantile(whole, 0.99),
            first_p50: quantile(first, 0.50),
        }
    }
}

/// In milliseconds.
pub(crate) fn quantile(mut values: Vec<Duration>, share: f64) -> f64 {
    values.sort_unstable();
    let at = ((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1));
    values
        .get(at)
        .map_or(f64::NAN, |value| value.as_secs_f64() * 1000.0)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) struct Report {
    pinned: bool,
    rounds: u32,
    seconds: u64,
    order: Vec<&'static str>,
    throughput: BTreeMap<&'static str, Vec<Throughput>>,
    latency: BTreeMap<&'static str, Vec<Latency>>,
    memory: Option<(Memory, Memory)>,
}

impl Report {
    pub(crate) fn new(pinned: bool, rounds: u32, seconds: u64) -> Report {
        Report {
            pinned,
            rounds,
            seconds,
            order: Vec::new(),
            throughput: BTreeMap::new(),
            latency: BTreeMap::new(),
            memory: None,
        }
    }

    pub(crate) fn throughput(&mut self, name: &'static str, measured: Throughput) {
        if !self.order.contains(&name) {
            self.order.push(name);
        }
        self.throughput.entry(name).or_default().push(measured);
    }

    pub(crate) fn latency(&mut self, name: &'static str, measured: Latency) {
        self.latency.entry(name).or_default().push(measured);
    }

    /// Memory after load with one worker and with three.
    pub(crate) fn memory(&mut self, one: Memory, three: Memory) {
        self.memory = Some((one, three));
    }

    fn line(&self, name: &str) -> Line {
        let rounds = self
            .throughput
            .get(name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let paced = self
            .latency
            .get(name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        Line {
            rps: median(rounds.iter().map(|round| round.rps)),
            cpu_ms: median(rounds.iter().map(|round| round.cpu_ms)),
            sidecar_ms: median(rounds.iter().map(|round| round.sidecar_ms)),
            busy: median(rounds.iter().map(|round| round.busy)),
            p50: median(paced.iter().map(|round| round.p50)),
            p99: median(paced.iter().map(|round| round.p99)),
            first: median(paced.iter().map(|round| round.first_p50)),
        }
    }

    fn base(name: &str) -> &'static str {
        if name.ends_with("stream") {
            "plain Envoy, stream"
        } else {
            "plain Envoy"
        }
    }

    /// MiB that Weir adds to each worker of Envoy.
    fn per_worker(&self) -> Option<f64> {
        let (one, three) = self.memory?;
        Some(((three.weir - one.weir) - (three.plain - one.plain)) / 2.0)
    }

    pub(crate) fn table(&self) -> String {
        let mut out = String::new();
        let cores = if self.pinned {
            "Envoy with one worker and the state service on one core, load and provider on another"
        } else {
            "cores shared by all programs: figures are rough"
        };
        let _ = writeln!(
            out,
            "1 KB prompt, HTTP/1.1, loopback; streams of 64 chunks, each written by itself; {cores}; medians of {} rounds of {} s.\n",
            self.rounds, self.seconds
        );
        let _ = writeln!(
            out,
            "| {:<26} | {:>7} | {:>6} | {:>7} | {:>7} | {:>9} | {:>9} | {:>6} | {:>6} | {:>9} | {:>9} | {:>9} |",
            "through",
            "rps",
            "of it",
            "CPU ms",
            "sidecar",
            "CPU ratio",
            "core used",
            "p50 ms",
            "p99 ms",
            "added p50",
            "added p99",
            "TTFC p50"
        );
        let _ = writeln!(out, "|{}|", ["-"; 12].map(|dash| dash.repeat(3)).join("|"));
        for name in &self.order {
            let line = self.line(name);
            let base = self.line(Self::base(name));
            let _ = writeln!(
                out,
                "| {name:<26} | {:>7.0} | {:>6.2} | {:>7.4} | {:>7.4} | {:>9.2} | {:>9.2} | {:>6.2} | {:>6.2} | {:>9.2} | {:>9.2} | {:>9.2} |",
                line.rps,
                line.rps / base.rps,
                line.cpu_ms,
                line.sidecar_ms,
                base.cpu_ms / line.cpu_ms,
                line.busy,
                line.p50,
                line.p99,
                line.p50 - base.p50,
                line.p99 - base.p99,
                line.first,
            );
        }
        if let (Some((one, three)), Some(per_worker)) = (self.memory, self.per_worker()) {
            let _ = writeln!(
                out,
                "\nMiB resident after load: plain Envoy {:.0}, with Weir {:.0} (one worker); {:.0}, {:.0} (three); \
                 Weir adds {per_worker:.0} to each further worker; state service {:.0}.",
                one.plain, one.weir, three.plain, three.weir, one.sidecar
            );
        }
        out
    }

    pub(crate) fn json(&self) -> Value {
        let lines: BTreeMap<&str, Value> = self
            .order
            .iter()
            .map(|name| {
                let line = self.line(name);
                let base = self.line(Self::base(name));
                (
                    *name,
                    json!({
                        "rps": line.rps, "ratio": line.rps / base.rps,
                        "cpu_ms": line.cpu_ms, "sidecar_cpu_ms": line.sidecar_ms, "cpu_ratio": base.cpu_ms / line.cpu_ms, "busy": line.busy,
                        "p50_ms": line.p50, "p99_ms": line.p99, "first_p50_ms": line.first,
                        "added_p50_ms": line.p50 - base.p50, "added_p99_ms": line.p99 - base.p99,
                    }),
                )
            })
            .collect();
        json!({"through": lines, "added_mib_per_worker": self.per_worker()})
    }
}

struct Line {
    rps: f64,
    cpu_ms: f64,
    sidecar_ms: f64,
    busy: f64,
    p50: f64,
    p99: f64,
    first: f64,
}
