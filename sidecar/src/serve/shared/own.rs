//! What this service holds in Redis: it puts that back when Redis has lost it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::usage::NanoUsd;

use super::bounds::Bounds;
use super::{Group, Wish};

/// A hold that was not renewed here for so long is not put back, in milliseconds: others may have
/// settled it.
const PUT_BACK_MS: u64 = 20_000;

/// What this service holds.
#[derive(Default)]
pub(crate) struct Own(Mutex<HashMap<String, Kept>>);

struct Kept {
    wish: Wish,
    shares: Vec<(Group, Bounds)>,
    admitted_ms: u64,
    seen_ms: u64,
}

impl Own {
    /// When an exchange or a lease was admitted, if it was here.
    pub(crate) fn admitted_ms(&self, id: &str) -> Option<u64> {
        self.lock().get(id).map(|kept| kept.admitted_ms)
    }

    pub(super) fn held(&self, wish: &Wish, shares: Vec<(Group, Bounds)>, now_ms: u64) {
        let kept = Kept {
            wish: wish.clone(),
            shares,
            admitted_ms: now_ms,
            seen_ms: now_ms,
        };
        self.lock().insert(wish.id.clone(), kept);
    }

    pub(super) fn renewed(&self, live: &[(String, NanoUsd)], now_ms: u64) {
        let mut own = self.lock();
        for (id, cost_nano) in live {
            if let Some(kept) = own.get_mut(id) {
                kept.seen_ms = now_ms;
                kept.wish.cost_nano = (*cost_nano).max(kept.wish.cost_nano);
                kept.wish.amount_nano = (*cost_nano).max(kept.wish.amount_nano);
            }
        }
    }

    pub(super) fn changed(&self, id: &str, more_nano: NanoUsd) {
        if let Some(kept) = self.lock().get_mut(id) {
            let amount_nano = kept.wish.amount_nano.saturating_add(more_nano);
            kept.wish.amount_nano = amount_nano.max(0);
        }
    }

    pub(super) fn ended(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Forgets what nobody has renewed for long, and gives the rest.
    pub(super) fn recent(&self, now_ms: u64) -> Vec<(Wish, Vec<(Group, Bounds)>)> {
        let mut own = self.lock();
        own.retain(|_, kept| kept.seen_ms.saturating_add(PUT_BACK_MS) > now_ms);
        own.values()
            .map(|kept| (kept.wish.clone(), kept.shares.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
