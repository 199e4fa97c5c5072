//! What admissions cost, with counters in the service and with Redis and PostgreSQL behind it: how many
//! one service makes on one core, how long Envoy waits for one, and how many requests need none.
//!
//! The service (with its Envoy, where that takes part) has the core of what is measured; Redis,
//! PostgreSQL, provider and load have the other one.

mod asking;
mod script;
mod statistics;

use std::time::Duration;

use test_servers::postgres::Postgres;
use test_servers::redis::Redis;

use self::asking::Admissions;
use crate::load::{self, Load, Paced};
use crate::prompt;
use crate::stage::{self, Service, Setup, Shared, Side, Stage};

/// Those who ask at the same time, alone and many.
const ASKING: [usize; 2] = [1, 64];
/// Requests a second of the lighter load.
const LIGHT_RPS: u32 = 200;
/// The part of what a closed loop got done that is the heavier load.
const HEAVY_SHARE: f64 = 0.5;
/// Shorter parts are for trying whether all of it works.
const MEASURING: Duration = Duration::from_secs(3);
/// For the first leases: a key has to be busy.
const WARM: Duration = Duration::from_secs(1);

/// Runs all of it, `span` for each part.
pub(crate) async fn run(span: Duration) {
    // They are on this program's core.
    let (redis, postgres) = (Redis::start(), Postgres::start());
    let shared = Shared {
        redis: redis.url(),
        database: postgres.url(),
    };
    let stores = [("embedded", None), ("Redis, PostgreSQL", Some(shared))];
    println!(
        "One state service on one core; Redis, PostgreSQL and load on another{}; {} s each.\n",
        if stage::can_pin() {
            ""
        } else {
            " (not pinned: figures are rough)"
        },
        span.as_secs()
    );
    println!("Admissions without leases, each settled, over the service's own socket:\n");
    println!(
        "| store | asking | admissions/s | CPU us each | p50 ms | p99 ms |\n|---|---|---|---|---|---|"
    );
    let mut late = Vec::new();
    for (name, store) in &stores {
        let service = Service::start(&setup(store.as_ref(), false));
        for asking in ASKING {
            let found = Admissions::measure(&service, asking, span).await;
            println!(
                "| {name} | {asking} | {:.0} | {:.0} | {:.2} | {:.2} |",
                found.rate, found.cpu_us, found.p50_ms, found.p99_ms
            );
            if found.refused > 0 {
                late.push(format!("{name}, {asking} asking: {}", found.refused));
            }
        }
        service.stop();
    }
    for asking in ASKING {
        let found = script::measure(&redis, asking, span);
        println!(
            "| redis-benchmark, one script call | {asking} | {:.0} | | {:.2} | {:.2} |",
            found.rate, found.p50_ms, found.p99_ms
        );
    }

    if !late.is_empty() {
        println!(
            "\nNot among them, for nobody could tell in time: {}.",
            late.join("; ")
        );
    }

    println!(
        "\n`admit` as Envoy's worker saw it, Envoy and service on one core, 1 KB prompts, no leases:\n"
    );
    println!("| store | requests/s | p50 ms | p99 ms |\n|---|---|---|---|");
    let mut shares = Vec::new();
    for (name, store) in &stores {
        seen_by_envoy(name, store.as_ref(), span).await;
        shares.push((name, without_call(store.as_ref(), span).await));
    }
    println!("\nRequests that needed no call, leases on, nothing near its limit:\n");
    for (name, (leased, called)) in shares {
        let share = leased / (leased + called).max(1.0);
        println!("- {name}: {:.2} % of {:.0}", share * 100.0, leased + called);
    }
}

fn setup(store: Option<&Shared>, leases: bool) -> Setup {
    Setup {
        workers: 1,
        store: store.cloned(),
        leases,
    }
}

async fn seen_by_envoy(name: &str, store: Option<&Shared>, span: Duration) {
    let stage = Stage::start(&setup(store, false)).await;
    let load = load_of(&stage);
    let done = load::closed(&load, ASKING[1], span).await;
    let most = done.count as f64 / done.took.as_secs_f64();
    let span = if span < MEASURING {
        span
    } else {
        // A histogram's last interval must have nothing of the loop before.
        span.max(statistics::INTERVAL * 5 / 2)
    };
    for rps in [LIGHT_RPS, (most * HEAVY_SHARE) as u32] {
        load::open(&load, Paced { rps, span }).await;
        let (p50, p99) = statistics::admit_ms(&stage).await;
        println!("| {name} | {rps} | {p50:.2} | {p99:.2} |");
    }
    stage::stop();
}

async fn without_call(store: Option<&Shared>, span: Duration) -> (f64, f64) {
    let stage = Stage::start(&setup(store, true)).await;
    let warm = load::closed(&load_of(&stage), ASKING[1], WARM).await;
    let before = statistics::settled(&stage, (0.0, 0.0), warm.count).await;
    let done = load::closed(&load_of(&stage), ASKING[1], span).await;
    let after = statistics::settled(&stage, before, done.count).await;
    stage::stop();
    (after.0 - before.0, after.1 - before.1)
}

fn load_of(stage: &Stage) -> Load {
    Load {
        address: stage.address(Side::Weir),
        requests: prompt::requests(false, false),
    }
}
