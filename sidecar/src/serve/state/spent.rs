//! Whose spend something is.

use engine::ledger::{Scope, ScopeId};
use engine::wire::UsageRecord;

use super::super::membership::{Party, Targets};
use super::Core;

/// Spend, as far as it tells whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent<'a> {
    pub(crate) key: &'a str,
    pub(crate) user: &'a str,
    pub(crate) tags: &'a [String],
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
}

impl<'a> Spent<'a> {
    pub(crate) fn of(record: &'a UsageRecord) -> Spent<'a> {
        Spent {
            key: &record.key,
            user: &record.user,
            tags: &record.tags,
            provider: &record.provider,
            model: &record.model,
        }
    }
}

impl Core {
    /// Scopes that spend of this kind counts in, everybody's and the key's own among them.
    pub(crate) fn scopes(&self, spent: &Spent<'_>) -> Vec<Scope> {
        let mut scopes = vec![Scope::Global];
        let Some(entry) = self.keys.by_id(spent.key) else {
            return scopes;
        };
        scopes.push(Scope::Key(spent.key.to_owned()));
        let served = Targets::Served(spent.provider, spent.model);
        let party = Party::of(&entry.key, spent.user, spent.tags, served);
        scopes.extend(self.rules.scopes(&party));
        for scope in self.counted.scopes(&party) {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        scopes
    }

    /// The same, opened in the ledger.
    pub(crate) fn scope_ids(&mut self, spent: &Spent<'_>) -> Vec<ScopeId> {
        let key = self.keys.by_id(spent.key);
        let tier = key.and_then(|entry| entry.key.membership.tier.clone());
        let more = self.scopes(spent).split_off(1);
        let mut ids = vec![self.global];
        // Of too many scopes the further ones are not counted.
        for scope in more {
            if let Scope::Key(_) = scope {
                ids.push(self.ledger.open(scope));
            } else if let Some(opened) =
                self.rules
                    .open(vec![scope], tier.as_deref(), &mut self.ledger)
            {
                ids.extend(opened);
            }
        }
        ids
    }
}
