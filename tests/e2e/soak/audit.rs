//! What clients, provider, ledger and counters say of a run, compared.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use e2e::behaviour::Recorded;
use e2e::fleet::Fleet;

use super::client::Noted;
use super::plan::{Event, Harm, Part};

/// How long after an exchange's end its record may still be with an Envoy whose state service answers.
const TOLD_WITHIN: Duration = Duration::from_secs(4);
/// How long after the end of a harm its state service may take to answer again.
const BACK_WITHIN: Duration = Duration::from_secs(8);
/// Findings of one kind that are printed.
const SHOWN: usize = 12;

/// A row of `llm_usage_log`.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) exchange: String,
    pub(super) trace: String,
    pub(super) key: String,
    pub(super) ending: String,
    pub(super) status: u16,
    pub(super) cost_nano: i64,
    pub(super) tokens_out: u64,
}

/// What does not add up, by kind.
#[derive(Debug, Default)]
pub(super) struct Findings {
    by_kind: BTreeMap<&'static str, Vec<String>>,
    /// Times that limits were looked at.
    pub(super) samples: u64,
    /// The most that one place has told of exchanges under leases.
    pub(super) leased: u64,
}

impl Findings {
    pub(super) fn add(&mut self, kind: &'static str, what: String) {
        self.by_kind.entry(kind).or_default().push(what);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_kind.is_empty()
    }

    /// All of them, one a line.
    pub(super) fn all(&self) -> String {
        let all = self.by_kind.iter().flat_map(|(kind, all)| {
            let lines = all.iter().map(move |one| format!("{kind}: {one}\n"));
            lines.collect::<Vec<_>>()
        });
        all.collect()
    }
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (kind, all) in &self.by_kind {
            writeln!(f, "== {kind}: {}", all.len())?;
            for one in all.iter().take(SHOWN) {
                writeln!(f, "   {one}")?;
            }
        }
        Ok(())
    }
}

/// Everything that is known of a run.
pub(super) struct Evidence {
    pub(super) noted: Vec<Noted>,
    pub(super) seen: HashMap<String, Recorded>,
    pub(super) rows: Vec<Row>,
    /// What was done to whom.
    pub(super) plan: Vec<Event>,
    /// Public ids of the keys.
    pub(super) keys: Vec<String>,
}

/// What the provider saw, by mark.
pub(super) async fn seen(fleet: &Fleet, findings: &mut Findings) -> HashMap<String, Recorded> {
    let mut seen = HashMap::new();
    for request in fleet.provider.requests("soak-").await {
        let Some(mark) = mark_of(&request.body).map(str::to_owned) else {
            continue;
        };
        if let Some(before) = seen.insert(mark.clone(), request) {
            let what = format!("{mark}: as {} before", before.id);
            findings.add("the provider was asked twice", what);
        }
    }
    seen
}

/// `soak-CLIENT-COUNT-`.
fn mark_of(body: &str) -> Option<&str> {
    let from = &body[body.find("soak-")?..];
    let end = from.match_indices('-').nth(2)?.0;
    Some(&from[..=end])
}

/// The ledger as PostgreSQL has it, with `columns` that can be read.
pub(super) fn rows(fleet: &Fleet) -> Vec<Row> {
    let sql = "SELECT exchange_id, trace_id, key_id, ending, status, cost_nano, completion_tokens \
               FROM llm_usage_log";
    let text = fleet.stores.postgres().sql(sql).expect("the ledger");
    text.lines()
        .map(|line| {
            let fields: Vec<&str> = line.split('|').collect();
            let [exchange, trace, key, ending, status, cost, out] = fields[..] else {
                panic!("{line}");
            };
            Row {
                exchange: exchange.to_owned(),
                trace: trace.to_owned(),
                key: key.to_owned(),
                ending: ending.to_owned(),
                status: status.parse().expect("status"),
                cost_nano: cost.parse().expect("cost"),
                tokens_out: out.parse().expect("tokens"),
            }
        })
        .collect()
}

impl Evidence {
    /// What clients got.
    pub(super) fn told(&self, streamed: Duration) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut slowest: BTreeMap<String, Duration> = BTreeMap::new();
        for noted in &self.noted {
            let kind = match (noted.status, noted.left, noted.broken.is_empty()) {
                (None, true, _) => "left before a status".to_owned(),
                (None, ..) => "no status".to_owned(),
                (Some(200), true, _) => "200, left".to_owned(),
                (Some(200), _, false) => "200, broken".to_owned(),
                (Some(200), ..) => "200".to_owned(),
                (Some(status), ..) => format!("{status} {}", noted.code),
            };
            let slow = slowest.entry(kind.clone()).or_default();
            *slow = noted.waited.max(*slow);
            *counts.entry(kind).or_default() += 1;
        }
        let lines = counts.iter().map(|(kind, count)| {
            let slowest = slowest.get(kind).copied().unwrap_or_default();
            format!("{count:7} {kind}, status within {slowest:.2?}")
        });
        let (all, seen) = (self.noted.len(), self.seen.len());
        let rows = self.rows.len();
        let head = format!("{all} requests in {streamed:.1?}, {seen} at the provider, {rows} rows");
        std::iter::once(head)
            .chain(lines)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Whether an exchange may have ended with its Envoy: that was killed while it ran, or before its
    /// record could be told.
    fn died(&self, noted: &Noted) -> bool {
        let mut told = noted.ended + TOLD_WITHIN;
        for event in &self.plan {
            let concerns = match event.part {
                Part::Sidecar(place) => place == noted.place,
                Part::Redis(_) => true,
                Part::Envoy(_) | Part::Postgres => false,
            };
            if concerns && event.at <= told {
                told = told.max(event.at + event.lasts + BACK_WITHIN);
            }
        }
        self.plan.iter().any(|event| {
            let killed = event.part == Part::Envoy(noted.place) && event.harm == Harm::Kill;
            killed && noted.sent <= event.at + event.lasts && event.at <= told
        })
    }

    /// Compares exchange by exchange. Gives how many were lost with their Envoys and what of these the
    /// provider had delivered.
    pub(super) fn exchanges(&self, findings: &mut Findings) -> (usize, u64) {
        let mut rows: HashMap<&str, Vec<&Row>> = HashMap::new();
        for row in &self.rows {
            rows.entry(row.trace.as_str()).or_default().push(row);
        }
        let (mut lost, mut words) = (0, 0);
        for noted in &self.noted {
            let seen = self.seen.get(&noted.mark);
            let rows = rows.get(noted.mark.as_str()).map_or(&[][..], Vec::as_slice);
            match rows {
                [] if seen.is_none() => {}
                [] if self.died(noted) => {
                    lost += 1;
                    words += seen.map_or(0, |seen| u64::from(seen.chunks_sent));
                }
                [] => findings.add("not in the ledger", format!("{noted:?}")),
                [row] => compare(noted, seen, row, findings),
                _ => findings.add(
                    "more than once in the ledger",
                    format!("{noted:?} {rows:?}"),
                ),
            }
        }
        (lost, words)
    }

    /// What stands for exchanges that nobody settled must be of such, and charge no more than these can
    /// have cost at `dearest_nano` a word.
    pub(super) fn expired(&self, dearest_nano: i64, findings: &mut Findings) -> (usize, i64) {
        let told: HashMap<&str, &Row> = self
            .rows
            .iter()
            .map(|row| (row.trace.as_str(), row))
            .collect();
        let mut room: HashMap<&str, i64> = HashMap::new();
        for noted in &self.noted {
            if !told.contains_key(noted.mark.as_str()) && self.died(noted) {
                let sent = self.seen.get(&noted.mark);
                let sent = sent.map_or(0, |seen| i64::from(seen.chunks_sent));
                *room.entry(self.keys[noted.key].as_str()).or_default() +=
                    (sent + 40) * dearest_nano;
            }
        }
        let expired: Vec<&Row> = self
            .rows
            .iter()
            .filter(|row| row.ending == "expired")
            .collect();
        for row in &expired {
            let room = room.entry(row.key.as_str()).or_default();
            *room -= row.cost_nano;
            if *room < 0 {
                findings.add("charged for nobody's exchange", format!("{row:?}"));
            }
        }
        let sum = expired.iter().map(|row| row.cost_nano).sum();
        (expired.len(), sum)
    }
}

fn compare(noted: &Noted, seen: Option<&Recorded>, row: &Row, findings: &mut Findings) {
    let told = || format!("{noted:?}\n      {row:?}\n      {seen:?}");
    if !noted.exchange.is_empty() && noted.exchange != row.exchange {
        findings.add("another exchange's row", told());
    }
    // A client that leaves while its prompt is on its way to the provider pays for that.
    let on_its_way = noted.left && noted.status.is_none() && row.tokens_out == 0;
    if seen.is_none() && row.cost_nano != 0 && !on_its_way {
        findings.add("charged without a call", told());
    }
    if row.tokens_out < noted.words {
        findings.add("less than was delivered", told());
    }
    let served = noted.status == Some(200);
    if served && noted.words > 0 && row.cost_nano == 0 {
        findings.add("delivered for nothing", told());
    }
    if served && noted.complete && noted.cost_nano.is_some_and(|cost| cost != row.cost_nano) {
        findings.add("another cost than the client was told", told());
    }
    if noted.status.is_some_and(|status| status != row.status) {
        findings.add("another status than the client got", told());
    }
}
