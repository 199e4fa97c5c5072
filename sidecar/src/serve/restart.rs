//! What counts against limits, as it was before a restart.

use engine::ledger::Scope;
use engine::limit::{Counted, Place};

use super::ServeError;
use super::membership::{Party, Targets};
use super::state::Core;
use super::store::db::Db;
use super::store::usage::{self, Admitted};

/// Requests of so late are told apart by the second, earlier ones by the minute.
const BY_SECOND_MS: u64 = 120_000;

/// A hold that is not settled: its id, its key, the scopes that it counts in and what it counts there.
pub(super) type Open = (String, String, Vec<Scope>, Counted);

/// Fills the windows of limits with what the ledger and the open holds tell of the time that they look
/// back to, twice the longest window: a restart must not give anybody a fresh one. Where requests came
/// from is not kept in the ledger, so what an address has finished is forgotten.
pub(super) fn restore_limits(
    core: &mut Core,
    db: &mut Db,
    open: Vec<Open>,
    now_ms: u64,
) -> Result<(), ServeError> {
    core.limits.advance(now_ms);
    let longest_ms = core.limit_rules.longest_ms(core.keys.all());
    let from_ms = now_ms.saturating_sub(longest_ms.saturating_mul(2));
    let late_ms = from_ms.max(now_ms.saturating_sub(BY_SECOND_MS));
    let mut counts: Vec<(u64, Vec<Place>, u64, u64)> = Vec::new();
    if longest_ms > 0 {
        let mut admitted = usage::admitted(db, from_ms, late_ms, false)?;
        admitted.extend(usage::admitted(db, late_ms, u64::MAX / 2, true)?);
        for admitted in admitted {
            if let Some(places) = places_of(core, &admitted, now_ms) {
                counts.push((admitted.at_ms, places, admitted.requests, admitted.tokens));
            }
        }
    }
    for (exchange, key, scopes, counted) in open {
        let places = reopened(core, &key, &scopes, now_ms);
        core.limits.restore(&exchange, places.clone(), &counted);
        counts.push((counted.at_ms, places, counted.requests, counted.tokens));
    }
    counts.sort_unstable_by_key(|(at_ms, ..)| *at_ms);
    for (at_ms, places, requests, tokens) in counts {
        for place in places {
            core.limits
                .recount(place, requests, tokens, at_ms.min(now_ms));
        }
    }
    Ok(())
}

fn places_of(core: &mut Core, admitted: &Admitted, now_ms: u64) -> Option<Vec<Place>> {
    let entry = core.keys.by_id(&admitted.key)?;
    let served = Targets::Served(&admitted.provider, &admitted.model);
    let party = Party::of(&entry.key, &admitted.user, &admitted.tags, served);
    let limits = &mut core.limits;
    let limited = core.limit_rules.open(entry, &party, limits, now_ms)?;
    Some(match admitted.cached {
        true => limited.callers().to_vec(),
        false => limited.all().to_vec(),
    })
}

pub(super) fn reopened(core: &mut Core, key: &str, scopes: &[Scope], now_ms: u64) -> Vec<Place> {
    let Some(entry) = core.keys.by_id(key) else {
        return Vec::new();
    };
    let (rules, limits) = (&core.limit_rules, &mut core.limits);
    let places = scopes
        .iter()
        .filter_map(|scope| rules.reopen(scope, entry, limits, now_ms));
    places.collect()
}
