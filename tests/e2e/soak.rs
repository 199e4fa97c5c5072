//! Three Envoys and their state services on one Redis and one PostgreSQL, with all of them killed,
//! frozen and emptied while clients stream and leave: no limit is exceeded, and each exchange is
//! charged once. `make soak` is the long one; `WEIR_SOAK_SEED` repeats the plan of a run, which is printed.
//! Bounds on time are wide: a machine that is busy with something else is no fault.

mod audit;
mod client;
mod harm;
mod limits;
mod plan;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e2e::behaviour::Behaviour;
use e2e::client::streaming;
use e2e::fleet::Fleet;

use audit::{Evidence, Findings};
use client::{Client, Noted};
use limits::{FEW, FEW_AT_ONCE, Limited, Limits, money};
use plan::Dice;
use serde_json::Value;

const PLACES: usize = 3;
/// Until everything is settled after the last client: holds of an Envoy that died take a minute.
const QUIET_WITHIN: Duration = Duration::from_secs(240);
/// Nobody may wait longer for a status, whatever happens.
const STATUS_WITHIN: Duration = Duration::from_secs(20);
/// Until what is asked again and again comes.
const SOON: Duration = Duration::from_secs(60);
/// What all clients together spend in a second, as far as limits are sized by it.
const NANO_PER_SECOND: f64 = 800_000.0;
/// The dearest word: three tokens of the dearer model.
const DEAREST_WORD_NANO: i64 = 3 * 15_000;
/// By so many words of streams that wait for their holds to grow may more be held than there is room for:
/// each is metered with the one that it waits with, and charged without it when there is no room.
const WAITING_WORDS: i64 = 4;

struct Size {
    seed: u64,
    clients: u64,
    span: Duration,
    pace_ms: (u64, u64),
}

fn setting(name: &str, default: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(default)
}

impl Size {
    fn of_environment() -> Size {
        let clients = setting("WEIR_SOAK_CLIENTS", 40);
        Size {
            seed: setting("WEIR_SOAK_SEED", 7),
            clients,
            span: Duration::from_secs(setting("WEIR_SOAK_SECONDS", 25)),
            // As many words a second whoever many there are: the machine is not what is tested.
            pace_ms: (clients / 8, clients / 3),
        }
    }

    /// A limit that `part` of all clients reach after `share` of the time, in percent.
    fn limit_nano(&self, part: f64, share: f64) -> i64 {
        (NANO_PER_SECOND * self.span.as_secs_f64() * part * share) as i64
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_each_exchange_is_charged_once_and_no_limit_exceeded() {
    let size = Size::of_environment();
    let dice = Dice::new(size.seed);
    let plan = plan::plan(&mut dice.of(0), PLACES, size.span);
    println!(
        "seed {}, {} clients, {:?}",
        size.seed, size.clients, size.span
    );
    for event in &plan {
        println!("{event}");
    }
    let limits = Limits::of(&size);
    let fleet = Arc::new(Fleet::start(PLACES, || limits.setup()).await);
    let mut keys = Vec::new();
    for members in limits.keys() {
        keys.push(fleet.new_key(&members).await);
    }
    let ids: Vec<String> = keys.iter().map(|(_, id)| id.clone()).collect();
    let limited = Arc::new(limits.limited(&ids));

    let findings = Arc::new(Mutex::new(Findings::default()));
    let began = Instant::now();
    let sampling = tokio::spawn(sample(
        fleet.clone(),
        limited.clone(),
        findings.clone(),
        dice.of(1),
    ));
    let streaming = stream(&fleet, &size, &keys, &dice, began);
    let harming = harm::all(&fleet, &plan, began);
    let ((noted, streamed), ()) = tokio::join!(streaming, harming);
    quiet(&fleet).await;
    sampling.abort();
    let (few, _) = &keys[FEW];
    let free = places(&fleet, few, FEW_AT_ONCE).await;
    quiet(&fleet).await;

    let mut findings = std::mem::take(&mut *findings.lock().expect("findings"));
    if let Err(statuses) = free {
        findings.add("a place among those that run is lost", statuses);
    }
    let seen = audit::seen(&fleet, &mut findings).await;
    let evidence = Evidence {
        noted,
        seen,
        rows: audit::rows(&fleet),
        plan,
        keys: ids,
    };
    println!("{}", told(&evidence, streamed));
    println!("{} looks at limits", findings.samples);
    let (lost, words) = evidence.exchanges(&mut findings);
    let (expired, charged) = evidence.expired(DEAREST_WORD_NANO, &mut findings);
    println!(
        "with their Envoys {lost} exchanges of {words} words ended; {expired} holds expired, \
         charged {charged} nano-dollars"
    );
    for noted in &evidence.noted {
        if noted.waited > STATUS_WITHIN {
            findings.add("kept waiting", format!("{noted:?}"));
        }
    }
    sums(&fleet, &limited, &mut findings).await;
    sound(&fleet, &mut findings);
    if !findings.is_empty() {
        let list = fleet.folder().join("findings");
        std::fs::write(&list, findings.all()).expect("findings");
        panic!("{findings}\nseed {}, all in {}", size.seed, list.display());
    }
}

/// All clients; what they noted, and how long they took.
async fn stream(
    fleet: &Arc<Fleet>,
    size: &Size,
    keys: &[(String, String)],
    dice: &Dice,
    began: Instant,
) -> (Vec<Noted>, Duration) {
    let mut running = tokio::task::JoinSet::new();
    for number in 0..size.clients {
        let index = number as usize % keys.len();
        let client = Client {
            fleet: fleet.clone(),
            number,
            key: (keys[index].0.clone(), index),
            dice: dice.of(2 + number),
            began,
            until: size.span,
            pace_ms: size.pace_ms,
        };
        running.spawn(client.run());
    }
    let noted = running.join_all().await;
    (noted.into_iter().flatten().collect(), began.elapsed())
}

/// Looks at limits all the time, here and there.
async fn sample(
    fleet: Arc<Fleet>,
    limited: Arc<Vec<Limited>>,
    findings: Arc<Mutex<Findings>>,
    mut dice: Dice,
) {
    let began = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let place = dice.roll(PLACES as u64) as usize;
        let Some(budgets) = fleet.shown(place, "/admin/budgets").await else {
            continue;
        };
        findings.lock().expect("findings").samples += 1;
        for limited in limited.iter() {
            let Some((spent, held)) = limited.shown(&budgets) else {
                continue;
            };
            let beyond = spent + held - limited.limit_nano;
            if spent > limited.limit_nano || beyond > WAITING_WORDS * DEAREST_WORD_NANO {
                let what = format!(
                    "{:?} at place {place}: {spent} spent, {held} held: {limited:?}",
                    began.elapsed()
                );
                findings
                    .lock()
                    .expect("findings")
                    .add("beyond a limit", what);
            }
        }
    }
}

/// Whether so many streams of a key can run at the same time: what else they got. A Redis that is slow on a
/// busy machine is tried again.
async fn places(fleet: &Fleet, key: &str, count: usize) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let statuses = all_at_once(fleet, key, count).await;
        if statuses.iter().all(|status| *status == 200) {
            return Ok(());
        }
        if began.elapsed() > SOON {
            return Err(format!("{statuses:?}"));
        }
    }
}

/// Statuses of so many streams that run at the same time.
async fn all_at_once(fleet: &Fleet, key: &str, count: usize) -> Vec<u16> {
    let slow = Behaviour {
        first_byte_ms: 1_000,
        ..Behaviour::default()
    };
    let body = streaming("gpt-4o-mini", &slow.directive());
    let asks = (0..count).map(|index| {
        let ask = fleet.post(index % PLACES, key, "/v1/chat/completions", &body);
        ask.send()
    });
    let answers = futures_util::future::join_all(asks).await;
    answers.iter().map(|answer| answer.status).collect()
}

/// Waits until nothing runs, waits or is held anywhere.
async fn quiet(fleet: &Fleet) {
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
        assert!(patient, "never quiet: {open:#?}\n{}", fleet.logs(30));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What clients got.
fn told(evidence: &Evidence, streamed: Duration) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut slowest: BTreeMap<String, Duration> = BTreeMap::new();
    for noted in &evidence.noted {
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
    let (all, seen) = (evidence.noted.len(), evidence.seen.len());
    let rows = evidence.rows.len();
    let head = format!("{all} requests in {streamed:.1?}, {seen} at the provider, {rows} rows");
    std::iter::once(head)
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
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
async fn sums(fleet: &Fleet, limited: &[Limited], findings: &mut Findings) {
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
fn sound(fleet: &Fleet, findings: &mut Findings) {
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
