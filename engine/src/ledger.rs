//! Budgets and holds: what may still be spent, what is promised, what was spent.
//!
//! An exchange passes through here twice. [`Ledger::admit`] holds the most that it can cost in every
//! scope it belongs to, or refuses; [`Ledger::settle`] gives the hold back and charges what it did
//! cost. Between them [`Ledger::renew`] says that it is alive and what it has cost so far.
//!
//! Invariants, while no exchange costs more than was held for it and no limit is lowered:
//! - for each hard budget, in each of its windows, `spent + held <= limit`;
//! - `spent` is the sum of the settled costs whose instant lies in the window. An exchange belongs
//!   to the window it was admitted in, however late it settles, so a window that has ended neither
//!   takes from the next one nor lends to it.
//!
//! This machine does not remember what was settled: the store's primary key decides whether a
//! record is new, and only new ones may be passed to [`Ledger::settle`].

use hashbrown::HashMap;

use crate::period::{Calendar, Period};
use crate::usage::NanoUsd;
use crate::wire::Quote;

mod account;
mod budget;
mod quote;
mod scope;

#[cfg(test)]
mod tests;

use account::Account;
pub use budget::{Budget, BudgetState, Crossing, Overdrawn, Spend, THRESHOLDS_MAX, Thresholds};
pub use quote::{Worst, hold as worst};
pub use scope::Scope;

/// How long a hold lives without being renewed, in milliseconds.
pub const HOLD_TTL_MS: u64 = 60_000;
/// Holds at one time. Above it exchanges are refused with `state_unavailable`.
pub const HOLDS_MAX: usize = 200_000;
/// Holds that one call of [`Ledger::expire`] gives up at most; the rest follows with the next call.
pub const EXPIRED_PER_CALL_MAX: usize = 1_000;
/// The smallest output cap, per choice, that is worth deriving from what is left of a budget.
pub const DERIVED_OUTPUT_TOKENS_MIN: u64 = 16;
/// Output, per choice, of a model whose own maximum is not known. Under a hard budget it is also
/// sent as cap, since otherwise nothing would bound the price.
pub const UNKNOWN_OUTPUT_TOKENS: u64 = 4_096;

/// A scope's place in one [`Ledger`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeId(usize);

/// Who asks for an exchange to be admitted, and what it can cost.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Exchange id.
    pub exchange: &'a str,
    /// Public id of the key.
    pub key: &'a str,
    /// The scopes it belongs to.
    pub scopes: &'a [ScopeId],
    /// Planned targets.
    pub quotes: &'a [Quote],
    /// Output cap of the request over all choices.
    pub output_cap: Option<u64>,
    /// Choices asked for; 0 is read as 1.
    pub choices: u32,
    /// Prompt tokens.
    pub tokens_in: u64,
    /// End user of the request.
    pub user: &'a str,
    /// `name=value` of its metadata, as far as limits ask for it.
    pub tags: &'a [String],
    /// Output tokens per choice that a first hold covers at most, where it can grow. Without it the
    /// whole of what the exchange can cost is held.
    pub slice_tokens: Option<u64>,
}

/// The answer to [`Ledger::admit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The hold is in place.
    Granted {
        /// What is held in each scope.
        held: Worst,
        /// Whether a hard budget bounds it.
        hard: bool,
    },
    /// A budget does not cover it; nothing is held.
    Refused(Overdrawn),
    /// [`HOLDS_MAX`] is reached; nothing is held.
    Full,
}

/// Money promised to a running exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Money held in each scope.
    pub amount_nano: NanoUsd,
    /// What it has cost so far; the prompt's price until the filter has said more.
    pub metered_nano: NanoUsd,
    /// Unix milliseconds of the admission: the window that it is charged in.
    pub admitted_ms: u64,
    /// Unix milliseconds at which it is given up unless renewed.
    pub expires_ms: u64,
    /// The scopes it belongs to.
    pub scopes: Vec<ScopeId>,
    /// Public id of the key.
    pub key: String,
    /// Provider of the first planned target.
    pub provider: String,
    /// Model of the first planned target.
    pub model: String,
    /// Prompt tokens.
    pub tokens_in: u64,
    /// End user of the request.
    pub user: String,
    /// `name=value` of its metadata, as far as limits ask for it.
    pub tags: Vec<String>,
    /// Requests that a lease was made for; `None` when it is one exchange's hold. Many exchanges are
    /// charged to a lease's hold.
    pub lease_requests: Option<u64>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The newest instant seen: a clock that steps back does not bring an old window back.
    now_ms: u64,
    calendar: Calendar,
    accounts: Vec<Account>,
    /// Thresholds that nobody has asked for yet.
    crossings: Vec<Crossing>,
    places: HashMap<Scope, ScopeId>,
    holds: HashMap<String, Hold>,
}

impl Ledger {
    /// A ledger whose windows follow `calendar`.
    pub fn new(calendar: Calendar) -> Ledger {
        Ledger {
            calendar,
            ..Ledger::default()
        }
    }

    /// The calendar that windows follow.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// The place of `scope`, which starts without budget and spend.
    pub fn open(&mut self, scope: Scope) -> ScopeId {
        let next = ScopeId(self.accounts.len());
        let id = *self.places.entry(scope.clone()).or_insert(next);
        if id == next {
            let account = Account::new(scope, &self.calendar, self.now_ms);
            self.accounts.push(account);
        }
        id
    }

    /// The scope at a place.
    pub fn scope(&self, id: ScopeId) -> Option<&Scope> {
        self.accounts.get(id.0).map(Account::scope)
    }

    /// Takes over what a scope has spent and holds in windows of these periods and beginnings, from
    /// where that is kept.
    pub fn adopt(
        &mut self,
        id: ScopeId,
        states: impl IntoIterator<Item = (Period, u64, (NanoUsd, NanoUsd))>,
        now_ms: u64,
    ) {
        self.advance(now_ms);
        if let Some(account) = self.accounts.get_mut(id.0) {
            account.roll(&self.calendar, self.now_ms);
            for (period, start_ms, state) in states {
                account.adopt(period, start_ms, state);
            }
            account.crossings(&mut self.crossings);
        }
    }

    /// The place of `scope`, if it was opened.
    pub fn place_of(&self, scope: &Scope) -> Option<ScopeId> {
        self.places.get(scope).copied()
    }

    /// Scopes that have a budget, by name.
    pub fn scopes_with_budgets(&self) -> Vec<(Scope, ScopeId)> {
        let with = self.places.iter().filter(|(_, id)| {
            let account = self.accounts.get(id.0);
            account.is_some_and(|account| !account.budgets().is_empty())
        });
        let mut found: Vec<_> = with.map(|(scope, id)| (scope.clone(), *id)).collect();
        found.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        found
    }

    /// Whether these are the budgets of a scope.
    pub fn has_budgets(&self, id: ScopeId, budgets: &[Budget]) -> bool {
        let account = self.accounts.get(id.0);
        account.is_some_and(|account| account.budgets() == budgets)
    }

    /// Replaces the budgets of a scope.
    pub fn set_budgets(&mut self, id: ScopeId, budgets: Vec<Budget>) {
        if let Some(account) = self.accounts.get_mut(id.0) {
            account.set_budgets(budgets, &self.calendar, self.now_ms);
            account.crossings(&mut self.crossings);
        }
    }

    /// Replaces what a scope has spent by the store's own sums: instants and costs.
    pub fn recount(&mut self, id: ScopeId, sums: impl IntoIterator<Item = (u64, NanoUsd)>) {
        if let Some(account) = self.accounts.get_mut(id.0) {
            account.roll(&self.calendar, self.now_ms);
            account.forget_spend();
            for (at_ms, cost_nano) in sums {
                account.charge(&self.calendar, at_ms, cost_nano);
            }
            account.crossings(&mut self.crossings);
        }
    }

    /// Thresholds reached since the last call. One may come again after a restart: the store knows
    /// which were told.
    pub fn take_crossings(&mut self) -> Vec<Crossing> {
        std::mem::take(&mut self.crossings)
    }

    /// Whether [`Ledger::take_crossings`] would tell of some.
    pub fn has_crossings(&self) -> bool {
        !self.crossings.is_empty()
    }

    /// Whether a budget of a scope has thresholds.
    pub fn tells(&self, id: ScopeId) -> bool {
        let account = self.accounts.get(id.0);
        let mut budgets = account.map(Account::budgets).unwrap_or_default().iter();
        budgets.any(|budget| budget.thresholds.iter().next().is_some())
    }

    /// Budgets of a scope with their state at `now_ms`.
    pub fn budgets(&mut self, id: ScopeId, now_ms: u64) -> Vec<BudgetState> {
        self.advance(now_ms);
        let now_ms = self.now_ms;
        let Some(account) = self.accounts.get_mut(id.0) else {
            return Vec::new();
        };
        account.roll(&self.calendar, now_ms);
        let state = |budget: &Budget| BudgetState {
            budget: *budget,
            spend: account.spend(budget.period).copied().unwrap_or_default(),
        };
        account.budgets().iter().map(state).collect()
    }

    /// What a scope spent in the window of `period` that `now_ms` lies in.
    pub fn spend(&mut self, id: ScopeId, period: Period, now_ms: u64) -> Spend {
        self.advance(now_ms);
        let now_ms = self.now_ms;
        let Some(account) = self.accounts.get_mut(id.0) else {
            return Spend::default();
        };
        account.roll(&self.calendar, now_ms);
        account.spend(period).copied().unwrap_or_default()
    }

    /// Adds `cost_nano` to a scope in every window that `at_ms` lies in: what the store knows at
    /// start, or what a record that was settled before turns out to have cost.
    pub fn charge(&mut self, scopes: &[ScopeId], at_ms: u64, cost_nano: NanoUsd) {
        for id in scopes {
            if let Some(account) = self.accounts.get_mut(id.0) {
                account.roll(&self.calendar, self.now_ms);
                account.charge(&self.calendar, at_ms, cost_nano);
                account.crossings(&mut self.crossings);
            }
        }
    }

    /// Decides whether an exchange may start, and holds the most that it can cost. A second call
    /// for the same exchange replaces the first one's hold.
    pub fn admit(&mut self, ask: &Ask<'_>, now_ms: u64) -> Answer {
        self.advance(now_ms);
        self.release(ask.exchange);
        if self.holds.len() >= HOLDS_MAX {
            return Answer::Full;
        }
        for id in ask.scopes {
            if let Some(account) = self.accounts.get_mut(id.0) {
                account.roll(&self.calendar, self.now_ms);
            }
        }
        let left = self.left(ask.scopes);
        let Some(held) = quote::hold(ask, left) else {
            return self.refuse(ask);
        };
        let hold_nano = held.hold_nano;
        let first = ask.quotes.first();
        let hold = Hold {
            amount_nano: hold_nano,
            metered_nano: first
                .map_or(0, |quote| quote.input_nano.max(0))
                .min(hold_nano),
            admitted_ms: self.now_ms,
            expires_ms: self.now_ms.saturating_add(HOLD_TTL_MS),
            scopes: ask.scopes.to_vec(),
            key: ask.key.to_owned(),
            provider: first
                .map(|quote| quote.provider.clone())
                .unwrap_or_default(),
            model: first.map(|quote| quote.model.clone()).unwrap_or_default(),
            tokens_in: ask.tokens_in,
            user: ask.user.to_owned(),
            tags: ask.tags.to_vec(),
            lease_requests: None,
        };
        self.place(ask.exchange.to_owned(), hold);
        Answer::Granted {
            held,
            hard: left.is_some(),
        }
    }

    /// Puts back a hold that was made before a restart, and gives it a new time to live.
    pub fn restore(&mut self, exchange: String, mut hold: Hold, now_ms: u64) {
        self.advance(now_ms);
        hold.expires_ms = self.now_ms.saturating_add(HOLD_TTL_MS);
        self.release(&exchange);
        self.place(exchange, hold);
    }

    /// Notes that an exchange is alive and what it has cost so far. `false` when nothing is held
    /// for it. A cost above the hold raises the hold.
    pub fn renew(&mut self, exchange: &str, cost_nano: NanoUsd, now_ms: u64) -> bool {
        self.advance(now_ms);
        let Some(hold) = self.holds.get_mut(exchange) else {
            return false;
        };
        hold.expires_ms = self.now_ms.saturating_add(HOLD_TTL_MS);
        hold.metered_nano = if hold.lease_requests.is_some() {
            cost_nano
        } else {
            hold.metered_nano.max(cost_nano)
        };
        let more = hold.metered_nano.saturating_sub(hold.amount_nano);
        self.raise(exchange, more);
        true
    }

    /// Lets a hold grow by `by_nano`, or by as much of it as every hard budget covers: so much. 0 when
    /// nothing is held under that id.
    pub fn grow(&mut self, id: &str, by_nano: NanoUsd, now_ms: u64) -> NanoUsd {
        let Some(hold) = self.holds.get(id) else {
            return 0;
        };
        let scopes = hold.scopes.clone();
        let (left, _) = self.room(&scopes, now_ms);
        let more = left.map_or(by_nano, |left| left.min(by_nano)).max(0);
        self.raise(id, more);
        more
    }

    fn raise(&mut self, id: &str, more_nano: NanoUsd) {
        let Some(hold) = self.holds.get_mut(id).filter(|_| more_nano > 0) else {
            return;
        };
        hold.amount_nano = hold.amount_nano.saturating_add(more_nano);
        for id in &hold.scopes {
            if let Some(account) = self.accounts.get_mut(id.0) {
                account.hold(hold.admitted_ms, more_nano);
            }
        }
    }

    /// Gives an exchange's hold back and charges `scopes` what it cost, at [`Ledger::charged_ms`].
    /// They may be fewer than those of the hold: of all planned providers one has served. Call it
    /// once for each exchange; see the module.
    pub fn settle(
        &mut self,
        exchange: &str,
        scopes: &[ScopeId],
        charged_ms: u64,
        cost_nano: NanoUsd,
    ) {
        self.release(exchange);
        self.charge(scopes, charged_ms, cost_nano);
    }

    /// Holds `amount_nano` under a lease's id, for exchanges like the one that is held as `like`.
    /// `false` when nothing is held as that, or no more can be.
    pub fn lease(&mut self, id: &str, like: &str, amount_nano: NanoUsd, requests: u64) -> bool {
        let Some(like) = self
            .holds
            .get(like)
            .filter(|_| self.holds.len() < HOLDS_MAX)
        else {
            return false;
        };
        let hold = Hold {
            amount_nano,
            metered_nano: 0,
            tokens_in: 0,
            lease_requests: Some(requests),
            ..like.clone()
        };
        self.place(id.to_owned(), hold);
        true
    }

    /// Charges what an exchange under a lease cost, and takes it off the lease's hold.
    pub fn settle_leased(
        &mut self,
        lease: &str,
        scopes: &[ScopeId],
        charged_ms: u64,
        cost_nano: NanoUsd,
    ) {
        if let Some(hold) = self.holds.get(lease) {
            let keep = hold.amount_nano.saturating_sub(cost_nano).max(0);
            self.shrink(lease, keep);
        }
        self.charge(scopes, charged_ms, cost_nano);
    }

    /// Lowers a hold to `keep_nano`.
    pub fn shrink(&mut self, id: &str, keep_nano: NanoUsd) {
        let Some(hold) = self.holds.get_mut(id) else {
            return;
        };
        let keep = keep_nano.clamp(0, hold.amount_nano.max(0));
        let less = keep.saturating_sub(hold.amount_nano);
        hold.amount_nano = keep;
        hold.metered_nano = hold.metered_nano.min(keep);
        for id in &hold.scopes {
            if let Some(account) = self.accounts.get_mut(id.0) {
                account.roll(&self.calendar, self.now_ms);
                account.hold(hold.admitted_ms, less);
            }
        }
    }

    /// What the tightest hard budget of `scopes` still covers, `None` without one, and when the
    /// first of their windows ends.
    pub fn room(&mut self, scopes: &[ScopeId], now_ms: u64) -> (Option<NanoUsd>, Option<u64>) {
        self.advance(now_ms);
        for id in scopes {
            if let Some(account) = self.accounts.get_mut(id.0) {
                account.roll(&self.calendar, self.now_ms);
            }
        }
        let ends = self
            .hard(scopes)
            .filter_map(|(_, spend)| spend.window.end_ms);
        (self.left(scopes), ends.min())
    }

    /// Gives an exchange's hold back and charges nothing: it was settled before.
    pub fn cancel(&mut self, exchange: &str) {
        self.release(exchange);
    }

    /// The instant whose windows an exchange is charged in: its admission, or without a hold its
    /// arrival at `at_ms`, which cannot lie in the future.
    pub fn charged_ms(&self, exchange: &str, at_ms: u64, now_ms: u64) -> u64 {
        match self.holds.get(exchange) {
            Some(hold) => hold.admitted_ms,
            None => at_ms.min(now_ms.max(self.now_ms)),
        }
    }

    /// Exchanges whose hold was not renewed in time, for settlement at `metered_nano`. They stay
    /// held until that is done, and come again if it is not.
    pub fn expire(&mut self, now_ms: u64) -> Vec<(String, Hold)> {
        self.advance(now_ms);
        let now_ms = self.now_ms;
        let late = self
            .holds
            .iter_mut()
            .filter(|(_, hold)| hold.expires_ms <= now_ms);
        late.take(EXPIRED_PER_CALL_MAX)
            .map(|(exchange, hold)| {
                hold.expires_ms = now_ms.saturating_add(HOLD_TTL_MS);
                (exchange.clone(), hold.clone())
            })
            .collect()
    }

    /// Scopes that were opened.
    pub fn scope_count(&self) -> usize {
        self.accounts.len()
    }

    /// Every hold, in no order.
    pub fn holds(&self) -> impl ExactSizeIterator<Item = (&str, &Hold)> {
        self.holds
            .iter()
            .map(|(exchange, hold)| (exchange.as_str(), hold))
    }

    /// The hold of an exchange.
    pub fn hold(&self, exchange: &str) -> Option<&Hold> {
        self.holds.get(exchange)
    }

    fn advance(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    fn place(&mut self, exchange: String, hold: Hold) {
        for id in &hold.scopes {
            if let Some(account) = self.accounts.get_mut(id.0) {
                account.roll(&self.calendar, self.now_ms);
                account.hold(hold.admitted_ms, hold.amount_nano);
            }
        }
        self.holds.insert(exchange, hold);
    }

    fn release(&mut self, exchange: &str) -> Option<Hold> {
        let hold = self.holds.remove(exchange)?;
        for id in &hold.scopes {
            if let Some(account) = self.accounts.get_mut(id.0) {
                account.roll(&self.calendar, self.now_ms);
                account.hold(hold.admitted_ms, hold.amount_nano.saturating_neg());
            }
        }
        Some(hold)
    }

    /// What the tightest hard budget of `scopes` still covers; `None` without one.
    fn left(&self, scopes: &[ScopeId]) -> Option<NanoUsd> {
        self.hard(scopes)
            .map(|(budget, spend)| spend.left(budget))
            .min()
    }

    fn hard(&self, scopes: &[ScopeId]) -> impl Iterator<Item = (Budget, Spend)> {
        let accounts = scopes.iter().filter_map(|id| self.accounts.get(id.0));
        accounts.flat_map(|account| {
            let hard = account.budgets().iter().filter(|budget| budget.hard);
            hard.filter_map(|budget| Some((*budget, *account.spend(budget.period)?)))
        })
    }

    fn refuse(&self, ask: &Ask<'_>) -> Answer {
        let short = |(_, spend): &(Budget, Spend), budget: &Budget| {
            quote::hold(ask, Some(spend.left(*budget))).is_none()
        };
        let last = self
            .hard(ask.scopes)
            .filter(|pair| short(pair, &pair.0))
            .max_by_key(|(_, spend)| spend.window.end_ms.unwrap_or(u64::MAX));
        let Some((budget, spend)) = last else {
            return Answer::Full;
        };
        let wait_ms = spend
            .window
            .end_ms
            .map(|end| end.saturating_sub(self.now_ms));
        Answer::Refused(Overdrawn {
            budget,
            retry_after_s: wait_ms.map(|ms| ms.div_ceil(1_000)),
        })
    }
}
