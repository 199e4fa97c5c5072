//! Limits on requests, tokens and running exchanges, for every scope that an exchange belongs to.
//!
//! One algorithm counts requests (each weighs one) and tokens (each weighs one): a sliding window of
//! two fixed buckets as long as the window. What was counted in the current bucket counts whole, what
//! was counted in the one before by the share of it that the sliding window still covers. In each
//! bucket no more than the limit is let through; over a border the estimate takes the bucket before
//! as even, so any stretch as long as the window sees less than twice the limit. What is refused does
//! not count.
//!
//! All limits of all scopes are looked at before anything is counted: an exchange counts everywhere or
//! nowhere. Prompt tokens count at admission. How many tokens an answer has is known at its end, and
//! counted then: reserving `max_tokens` would refuse most clients that send a generous one. So what
//! runs when a token limit is reached may exceed it by the answers of the exchanges that run, and no
//! further one is let through until that has left the window; a limit on running exchanges bounds it.
//! Where a provider counts more prompt tokens than were counted here, the rest counts at the end too.
//!
//! A [`Pass`] is what an exchange has counted. It is there from admission to settlement, as the
//! exchange's hold is, and gives back then: its place among the running ones, and the counts at
//! providers and models that were planned for and did not serve. A lease has a pass too, of many
//! requests.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::ledger::Scope;
use crate::wire::{RateState, Rates};

mod account;
mod refusal;
mod window;

#[cfg(test)]
mod tests;

use account::Account;
pub use refusal::Exceeded;
pub use window::Window;

/// Scopes counted at one time. Above it, when none is idle, exchanges of further ones are refused with
/// `state_unavailable`.
pub const ACCOUNTS_MAX: usize = 200_000;
/// Milliseconds between two searches for idle scopes.
pub const SWEEP_MS: u64 = 1_000;
/// The shortest window in milliseconds.
pub const WINDOW_MS_MIN: u64 = 1_000;
/// The longest window in milliseconds.
pub const WINDOW_MS_MAX: u64 = 86_400_000;
/// What a refusal for too many running exchanges asks to wait, in milliseconds: when one ends is not
/// known.
pub const RUNNING_WAIT_MS: u64 = 1_000;

/// What is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Requests in a window.
    Requests,
    /// Tokens in a window.
    Tokens,
    /// Exchanges that run at the same time.
    Running,
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// What it bounds.
    pub measure: Measure,
    /// The most of it.
    pub limit: u64,
    /// Length of the window in milliseconds; 0 with [`Measure::Running`].
    #[serde(default)]
    pub window_ms: u64,
}

/// A scope's place in one [`Limits`], within the millisecond that it was opened in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(usize);

/// What an exchange or a lease has counted, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    places: Vec<Place>,
    /// Unix milliseconds at which it was counted.
    pub at_ms: u64,
    /// Requests counted.
    pub requests: u64,
    /// Tokens counted.
    pub tokens: u64,
    /// Running exchanges counted.
    pub running: u64,
}

impl Pass {
    /// Where it counts.
    pub fn places(&self) -> &[Place] {
        &self.places
    }
}

/// What the tightest limits of some scopes still allow; `None` without such a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Requests.
    pub requests: Option<u64>,
    /// Tokens.
    pub tokens: Option<u64>,
    /// Running exchanges.
    pub running: Option<u64>,
    /// Unix milliseconds at which the first bucket ends.
    pub until_ms: Option<u64>,
}

/// How an exchange ended, as far as limits are concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served<'a> {
    /// Provider that served it; empty when none did.
    pub provider: &'a str,
    /// Model as that provider knows it.
    pub model: &'a str,
    /// Prompt tokens.
    pub input: u64,
    /// Completion tokens.
    pub output: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// The newest instant seen: a clock that steps back opens no old bucket.
    now_ms: u64,
    accounts: Vec<Option<Account>>,
    free: Vec<usize>,
    places: HashMap<Scope, Place>,
    passes: HashMap<String, Pass>,
    swept_ms: u64,
}

impl Limits {
    /// The place of `scope` with these limits, `None` when there are too many scopes.
    pub fn open(&mut self, scope: &Scope, bounds: &[Bound], now_ms: u64) -> Option<Place> {
        self.advance(now_ms);
        if let Some(place) = self.places.get(scope) {
            if let Some(Some(account)) = self.accounts.get_mut(place.0) {
                account.set_bounds(bounds, self.now_ms);
            }
            return Some(*place);
        }
        if self.places.len() >= ACCOUNTS_MAX {
            self.sweep();
            if self.places.len() >= ACCOUNTS_MAX {
                return None;
            }
        }
        let mut account = Account::new(scope.clone());
        account.set_bounds(bounds, self.now_ms);
        let account = Some(account);
        let place = match self.free.pop() {
            Some(place) => {
                if let Some(free) = self.accounts.get_mut(place) {
                    *free = account;
                }
                Place(place)
            }
            None => {
                self.accounts.push(account);
                Place(self.accounts.len().saturating_sub(1))
            }
        };
        self.places.insert(scope.clone(), place);
        Some(place)
    }

    /// Whether an exchange of `tokens` prompt tokens may start as far as these scopes are concerned.
    /// Nothing is counted.
    ///
    /// # Errors
    /// The limit that makes it wait longest.
    pub fn check(&mut self, places: &[Place], tokens: u64, now_ms: u64) -> Result<(), Exceeded> {
        self.advance(now_ms);
        let now_ms = self.now_ms;
        let found = places.iter().filter_map(|place| {
            let account = self.accounts.get_mut(place.0)?.as_mut()?;
            account.exceeded(tokens, now_ms)
        });
        match found.max_by_key(|exceeded| exceeded.wait_ms.unwrap_or(u64::MAX)) {
            None => Ok(()),
            Some(exceeded) => Err(exceeded),
        }
    }

    /// The state of the tightest limits of these scopes.
    pub fn rates(&mut self, places: &[Place], now_ms: u64) -> Rates {
        self.advance(now_ms);
        let mut rates = Rates::default();
        for place in places {
            let Some(Some(account)) = self.accounts.get_mut(place.0) else {
                continue;
            };
            for (measure, state) in account.states(self.now_ms) {
                let tightest = match measure {
                    Measure::Requests => &mut rates.requests,
                    Measure::Tokens => &mut rates.tokens,
                    Measure::Running => continue,
                };
                if tightest.is_none_or(|other| tighter(&state, &other)) {
                    *tightest = Some(state);
                }
            }
        }
        rates
    }

    /// Counts one request that neither runs nor has tokens: an answer from the cache.
    pub fn count(&mut self, places: &[Place], now_ms: u64) {
        self.advance(now_ms);
        for place in places {
            self.add(*place, Measure::Requests, 1);
        }
    }

    /// Counts an exchange that [`Limits::check`] has let through. A second call for the same exchange
    /// replaces the first one's pass.
    pub fn pass(&mut self, exchange: &str, places: Vec<Place>, tokens: u64, now_ms: u64) {
        self.advance(now_ms);
        if places.is_empty() {
            return;
        }
        let pass = Pass {
            places,
            at_ms: self.now_ms,
            requests: 1,
            tokens,
            running: 1,
        };
        self.place(exchange, pass);
    }

    /// The pass of an exchange or a lease.
    pub fn pass_of(&self, id: &str) -> Option<&Pass> {
        self.passes.get(id)
    }

    /// The scopes of a pass, for noting them.
    pub fn scopes_of<'a>(&'a self, pass: &'a Pass) -> impl Iterator<Item = &'a Scope> {
        let accounts = pass
            .places
            .iter()
            .filter_map(|place| self.accounts.get(place.0)?.as_ref());
        accounts.map(Account::scope)
    }

    /// What is still allowed to exchanges like the one that has a pass as `like`.
    pub fn room(&mut self, like: &str, now_ms: u64) -> Room {
        let places = self.passes.get(like).map(|pass| pass.places.clone());
        self.room_in(&places.unwrap_or_default(), now_ms)
    }

    /// What is still allowed in these scopes.
    pub fn room_in(&mut self, places: &[Place], now_ms: u64) -> Room {
        self.advance(now_ms);
        let mut room = Room::default();
        for place in places {
            if let Some(Some(account)) = self.accounts.get_mut(place.0) {
                account.narrow(&mut room, self.now_ms);
            }
        }
        room
    }

    /// The scope at a place and its limits.
    pub fn bounds_at(&self, place: Place) -> Option<(&Scope, &[Bound])> {
        let account = self.accounts.get(place.0)?.as_ref()?;
        Some((account.scope(), account.bounds()))
    }

    /// Takes over what runs in a scope and what its limits have counted, from where that is kept.
    pub fn adopt(&mut self, place: Place, running: u64, counted: &[(Measure, u64, Window)]) {
        if let Some(Some(account)) = self.accounts.get_mut(place.0) {
            account.adopt(running, counted);
        }
    }

    /// Counts a lease for exchanges like the one that has a pass as `like`. Without such a pass there
    /// are no limits, and nothing is counted.
    pub fn lease(&mut self, id: &str, like: &str, of: (u64, u64, u64), now_ms: u64) {
        self.advance(now_ms);
        let (requests, tokens, running) = of;
        let Some(like) = self.passes.get(like) else {
            return;
        };
        let pass = Pass {
            places: like.places.clone(),
            at_ms: self.now_ms,
            requests,
            tokens,
            running,
        };
        self.place(id, pass);
    }

    /// An exchange has ended.
    pub fn settle(&mut self, exchange: &str, served: &Served<'_>, now_ms: u64) {
        self.advance(now_ms);
        let Some(pass) = self.release(exchange) else {
            return;
        };
        let total = served.input.saturating_add(served.output);
        let more = total.saturating_sub(pass.tokens);
        for place in &pass.places {
            if self.has_served(*place, served) {
                self.add(*place, Measure::Tokens, more);
            } else {
                self.take(*place, Measure::Requests, pass.requests, pass.at_ms);
                self.take(*place, Measure::Tokens, pass.tokens, pass.at_ms);
            }
        }
    }

    /// An exchange that was admitted under a lease has ended: its answer is counted.
    pub fn settle_leased(&mut self, lease: &str, served: &Served<'_>, now_ms: u64) {
        self.advance(now_ms);
        let Some(pass) = self.passes.get(lease) else {
            return;
        };
        let (places, at_ms) = (pass.places.clone(), pass.at_ms);
        for place in places {
            if self.has_served(place, served) {
                self.add(place, Measure::Tokens, served.output);
            } else {
                self.take(place, Measure::Requests, 1, at_ms);
            }
        }
    }

    /// Lowers a lease's running exchanges to `running`.
    pub fn shrink(&mut self, lease: &str, running: u64) {
        let Some(pass) = self.passes.get_mut(lease) else {
            return;
        };
        let less = pass.running.saturating_sub(running);
        pass.running = pass.running.min(running);
        for place in &pass.places {
            if let Some(Some(account)) = self.accounts.get_mut(place.0) {
                account.stop(less);
            }
        }
    }

    /// A lease has ended: what of it was not used is given back.
    pub fn end(&mut self, lease: &str, requests: u64, tokens: u64, now_ms: u64) {
        self.advance(now_ms);
        let Some(pass) = self.release(lease) else {
            return;
        };
        for place in &pass.places {
            let (requests, tokens) = (requests.min(pass.requests), tokens.min(pass.tokens));
            self.take(*place, Measure::Requests, requests, pass.at_ms);
            self.take(*place, Measure::Tokens, tokens, pass.at_ms);
        }
    }

    /// An exchange does not start after all, or a lease was not given: everything is given back.
    pub fn cancel(&mut self, id: &str, now_ms: u64) {
        self.end(id, u64::MAX, u64::MAX, now_ms);
    }

    /// Counts what was counted at `at_ms` before a restart. Calls must come in order of time.
    pub fn recount(&mut self, place: Place, requests: u64, tokens: u64, at_ms: u64) {
        if let Some(Some(account)) = self.accounts.get_mut(place.0) {
            account.add(Measure::Requests, requests, at_ms);
            account.add(Measure::Tokens, tokens, at_ms);
        }
    }

    /// Puts back a pass from before a restart. Its requests and tokens are for
    /// [`Limits::recount`].
    pub fn restore(&mut self, id: &str, places: Vec<Place>, counted: &Counted) {
        if places.is_empty() {
            return;
        }
        let pass = Pass {
            places,
            at_ms: counted.at_ms,
            requests: counted.requests,
            tokens: counted.tokens,
            running: counted.running,
        };
        self.pin(&pass);
        self.passes.insert(id.to_owned(), pass);
    }

    /// Drops scopes that count nothing any more. Called at any rate, it looks once in [`SWEEP_MS`].
    pub fn sweep(&mut self) {
        if self.now_ms < self.swept_ms.saturating_add(SWEEP_MS) {
            return;
        }
        self.swept_ms = self.now_ms;
        for (place, slot) in self.accounts.iter_mut().enumerate() {
            if slot.as_mut().is_some_and(|one| one.is_idle(self.now_ms))
                && let Some(account) = slot.take()
            {
                self.places.remove(account.scope());
                self.free.push(place);
            }
        }
    }

    /// Scopes that are counted.
    pub fn scope_count(&self) -> usize {
        self.places.len()
    }

    /// Exchanges that run in a scope, leased ones included.
    pub fn running(&self, scope: &Scope) -> u64 {
        let place = self.places.get(scope);
        let account = place.and_then(|place| self.accounts.get(place.0)?.as_ref());
        account.map_or(0, Account::running)
    }

    /// Moves to the present.
    pub fn advance(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    fn place(&mut self, id: &str, pass: Pass) {
        self.release(id);
        self.pin(&pass);
        for place in &pass.places {
            self.add(*place, Measure::Requests, pass.requests);
            self.add(*place, Measure::Tokens, pass.tokens);
        }
        self.passes.insert(id.to_owned(), pass);
    }

    fn pin(&mut self, pass: &Pass) {
        for place in &pass.places {
            if let Some(Some(account)) = self.accounts.get_mut(place.0) {
                account.pin(pass.running);
            }
        }
    }

    fn release(&mut self, id: &str) -> Option<Pass> {
        let pass = self.passes.remove(id)?;
        for place in &pass.places {
            if let Some(Some(account)) = self.accounts.get_mut(place.0) {
                account.unpin(pass.running);
            }
        }
        Some(pass)
    }

    fn add(&mut self, place: Place, measure: Measure, more: u64) {
        if let Some(Some(account)) = self.accounts.get_mut(place.0) {
            account.add(measure, more, self.now_ms);
        }
    }

    fn take(&mut self, place: Place, measure: Measure, less: u64, at_ms: u64) {
        if let Some(Some(account)) = self.accounts.get_mut(place.0) {
            account.take(measure, less, at_ms, self.now_ms);
        }
    }

    /// Whether an exchange that ended so counts in a scope.
    fn has_served(&self, place: Place, served: &Served<'_>) -> bool {
        let account = self.accounts.get(place.0).and_then(Option::as_ref);
        match account.map(Account::scope) {
            Some(Scope::Provider(name)) => name == served.provider,
            Some(Scope::Model(name)) => name == served.model,
            _ => true,
        }
    }
}

/// What a pass from before a restart has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Unix milliseconds at which it was counted.
    pub at_ms: u64,
    /// Requests.
    pub requests: u64,
    /// Tokens.
    pub tokens: u64,
    /// Running exchanges.
    pub running: u64,
}

fn tighter(one: &RateState, other: &RateState) -> bool {
    (one.remaining, other.reset_ms) < (other.remaining, one.reset_ms)
}
