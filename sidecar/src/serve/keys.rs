//! Virtual keys in memory: what the internal API asks about, found by hash and by id.

use std::collections::HashMap;
use std::sync::Arc;

use engine::guard::Guardrails;
use engine::lease::Demand;
use engine::ledger::{Budget, Ledger, Scope, ScopeId, Thresholds};
use engine::limit::Bound;
use engine::period::Period;
use engine::reply::Code;
use engine::usage::NanoUsd;
use engine::wire::KeyRecord;

use crate::config::{KeyLimits, Membership};

/// A virtual key as the store keeps it. The key itself is not here: only its hash is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VirtualKey {
    /// Public id, `key_…`.
    pub(crate) id: String,
    /// Enough of the key to recognise it by: `vk-ab…wxyz`.
    pub(crate) masked: String,
    /// SHA-256 of the key, lower-case hex.
    pub(crate) hash: String,
    /// Name given by the operator.
    pub(crate) name: String,
    /// Provider for requests whose model names none.
    pub(crate) provider: Option<String>,
    /// The provider's key, sealed.
    pub(crate) sealed: Option<Vec<u8>>,
    /// Requests per minute.
    pub(crate) rate_limit: Option<u64>,
    /// Further limits of that kind.
    pub(crate) limits: KeyLimits,
    /// Spend allowed in a window of `period`.
    pub(crate) budget_limit_nano: Option<NanoUsd>,
    /// Period of that spend.
    pub(crate) period: Period,
    /// Whether the key may be used; an operator's switch.
    pub(crate) is_active: bool,
    /// Unix milliseconds of its revocation, which is final.
    pub(crate) revoked_at_ms: Option<u64>,
    /// Unix milliseconds after which it is refused.
    pub(crate) expires_at_ms: Option<u64>,
    /// Unix milliseconds of its creation.
    pub(crate) created_at_ms: u64,
    /// Unix milliseconds of the last rotation of the provider's key.
    pub(crate) rotated_at_ms: Option<u64>,
    /// Models it may ask for; empty allows all.
    pub(crate) models: Vec<String>,
    /// Guardrails of its requests and their answers.
    pub(crate) guardrails: Guardrails,
    /// Route configuration, as JSON.
    pub(crate) config: Option<String>,
    /// Operator's notes, a JSON object.
    pub(crate) metadata: Option<String>,
    /// Environment label.
    pub(crate) environment: Option<String>,
    /// To whom it belongs; the tenant scopes the cache too.
    pub(crate) membership: Membership,
    /// Whether `weir.yaml` names it.
    pub(crate) from_file: bool,
}

impl VirtualKey {
    /// Why the key may not be used at `now_ms`, if so.
    pub(crate) fn refusal(&self, now_ms: u64) -> Option<Code> {
        if self.revoked_at_ms.is_some() {
            Some(Code::KeyRevoked)
        } else if !self.is_active {
            Some(Code::KeyDisabled)
        } else if self.expires_at_ms.is_some_and(|at| at <= now_ms) {
            Some(Code::KeyExpired)
        } else {
            None
        }
    }

    fn record(&self) -> KeyRecord {
        KeyRecord {
            id: self.id.clone(),
            name: self.name.clone(),
            tenant: self.membership.tenant.clone(),
            provider: self.provider.clone(),
            models: self.models.clone(),
            guardrails: self.guardrails.clone(),
            config: self.config.clone(),
            expires_at_ms: self.expires_at_ms,
        }
    }
}

/// A key with what its requests need.
pub(crate) struct Entry {
    pub(crate) key: Arc<VirtualKey>,
    /// What the filter may know.
    pub(crate) record: KeyRecord,
    /// The provider's key in the open, by provider name.
    pub(crate) credentials: Vec<(String, String)>,
    /// Global and the key's own.
    pub(crate) scopes: [ScopeId; 2],
    /// Its own limits on requests, tokens and what runs.
    pub(crate) bounds: Vec<Bound>,
    /// How fast it is used.
    pub(crate) demand: Demand,
}

/// Every key, revoked ones included.
#[derive(Default)]
pub(crate) struct KeyTable {
    by_id: HashMap<String, Entry>,
    id_by_hash: HashMap<String, String>,
    /// Keys that went from one tenant to another, and from which, for whoever counts them by tenant.
    pub(crate) moved: Vec<(String, String)>,
}

/// Of more than these nobody has asked for it.
const MOVED_MAX: usize = 10_000;

impl KeyTable {
    /// Adds a key or replaces it.
    pub(crate) fn put(&mut self, key: VirtualKey, real_api_key: Option<&str>, ledger: &mut Ledger) {
        let own = ledger.open(Scope::Key(key.id.clone()));
        let scopes = [ledger.open(Scope::Global), own];
        let budget = key.budget_limit_nano.map(|limit_nano| Budget {
            limit_nano,
            period: key.period,
            hard: true,
            thresholds: Thresholds::default(),
        });
        ledger.set_budgets(own, budget.into_iter().collect());
        let provider_key = key.provider.clone().zip(real_api_key.map(str::to_owned));
        let old = self.by_id.remove(&key.id);
        if let Some(old) = &old {
            self.id_by_hash.remove(&old.key.hash);
            let tenant = &old.key.membership.tenant;
            if *tenant != key.membership.tenant && self.moved.len() < MOVED_MAX {
                self.moved.push((key.id.clone(), tenant.clone()));
            }
        }
        self.id_by_hash.insert(key.hash.clone(), key.id.clone());
        let demand = old.map(|old| old.demand).unwrap_or_default();
        let entry = Entry {
            record: key.record(),
            credentials: provider_key.into_iter().collect(),
            scopes,
            bounds: key.limits.bounds(key.rate_limit),
            demand,
            key: Arc::new(key),
        };
        self.by_id.insert(entry.key.id.clone(), entry);
    }

    pub(crate) fn by_hash(&self, hash: &str) -> Option<&Entry> {
        self.by_id.get(self.id_by_hash.get(hash)?)
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Entry> {
        self.by_id.get(id)
    }

    pub(crate) fn by_id_mut(&mut self, id: &str) -> Option<&mut Entry> {
        self.by_id.get_mut(id)
    }

    /// Forgets keys that are not `kept`.
    pub(crate) fn retain(&mut self, kept: impl Fn(&str) -> bool) {
        self.by_id.retain(|id, _| kept(id));
        self.id_by_hash.retain(|_, id| kept(id));
    }

    /// Every key, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.by_id.values()
    }
}
