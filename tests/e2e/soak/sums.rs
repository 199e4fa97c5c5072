//! Counters, ledger and its sums, once nothing runs.

use std::time::{Duration, Instant};

use e2e::fleet::Fleet;
use serde_json::Value;

use super::PLACES;
use super::audit::Findings;
use super::limits::{Limited, money};

/// Until everything is settled after the last client: holds of an Envoy that died take a minute.
const QUIET_WITHIN: Duration = Duration::from_secs(240);
/// Until what is asked again and again comes.
const SOON: Duration = Duration::from_secs(60);

/// Waits until nothing runs, waits or is held anywhere.
pub(super) async fn quiet(fleet: &Fleet) {
    let began = Instant::now();
    for place in 0..PLACES {
        fleet.ready(place).await;
    }
    loop {
        let mut open = Vec::new();
        for place in 0..PLACES {
            let health = fleet.shown(place, "/health").await.unwrap_or_default();
            let spooled = &health["parts"]["spooled_records"];
            let budgets = fleet.shown(place, "/admin/budgets").await;
            let budgets = budgets.unwrap_or_default();
            let held: Vec<String> = budgets["data"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default()
                .iter()
                .filter(|budget| money(budget, "held_usd") != 0)
                .map(|budget| format!("{} {}", budget["scope"], budget["held_usd"]))
                .collect();
            let holds = fleet.metric(place, "weir_holds_open").await;
            if *spooled != 0 || !held.is_empty() || budgets.is_null() || holds != Some(0.0) {
                let what = format!("{spooled} spooled, {holds:?} holds, held {held:?}");
                open.push(format!("place {place}: {what}"));
            }
        }
        if open.is_empty() {
            println!("quiet after {:.1?}", began.elapsed());
            return;
        }
        let patient = began.elapsed() < QUIET_WITHIN;
        assert!(patient, "never quiet: {open:#?}\n{}", holds(fleet).await);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What Redis still holds, what services have said of that, and what runs in Envoys.
async fn holds(fleet: &Fleet) -> String {
    let list = "EVAL \"return table.concat(redis.call('KEYS', 'weir:*:h:*'), ' ')\" 0";
    let mut told = Vec::new();
    for master in 0..fleet.stores.masters() {
        let keys = fleet.stores.master(master).command(list);
        for key in keys.unwrap_or_default().split_whitespace() {
            told.push(key.to_owned());
            let (_, exchange) = key.rsplit_once(":h:").unwrap_or_default();
            for place in &fleet.places {
                let output = place.sidecar().output();
                let lines = output.lines().filter(|line| line.contains(exchange));
                told.extend(lines.map(str::to_owned));
            }
        }
    }
    for place in 0..fleet.places.len() {
        let active = fleet.envoy(place, "/stats?filter=rq_active").await;
        told.push(active.unwrap_or_default());
    }
    told.join("\n")
}

/// Budgets as a place shows them, once it does.
async fn budgets(fleet: &Fleet, place: usize) -> Value {
    let began = Instant::now();
    loop {
        match fleet.shown(place, "/admin/budgets").await {
            None if began.elapsed() < SOON => tokio::time::sleep(Duration::from_millis(200)).await,
            budgets => return budgets.unwrap_or_default(),
        }
    }
}

/// Counters at each place, the ledger and its sums are the same money, within each limit.
pub(super) async fn sums(fleet: &Fleet, limited: &[Limited], findings: &mut Findings) {
    for limited in limited {
        let ledger = limited.ledger(fleet);
        let share = ledger as f64 / limited.limit_nano as f64;
        println!(
            "{} {}: {ledger}, {share:.3} of its limit",
            limited.scope, limited.name
        );
        if ledger > limited.limit_nano {
            findings.add("spent beyond a limit", format!("{ledger}: {limited:?}"));
        }
        for place in 0..PLACES {
            let shown = limited.shown(&budgets(fleet, place).await);
            if shown != Some((ledger, 0)) {
                let what = format!("place {place}: {shown:?}, ledger {ledger}: {limited:?}");
                findings.add("counters are not the ledger", what);
            }
        }
    }
    let sql = "SELECT (SELECT SUM(cost_nano) FROM llm_usage_log), \
               (SELECT SUM(cost_nano) FROM usage_daily), \
               (SELECT SUM(cost_nano) FROM spend_daily WHERE scope = 'global'), \
               (SELECT COUNT(*) FROM llm_usage_log WHERE ending <> 'refused'), \
               (SELECT SUM(requests) FROM usage_daily)";
    let sums = fleet.stores.postgres().sql(sql).expect("sums");
    println!("ledger, usage_daily, spend_daily, rows, requests: {sums}");
    let parts: Vec<&str> = sums.split('|').collect();
    if parts[0] != parts[1] || parts[0] != parts[2] {
        findings.add("sums are not the ledger", sums);
    }
}

/// Nobody has panicked.
pub(super) fn sound(fleet: &Fleet, findings: &mut Findings) {
    let bad = ["panicked", "wasm trap", "Proxy-Wasm plugin in-VM backtrace"];
    for (index, place) in fleet.places.iter().enumerate() {
        for output in [place.sidecar().output(), place.envoy().output()] {
            for line in output.lines() {
                if bad.iter().any(|word| line.contains(word)) {
                    findings.add("a panic", format!("place {index}: {line}"));
                }
            }
        }
    }
}
