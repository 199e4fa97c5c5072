//! What is planned, done.

use std::sync::Arc;
use std::time::Instant;

use e2e::fleet::Fleet;

use super::plan::{Event, Harm, Part};

/// Does what is planned, to each part one after the other.
pub(super) async fn all(fleet: &Arc<Fleet>, plan: &[Event], began: Instant) {
    let mut harming = tokio::task::JoinSet::new();
    for part in parts(plan) {
        let of = plan.iter().copied().filter(|event| event.part == part);
        harming.spawn(harm(fleet.clone(), of.collect(), began));
    }
    harming.join_all().await;
}

fn parts(plan: &[Event]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for event in plan {
        if !parts.contains(&event.part) {
            parts.push(event.part);
        }
    }
    parts
}

/// Does to one part what is planned.
async fn harm(fleet: Arc<Fleet>, events: Vec<Event>, began: Instant) {
    for event in events {
        tokio::time::sleep(event.at.saturating_sub(began.elapsed())).await;
        let fleet = fleet.clone();
        let done = tokio::task::spawn_blocking(move || once(&fleet, event));
        done.await.expect("what is harmed comes back");
    }
}

fn once(fleet: &Fleet, event: Event) {
    let pause = || std::thread::sleep(event.lasts);
    match (event.part, event.harm) {
        (Part::Sidecar(place), Harm::Freeze) => {
            let sidecar = fleet.places[place].sidecar();
            sidecar.freeze();
            pause();
            sidecar.thaw();
        }
        (Part::Sidecar(place), _) => {
            fleet.places[place].sidecar().kill();
            pause();
            fleet.places[place].restart_sidecar();
        }
        (Part::Envoy(place), _) => {
            fleet.places[place].envoy().kill();
            pause();
            fleet.places[place].restart_envoy();
        }
        (Part::Redis(master), Harm::Flush) => {
            let flushed = fleet.stores.master(master).command("FLUSHALL");
            flushed.expect("FLUSHALL");
        }
        (Part::Redis(master), Harm::Freeze) => {
            let redis = fleet.stores.master(master);
            redis.freeze();
            pause();
            redis.thaw();
        }
        (Part::Redis(master), harm) => {
            let mut redis = fleet.stores.master(master);
            redis.kill();
            pause();
            match harm {
                Harm::KillAndEmpty => redis.restart_empty(),
                _ => redis.restart(),
            }
        }
        (Part::Postgres, Harm::Freeze) => {
            let postgres = fleet.stores.postgres();
            postgres.freeze();
            pause();
            postgres.thaw();
        }
        (Part::Postgres, _) => {
            let mut postgres = fleet.stores.postgres();
            postgres.kill();
            pause();
            postgres.restart();
        }
    }
}
