//! Whose limits on requests, tokens and what runs an exchange counts against.

use engine::ledger::Scope;
use engine::limit::{Bound, Limits, Place, Served};
use engine::wire::{Admit, Governed, Quote, UsageRecord};

use super::keys::Entry;
use super::membership::{Party, names};
use super::state::Core;
use crate::config::{LimitScope, RateLimitConfig};

/// What stands before a key's id where it counts as a user: no user is named so.
const UNNAMED: char = '\n';

/// Limits above those of single keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitRules(Vec<RateLimitConfig>);

/// Where an exchange counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limited {
    places: Vec<Place>,
    /// So many of them, the first ones, are the caller's; the others are where it goes.
    callers: usize,
}

impl Limited {
    /// Everywhere.
    pub(crate) fn all(&self) -> &[Place] {
        &self.places
    }

    /// Whoever asks, without where it goes: what an answer from the cache counts against.
    pub(crate) fn callers(&self) -> &[Place] {
        self.places.get(..self.callers).unwrap_or_default()
    }

    /// Where it goes.
    pub(crate) fn targets(&self) -> &[Place] {
        self.places.get(self.callers..).unwrap_or_default()
    }
}

impl LimitRules {
    pub(crate) fn new(limits: &[RateLimitConfig]) -> LimitRules {
        LimitRules(limits.to_vec())
    }

    /// Opens the scopes of an exchange that have a limit. `None` when there are too many scopes.
    pub(crate) fn open(
        &self,
        entry: &Entry,
        party: &Party<'_>,
        limits: &mut Limits,
        now_ms: u64,
    ) -> Option<Limited> {
        let mut limited = Limited::default();
        if self.0.is_empty() && entry.bounds.is_empty() {
            return Some(limited);
        }
        let mut candidates = vec![Scope::Global, Scope::Key(entry.key.id.clone())];
        if !party.address.is_empty() {
            candidates.push(Scope::Ip(party.address.to_owned()));
        }
        if !self.0.is_empty() {
            if party.user().is_empty() {
                // Who leaves the user out is not thereby free of the limit for users.
                candidates.push(Scope::User(format!("{UNNAMED}{}", entry.key.id)));
            }
            party.candidates(&mut candidates);
        }
        for scope in candidates {
            let bounds = self.bounds(&scope, entry);
            if bounds.is_empty() {
                continue;
            }
            let place = limits.open(&scope, &bounds, now_ms)?;
            limited.places.push(place);
            if !matches!(scope, Scope::Provider(_) | Scope::Model(_)) {
                limited.callers = limited.places.len();
            }
        }
        Some(limited)
    }

    /// Places of planned targets whose provider's or model's own limits are reached.
    pub(crate) fn full(
        &self,
        entry: &Entry,
        admit: &Admit,
        limits: &mut Limits,
        now_ms: u64,
    ) -> Vec<usize> {
        let mut fits = |quote: &Quote| {
            let scopes = [
                Scope::Provider(quote.provider.clone()),
                Scope::Model(quote.model.clone()),
            ];
            scopes.iter().all(|scope| {
                let bounds = self.bounds(scope, entry);
                let place = limits.open(scope, &bounds, now_ms);
                place.is_some_and(|place| limits.check(&[place], admit.tokens_in, now_ms).is_ok())
            })
        };
        let places = admit.targets.iter().enumerate();
        let full = places.filter(|(_, quote)| !fits(quote));
        full.map(|(place, _)| place).collect()
    }

    /// Opens one scope, with its limits as far as they are known without an exchange.
    pub(crate) fn reopen(
        &self,
        scope: &Scope,
        entry: &Entry,
        limits: &mut Limits,
        now_ms: u64,
    ) -> Option<Place> {
        limits.open(scope, &self.bounds(scope, entry), now_ms)
    }

    /// Adds what of a request decides which limits it counts against.
    pub(crate) fn govern(&self, governed: &mut Governed) {
        let has = |scope| self.0.iter().any(|limit| limit.scope == scope);
        governed.users |= has(LimitScope::User);
        governed.models |= has(LimitScope::Provider) || has(LimitScope::Model);
        governed.addresses |= has(LimitScope::Ip);
        let tags = self.0.iter().filter_map(|limit| {
            let name = limit.name.as_deref()?.split_once('=')?.0;
            (limit.scope == LimitScope::Tag).then(|| name.to_owned())
        });
        governed.tags.extend(tags);
        governed.tags.sort_unstable();
        governed.tags.dedup();
    }

    /// The longest window that something looks at, in milliseconds; 0 without limits.
    pub(crate) fn longest_ms<'a>(&self, entries: impl Iterator<Item = &'a Entry>) -> u64 {
        let own = entries.flat_map(|entry| entry.bounds.iter().copied());
        let all = self.0.iter().flat_map(|limit| limit.rate.bounds());
        let lengths = own.chain(all).map(|bound| bound.window_ms);
        lengths.max().unwrap_or(0)
    }

    fn bounds(&self, scope: &Scope, entry: &Entry) -> Vec<Bound> {
        let key = &entry.key;
        let tier = key.membership.tier.as_deref();
        let own_key = matches!(scope, Scope::Key(id) if *id == key.id);
        let bound = self.0.iter().filter(|limit| {
            let named = match limit.name.as_deref() {
                Some(name) if own_key => name == key.name || name == key.id,
                name => names(name, limit.scope == LimitScope::Tag, scope),
            };
            named
                && limit.scope.name() == scope.kind()
                && limit.tier.as_deref().is_none_or(|of| Some(of) == tier)
        });
        let mut bounds: Vec<Bound> = bound.flat_map(|limit| limit.rate.bounds()).collect();
        if own_key {
            bounds.extend_from_slice(&entry.bounds);
        }
        bounds
    }
}

impl Core {
    /// Gives back what an ended exchange counted, and counts its answer.
    pub(crate) fn settle_limits(&mut self, record: &UsageRecord, is_new: bool, now_ms: u64) {
        let served = Served {
            provider: &record.provider,
            model: &record.model,
            input: record.usage.input,
            output: record.usage.output,
        };
        match &record.lease {
            None => self.limits.settle(&record.exchange, &served, now_ms),
            Some(lease) if is_new => self.limits.settle_leased(lease, &served, now_ms),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
