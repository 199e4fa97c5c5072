//! Leases: money, requests and tokens of one key, for requests that count against the same limits, that
//! a worker may give out by itself, so that most admissions need no call.
//!
//! The sidecar holds a lease's whole amount before the worker hears of it, so `spent + held <= limit`
//! stays true without asking. Each exchange admitted here takes the most that it can cost out of the
//! lease and puts back what it did not cost; its record names the lease, and the sidecar turns that
//! much of the hold into spend. A lease ends after [`crate::wire::LeaseGrant::until_ms`], or when the
//! key's owner or limits change; what no running exchange needs is then given back.
//!
//! What is given up for the missing call: while a worker sits on an idle lease, another one may be
//! refused that much early, for at most the lease's time; and a key that was revoked is refused once
//! the worker has polled.

use hashbrown::HashMap;

use crate::ledger::{self, Ask};
use crate::usage::NanoUsd;
use crate::wire::{Admit, Grant, LeaseGrant, LeaseState, Quote, RateState, Rates};

mod grant;

pub use grant::{
    DEMAND_RPS_MIN, Demand, LEASE_MS, LEASE_MS_MIN, REQUESTS_MAX, REQUESTS_MIN, SHARE, Slice, size,
};

/// Leases that a worker holds at one time. Above it further ones are left to expire.
pub const LEASES_MAX: usize = 10_000;
/// Milliseconds without an admission after which a lease is given back.
pub const IDLE_MS: u64 = 1_000;

/// The leases of one worker.
#[derive(Debug, Default)]
pub struct Leases {
    /// By [`Admit::sharing`].
    current: HashMap<String, Lease>,
    /// No longer given from; kept while exchanges run that were admitted under them.
    retiring: Vec<Lease>,
}

#[derive(Debug)]
struct Lease {
    granted: LeaseGrant,
    skipped: Vec<usize>,
    credentials: Vec<(String, String)>,
    rate: Rates,
    at_ms: u64,
    used_ms: u64,
    left_nano: NanoUsd,
    requests: Option<u64>,
    tokens: Option<u64>,
    /// Exchanges that run, and the most that they can cost.
    running: u32,
    running_nano: NanoUsd,
    /// What the sidecar was last told to keep: money and running exchanges.
    kept: Option<(NanoUsd, u64)>,
}

/// What a lease has to know of a request; as in [`Admit`].
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// [`Admit::sharing`].
    pub sharing: &'a str,
    /// [`Admit::targets`], which need no names here.
    pub quotes: &'a [Quote],
    /// [`Admit::output_cap`].
    pub output_cap: Option<u64>,
    /// [`Admit::choices`].
    pub choices: u32,
    /// [`Admit::tokens_in`].
    pub tokens_in: u64,
    /// Whether the exact cache is to be asked first.
    pub is_cached: bool,
}

impl<'a> From<&'a Admit> for Wanted<'a> {
    fn from(admit: &'a Admit) -> Wanted<'a> {
        Wanted {
            sharing: &admit.sharing,
            quotes: &admit.targets,
            output_cap: admit.output_cap,
            choices: admit.choices,
            tokens_in: admit.tokens_in,
            is_cached: admit.cache.is_some(),
        }
    }
}

impl Leases {
    /// Admits an exchange under a lease for such as it: the lease's id and the permission. `None` when
    /// there is none, or not enough is left, or the sidecar has to look into its cache.
    pub fn admit<'a>(
        &mut self,
        wanted: impl Into<Wanted<'a>>,
        now_ms: u64,
    ) -> Option<(String, Grant)> {
        let wanted = wanted.into();
        if wanted.is_cached {
            return None;
        }
        let lease = self.current.get_mut(wanted.sharing)?;
        if now_ms >= lease.granted.until_ms {
            return None;
        }
        let ask = Ask {
            exchange: "",
            key: "",
            scopes: &[],
            quotes: wanted.quotes,
            output_cap: wanted.output_cap,
            choices: wanted.choices,
            tokens_in: wanted.tokens_in,
            user: "",
            tags: &[],
            slice_tokens: None,
        };
        let unbounded = lease.granted.hard.then_some(NanoUsd::MAX);
        let held = ledger::worst(&ask, unbounded)?;
        let hold_nano = held.hold_nano;
        if hold_nano > lease.left_nano {
            return None;
        }
        let full = |most: u64| u64::from(lease.running) >= most;
        if lease.granted.running.is_some_and(full) {
            return None;
        }
        let requests = less(lease.requests, 1)?;
        let tokens = less(lease.tokens, wanted.tokens_in)?;
        (lease.requests, lease.tokens) = (requests, tokens);
        lease.left_nano = lease.left_nano.saturating_sub(hold_nano);
        lease.running = lease.running.saturating_add(1);
        lease.running_nano = lease.running_nano.saturating_add(hold_nano);
        lease.used_ms = now_ms;
        let grant = Grant {
            hold_nano,
            output_cap: held.output_cap,
            hard: lease.granted.hard,
            sliced: false,
            skipped: lease.skipped.clone(),
            credentials: lease.credentials.clone(),
            rate: lease.rate_now(now_ms),
            lease: None,
        };
        Some((lease.granted.id.clone(), grant))
    }

    /// Whether a request may be brought here whose tokens are only bounded: what counts tokens needs
    /// their number.
    pub fn takes_bounds(&self, sharing: &str, now_ms: u64) -> bool {
        let lease = self.current.get(sharing);
        lease.is_some_and(|lease| lease.tokens.is_none() && now_ms < lease.granted.until_ms)
    }

    /// Takes the lease that came with `grant`, for requests that have `sharing` in common.
    pub fn learn(&mut self, sharing: &str, grant: &mut Grant, now_ms: u64) {
        let Some(granted) = grant.lease.take() else {
            return;
        };
        if self.current.len().saturating_add(self.retiring.len()) >= LEASES_MAX {
            return;
        }
        let lease = Lease {
            left_nano: granted.amount_nano,
            requests: granted.requests,
            tokens: granted.tokens,
            skipped: grant.skipped.clone(),
            credentials: grant.credentials.clone(),
            rate: grant.rate,
            at_ms: now_ms,
            used_ms: now_ms,
            running: 0,
            running_nano: 0,
            kept: None,
            granted,
        };
        if let Some(old) = self.current.insert(sharing.to_owned(), lease) {
            self.retiring.push(old);
        }
    }

    /// An exchange admitted under `lease` is over.
    pub fn settle(&mut self, sharing: &str, lease: &str, hold_nano: NanoUsd, cost_nano: NanoUsd) {
        if let Some(lease) = self.find(sharing, lease) {
            lease.running = lease.running.saturating_sub(1);
            lease.running_nano = lease.running_nano.saturating_sub(hold_nano);
            let unused = hold_nano.saturating_sub(cost_nano);
            lease.left_nano = lease.left_nano.saturating_add(unused);
        }
    }

    /// Takes up to `by_nano` more out of a lease for an exchange that runs under it: so much.
    pub fn grow(&mut self, sharing: &str, lease: &str, by_nano: NanoUsd) -> NanoUsd {
        let Some(lease) = self.find(sharing, lease) else {
            return 0;
        };
        let more = by_nano.min(lease.left_nano).max(0);
        lease.left_nano = lease.left_nano.saturating_sub(more);
        lease.running_nano = lease.running_nano.saturating_add(more);
        more
    }

    /// The sidecar holds `by_nano` more under a lease, for an exchange that runs under it.
    pub fn grown(&mut self, sharing: &str, lease: &str, by_nano: NanoUsd) {
        if let Some(lease) = self.find(sharing, lease) {
            lease.running_nano = lease.running_nano.saturating_add(by_nano);
        }
    }

    fn find(&mut self, sharing: &str, lease: &str) -> Option<&mut Lease> {
        let current = self.current.get_mut(sharing);
        match current.filter(|current| current.granted.id == lease) {
            Some(current) => Some(current),
            None => self.retiring.iter_mut().find(|old| old.granted.id == lease),
        }
    }

    /// Gives from no lease any more: a key or its limits have changed.
    pub fn retire_all(&mut self) {
        self.retiring
            .extend(self.current.drain().map(|(_, lease)| lease));
    }

    /// What to tell the sidecar after every record of this worker: what each lease that has ended
    /// still needs.
    pub fn states(&mut self, now_ms: u64) -> Vec<LeaseState> {
        let ended = self.current.extract_if(|_, lease| {
            let idle = now_ms.saturating_sub(lease.used_ms) >= IDLE_MS;
            now_ms >= lease.granted.until_ms || idle
        });
        self.retiring.extend(ended.map(|(_, lease)| lease));
        let changed = |lease: &&Lease| lease.kept != Some(lease.needs());
        let changed = self.retiring.iter().filter(changed);
        changed
            .map(|lease| {
                let done = lease.running == 0;
                let (keep_nano, running) = lease.needs();
                let unused = |left: Option<u64>| left.filter(|_| done).unwrap_or(0);
                LeaseState {
                    id: lease.granted.id.clone(),
                    keep_nano,
                    done,
                    requests: unused(lease.requests),
                    tokens: unused(lease.tokens),
                    running,
                }
            })
            .collect()
    }

    /// The sidecar has taken `states`.
    pub fn told(&mut self, states: &[LeaseState]) {
        for state in states {
            let mut retiring = self.retiring.iter_mut();
            if let Some(lease) = retiring.find(|lease| lease.granted.id == state.id) {
                lease.kept = Some((state.keep_nano, state.running));
            }
        }
        self.retiring.retain(|lease| {
            lease.running > 0
                || !states
                    .iter()
                    .any(|state| state.done && state.id == lease.granted.id)
        });
    }

    /// Ids of all leases, for renewing them.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let all = self.current.values().chain(&self.retiring);
        all.map(|lease| lease.granted.id.as_str())
    }
}

impl Lease {
    /// Money, and where that is limited running exchanges, that it still needs.
    fn needs(&self) -> (NanoUsd, u64) {
        if self.running == 0 {
            return (0, 0);
        }
        let running = self.granted.running.map(|_| u64::from(self.running));
        (self.running_nano, running.unwrap_or(0))
    }

    /// The limits' states as the sidecar would word them: what is leased and left is still free.
    fn rate_now(&self, now_ms: u64) -> Rates {
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        let state = |rate: RateState, left: Option<u64>| RateState {
            remaining: rate
                .remaining
                .saturating_add(left.unwrap_or(0))
                .min(rate.limit),
            reset_ms: rate.reset_ms.saturating_sub(passed_ms).max(1),
            ..rate
        };
        Rates {
            requests: self.rate.requests.map(|rate| state(rate, self.requests)),
            tokens: self.rate.tokens.map(|rate| state(rate, self.tokens)),
        }
    }
}

/// What is left of a limited part, `None` when it does not cover `take`.
fn less(left: Option<u64>, take: u64) -> Option<Option<u64>> {
    match left {
        None => Some(None),
        Some(left) => left.checked_sub(take).map(Some),
    }
}

#[cfg(test)]
mod tests;
