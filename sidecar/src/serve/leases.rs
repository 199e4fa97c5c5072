//! What workers may give out by themselves.

use engine::lease::{self, LEASE_MS, LEASE_MS_MIN};
use engine::ledger::{Hold, ScopeId};
use engine::wire::{Admit, Grant, LeaseGrant, LeaseState};

use super::state::Core;

impl Core {
    /// Adds a lease to `grant` when the key is used fast and far from its limits.
    pub(super) fn lease(
        &mut self,
        admit: &Admit,
        scopes: &[ScopeId],
        grant: &mut Grant,
        now_ms: u64,
    ) {
        let Some(entry) = self.keys.by_id_mut(&admit.key) else {
            return;
        };
        let rps = entry.demand.rps(now_ms);
        let (left, window_end_ms) = self.ledger.room(scopes, now_ms);
        let room = self.limits.room(&admit.exchange, now_ms);
        let ends = [window_end_ms, room.until_ms].into_iter().flatten();
        let until_ms = ends.fold(now_ms.saturating_add(LEASE_MS), u64::min);
        if until_ms < now_ms.saturating_add(LEASE_MS_MIN) {
            return;
        }
        let slice = lease::size(rps, grant.hold_nano, left, &room, admit.tokens_in);
        let Some(slice) = slice else {
            return;
        };
        let id = format!("lease-{}", admit.exchange);
        let counted = slice.requests.unwrap_or(0);
        if !self
            .ledger
            .lease(&id, &admit.exchange, slice.amount_nano, counted)
        {
            return;
        }
        let (tokens, running) = (slice.tokens.unwrap_or(0), slice.running.unwrap_or(0));
        self.limits
            .lease(&id, &admit.exchange, (counted, tokens, running), now_ms);
        if self.note(&id).is_err() {
            self.ledger.cancel(&id);
            self.limits.cancel(&id, now_ms);
            return;
        }
        grant.lease = Some(LeaseGrant {
            id,
            amount_nano: slice.amount_nano,
            requests: slice.requests,
            tokens: slice.tokens,
            running: slice.running,
            until_ms,
            hard: left.is_some(),
        });
    }

    /// Takes back what leases that have ended do not need.
    pub(crate) fn lease_states(&mut self, states: &[LeaseState], now_ms: u64) {
        for state in states {
            if self.ledger.hold(&state.id).is_none() {
                continue;
            }
            self.ledger.shrink(&state.id, state.keep_nano);
            // An unwritten line leaves more held after a restart, until it expires.
            if state.done {
                self.limits
                    .end(&state.id, state.requests, state.tokens, now_ms);
                self.ledger.cancel(&state.id);
                let _unwritten = self.journal.end(&state.id);
            } else {
                self.limits.shrink(&state.id, state.running);
                let _unwritten = self.note(&state.id);
            }
        }
    }

    /// Holds that nobody renewed and that somebody has to pay for. A lease of which nothing was used
    /// is given up here.
    pub(crate) fn expire(&mut self, now_ms: u64) -> Vec<(String, Hold)> {
        self.limits.advance(now_ms);
        self.limits.sweep();
        let late = self.ledger.expire(now_ms);
        let (unused, owed): (Vec<_>, Vec<_>) = late
            .into_iter()
            .partition(|(_, hold)| hold.lease_requests.is_some() && hold.metered_nano == 0);
        for (id, _) in unused {
            let _unwritten = self.journal.end(&id);
            self.ledger.cancel(&id);
            // Nobody knows what of it was used: that stays counted.
            self.limits.end(&id, 0, 0, now_ms);
        }
        owed
    }
}
