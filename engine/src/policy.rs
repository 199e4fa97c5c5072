//! The policy in force, indexed for lookups by name.

use std::cell::RefCell;
use std::rc::Rc;

use hashbrown::HashMap;

use crate::guard::{self, Detectors};
use crate::plan::Plans;
use crate::wire::{Defaults, Model, Policy, Provider};

/// A [`Policy`] with its indexes. Immutable: a new policy is a new value.
#[derive(Debug, Default)]
pub struct PolicyIndex {
    providers: Vec<Rc<Provider>>,
    provider_by_name: HashMap<String, usize>,
    models: Vec<Rc<Model>>,
    model_by_id: HashMap<String, usize>,
    model_by_provider: HashMap<(String, String), usize>,
    defaults: Defaults,
    detectors: Rc<Detectors>,
    /// Secrets of tenants that were asked for.
    tenant_keys: RefCell<HashMap<String, [u8; 32]>>,
    plans: Plans,
}

/// Tenants whose secrets are remembered. At the cap all are forgotten.
const TENANT_KEYS_MAX: usize = 1_024;

impl PolicyIndex {
    /// Indexes a policy. Where two models share an id the first wins, so that what an operator
    /// configured hides the catalogue.
    pub fn new(policy: Policy) -> PolicyIndex {
        // The sidecar has compiled them before: they are well-formed.
        let detectors = Detectors::compile(&policy.defaults.detectors).unwrap_or_default();
        let mut index = PolicyIndex {
            detectors: Rc::new(detectors),
            defaults: policy.defaults,
            ..PolicyIndex::default()
        };
        for provider in policy.providers {
            let at = index.providers.len();
            index
                .provider_by_name
                .entry(provider.name.clone())
                .or_insert(at);
            index.providers.push(Rc::new(provider));
        }
        for model in policy.models {
            let at = index.models.len();
            index.model_by_id.entry(model.id.clone()).or_insert(at);
            for name in [&model.id, &model.model] {
                let key = (model.provider.clone(), name.clone());
                index.model_by_provider.entry(key).or_insert(at);
            }
            index.models.push(Rc::new(model));
        }
        index
    }

    /// The secret that a tenant's hashes are made with.
    pub fn tenant_key(&self, tenant: &str) -> [u8; 32] {
        let mut known = self.tenant_keys.borrow_mut();
        if let Some(key) = known.get(tenant) {
            return *key;
        }
        let key = guard::tenant_key(&self.defaults.guard_key, tenant);
        if known.len() >= TENANT_KEYS_MAX {
            known.clear();
        }
        known.insert(tenant.to_owned(), key);
        key
    }

    /// The provider of that name.
    pub fn provider(&self, name: &str) -> Option<&Rc<Provider>> {
        self.provider_by_name
            .get(name)
            .and_then(|at| self.providers.get(*at))
    }

    /// All providers, in configuration order.
    pub fn providers(&self) -> impl Iterator<Item = &Rc<Provider>> {
        self.providers.iter()
    }

    /// The model clients call `id`, at whichever provider.
    pub fn model(&self, id: &str) -> Option<&Rc<Model>> {
        self.model_by_id.get(id).and_then(|at| self.models.get(*at))
    }

    /// The model of one provider, by client-facing id or by the provider's own name.
    pub fn model_of(&self, provider: &str, name: &str) -> Option<&Rc<Model>> {
        let key = (provider.to_owned(), name.to_owned());
        self.model_by_provider
            .get(&key)
            .and_then(|at| self.models.get(*at))
    }

    /// Models that `/v1/models` shows, in configuration order.
    pub fn listed(&self) -> impl Iterator<Item = &Rc<Model>> {
        self.models.iter().filter(|model| model.listed)
    }

    /// Plans of requests that bring no route.
    pub(crate) fn plans(&self) -> &Plans {
        &self.plans
    }

    /// What finds personal data: the built-in detectors and the operator's own.
    pub fn detectors(&self) -> &Rc<Detectors> {
        &self.detectors
    }

    /// What holds when key and request say nothing.
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }
}
