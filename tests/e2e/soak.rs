//! Three Envoys and their state services on one Redis and one PostgreSQL, with all of them killed,
//! frozen and emptied while clients stream and leave: no limit is exceeded, and each exchange is
//! charged once. `make soak` is the long one; `WEIR_SOAK_SEED` repeats the plan of a run, which is printed, and
//! chooses whether there are leases and a Redis Cluster, unless `WEIR_SOAK_LEASES` and `WEIR_SOAK_CLUSTER` do.
//! Bounds on time are wide: a machine that is busy with something else is no fault.

mod audit;
mod client;
mod harm;
mod limits;
mod plan;
mod sums;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e2e::behaviour::Behaviour;
use e2e::client::streaming;
use e2e::fleet::Fleet;
use e2e::stores::Stores;

use audit::{Evidence, Findings};
use client::{Client, Manner, Noted};
use limits::{BUSY, FEW, FEW_AT_ONCE, Limited, Limits};
use plan::{Dice, Variant};
use sums::{quiet, sound, sums};

const PLACES: usize = 3;
/// Nobody may wait longer for a status, whatever happens.
const STATUS_WITHIN: Duration = Duration::from_secs(20);
/// How long places are asked for again and again.
const PLACES_WITHIN: Duration = Duration::from_secs(60);
/// What all clients together spend in a second, as far as limits are sized by it.
const NANO_PER_SECOND: f64 = 800_000.0;
/// The dearest word: three tokens of the dearer model.
const DEAREST_WORD_NANO: i64 = 3 * 15_000;
/// By so many words of streams that wait for their holds to grow may more be held than there is room for:
/// each is metered with the one that it waits with, and charged without it when there is no room.
const WAITING_WORDS: i64 = 4;

/// With leases one of so many clients is busy.
const BUSY_SHARE: u64 = 4;
/// What busy clients ask for in a second, all together. A key that is leased asks 20 times at a place.
const BUSY_PER_SECOND: u64 = 110;

struct Size {
    seed: u64,
    variant: Variant,
    clients: u64,
    span: Duration,
    pace_ms: (u64, u64),
}

fn set(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

impl Size {
    fn of_environment() -> Size {
        let clients = set("WEIR_SOAK_CLIENTS").unwrap_or(40);
        let seed = set("WEIR_SOAK_SEED").unwrap_or(7);
        let drawn = Variant::drawn(&mut Dice::new(seed).of(1));
        let leases = set("WEIR_SOAK_LEASES").map_or(drawn.leases, |is| is != 0);
        let cluster = set("WEIR_SOAK_CLUSTER").map_or(drawn.is_cluster(), |is| is != 0);
        Size {
            seed,
            variant: Variant::new(leases, cluster),
            clients,
            span: Duration::from_secs(set("WEIR_SOAK_SECONDS").unwrap_or(25)),
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
    soak(Size::of_environment()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_where_the_seed_has_chosen_otherwise() {
    let size = Size::of_environment();
    let variant = size.variant.other();
    soak(Size { variant, ..size }).await;
}

async fn soak(size: Size) {
    let (dice, variant) = (Dice::new(size.seed), size.variant);
    let plan = plan::plan(&mut dice.of(0), PLACES, variant.masters, size.span);
    println!(
        "SEED={} {variant} CLIENTS={} SOAK_SECONDS={}",
        size.seed,
        size.clients,
        size.span.as_secs()
    );
    for event in &plan {
        println!("{event}");
    }
    let limits = Limits::of(&size);
    let stores = match variant.is_cluster() {
        true => Stores::start_clustered(variant.masters),
        false => Stores::start(),
    };
    let fleet = Arc::new(Fleet::start_on(stores, PLACES, || limits.setup()).await);
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
        dice.of(2),
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
    println!("{}", evidence.told(streamed));
    println!(
        "{} looks at limits, at least {} admitted under leases",
        findings.samples, findings.leased
    );
    if (findings.leased > 0) != variant.leases {
        findings.add("leases", format!("{} admitted under some", findings.leased));
    }
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
    let busy = match size.variant.leases {
        true => size.clients / BUSY_SHARE,
        false => 0,
    };
    for number in 0..size.clients {
        let (index, manner) = if number < busy {
            // One place has clients of the other busy key as well.
            let spot = number as usize % (PLACES + 1);
            let every = Duration::from_secs(busy) / BUSY_PER_SECOND as u32;
            let place = spot % PLACES;
            (BUSY + spot / PLACES, Manner::Busy { place, every })
        } else {
            let pace_ms = size.pace_ms;
            (number as usize % BUSY, Manner::Slow { pace_ms })
        };
        let client = Client {
            fleet: fleet.clone(),
            number,
            key: (keys[index].0.clone(), index),
            dice: dice.of(3 + number),
            began,
            until: size.span,
            manner,
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
        let leased = "weir_admissions_total{by=\"lease\"}";
        let leased = fleet.metric(place, leased).await.unwrap_or(0.0);
        {
            let mut findings = findings.lock().expect("findings");
            findings.samples += 1;
            findings.leased = findings.leased.max(leased as u64);
        }
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
        if began.elapsed() > PLACES_WITHIN {
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
