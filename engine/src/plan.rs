//! From route configuration, key and policy to an ordered list of targets.

use std::cell::OnceCell;
use std::rc::Rc;

use crate::endpoint::Through;
use crate::exchange::RouteTries;
use crate::headers::Headers;
use crate::limits;
use crate::policy::PolicyIndex;
use crate::reply::Code;
use crate::route::{CacheRule, ErrorRules, Node, Strategy};
use crate::wire::{KeyRecord, Price, Provider};

mod memo;
mod passage;
#[cfg(test)]
mod tests;

pub(crate) use memo::Plans;

/// Output tokens held for a model whose limit nobody stated.
pub const OUTPUT_TOKENS_UNSTATED: u64 = 32_768;

/// Where an exchange may go, in order.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Never empty.
    pub targets: Vec<Target>,
    /// Names every target the configuration could choose, whatever the dice said: part of the
    /// cache key, so that a load-balanced route shares its answers.
    pub identity: String,
    /// Seconds an exact-cache entry lives; `None` leaves the cache alone.
    pub cache_ttl_s: Option<u64>,
}

/// One target with everything an attempt needs to know.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its provider.
    pub provider: Rc<Provider>,
    /// Model as the provider knows it.
    pub model: String,
    /// Price of it.
    pub price: Price,
    /// Output tokens it can produce at most.
    pub output_max: u64,
    /// Context window in tokens, 0 unknown.
    pub context: u64,
    /// Tries after the first one.
    pub retries: u32,
    /// Statuses worth another try here.
    pub retry_on: Rc<[u16]>,
    /// Errors that go on to the next target.
    pub fall_on: ErrorRules,
    /// Milliseconds an attempt may take (a stream: be silent), 0 for no limit.
    pub timeout_ms: u64,
    /// What a request's head says of the way to it.
    pub(crate) ways: Ways,
}

/// Parts of request heads that are the same each time, for requests without and with a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ways([OnceCell<Way>; 2]);

#[derive(Clone, Debug)]
struct Way {
    route: Option<Rc<RouteTries>>,
    headers: Headers,
}

impl Ways {
    /// The part for such requests on such a route, which `make` makes once; absent for a route that is
    /// another than the first one's.
    pub(crate) fn get(
        &self,
        stream: bool,
        route: Option<&Rc<RouteTries>>,
        make: impl FnOnce() -> Headers,
    ) -> Option<&Headers> {
        let way = self.0.get(usize::from(stream))?.get_or_init(|| Way {
            route: route.cloned(),
            headers: make(),
        });
        (way.route.as_ref() == route).then_some(&way.headers)
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// What to refuse with.
    pub code: Code,
    /// Sentence for the caller.
    pub message: String,
}

/// What a plan depends on.
pub struct Request<'a> {
    /// Model the client named.
    pub model: &'a str,
    /// The client's key.
    pub key: &'a KeyRecord,
    /// The policy in force.
    pub policy: &'a PolicyIndex,
    /// A random number, for weights.
    pub random: u64,
    /// The kind of call, for one that passes as it came: it needs no model.
    pub through: Option<Through>,
}

#[derive(Clone)]
struct Inherited {
    retries: u32,
    retry_on: Rc<[u16]>,
    timeout_ms: u64,
    fall_on: ErrorRules,
    cache: Option<CacheRule>,
}

impl Inherited {
    fn target(
        &self,
        provider: Rc<Provider>,
        model: String,
        price: Price,
        output_max: u64,
        context: u64,
    ) -> Target {
        Target {
            provider,
            model,
            price,
            output_max,
            context,
            retries: self.retries,
            retry_on: self.retry_on.clone(),
            fall_on: self.fall_on.clone(),
            timeout_ms: self.timeout_ms,
            ways: Ways::default(),
        }
    }
}

impl Plan {
    /// Resolves a route to targets.
    ///
    /// # Errors
    /// A provider or model that is unknown, unpriced or not allowed for the key.
    pub fn new(root: &Node, request: &Request<'_>) -> Result<Plan, PlanError> {
        let defaults = request.policy.defaults();
        let inherited = Inherited {
            retries: defaults.retry_attempts.min(limits::RETRIES_MAX),
            retry_on: defaults.retry_on.as_slice().into(),
            timeout_ms: defaults.request_timeout_ms,
            fall_on: ErrorRules::ANY,
            cache: None,
        };
        let mut builder = Builder {
            request,
            plan: Plan::default(),
            cache: None,
        };
        let mut random = request.random;
        builder.walk(root, &inherited, &mut random)?;
        builder.name(root);
        let mut plan = builder.plan;
        plan.cache_ttl_s = match builder.cache {
            Some(rule) if !rule.enabled => None,
            Some(rule) => rule.ttl_s.or(defaults.cache_ttl_s).or(Some(CACHE_TTL_S)),
            None => defaults.cache_ttl_s,
        };
        Ok(plan)
    }

    /// Whether one target of one provider needs nothing between attempts: Envoy's own retries do.
    pub fn is_single(&self) -> bool {
        self.targets.len() == 1
    }
}

/// Life of a cache entry when a request turns the cache on and nobody names a time.
const CACHE_TTL_S: u64 = 3600;

struct Builder<'a> {
    request: &'a Request<'a>,
    plan: Plan,
    cache: Option<CacheRule>,
}

impl Builder<'_> {
    fn walk(&mut self, node: &Node, parent: &Inherited, random: &mut u64) -> Result<(), PlanError> {
        let mut here = parent.clone();
        if let Some(retry) = &node.retry {
            here.retries = retry.attempts;
            if let Some(on) = &retry.on {
                here.retry_on = on.as_slice().into();
            } else if here.retry_on.is_empty() {
                here.retry_on = [429, 500, 502, 503, 504].into();
            }
        }
        here.timeout_ms = node.timeout_ms.unwrap_or(here.timeout_ms);
        here.cache = node.cache.or(here.cache);
        if let Some(rules) = &node.on_errors {
            here.fall_on = rules.clone();
        }
        if node.targets.is_empty() {
            return self.leaf(node, &here);
        }
        match node.strategy {
            Strategy::Single => node
                .targets
                .first()
                .map_or(Ok(()), |child| self.walk(child, &here, random)),
            Strategy::Fallback => node
                .targets
                .iter()
                .try_for_each(|child| self.walk(child, &here, random)),
            Strategy::LoadBalance => {
                choose(&node.targets, random).map_or(Ok(()), |c| self.walk(c, &here, random))
            }
        }
    }

    fn leaf(&mut self, node: &Node, here: &Inherited) -> Result<(), PlanError> {
        let target = self.resolve(node, here)?;
        // The cache is asked once, before any attempt: the first target's rule speaks for all.
        if self.plan.targets.is_empty() {
            self.cache = here.cache;
        }
        self.plan.targets.push(target);
        Ok(())
    }

    fn resolve(&self, node: &Node, here: &Inherited) -> Result<Target, PlanError> {
        if let Some(call) = self.request.through {
            return self.passage(call, node, here);
        }
        let Request {
            model: asked,
            key,
            policy,
            ..
        } = self.request;
        let wanted = node.model.as_deref().unwrap_or(asked);
        let (explicit, name) = match node.provider.as_deref() {
            Some(provider) => (Some(provider), wanted),
            None => split_provider(wanted, policy),
        };
        if !allowed(key, wanted) && !allowed(key, name) {
            let message = format!("Virtual key {} may not use the model {wanted}", key.name);
            return Err(PlanError {
                code: Code::ModelNotAllowed,
                message,
            });
        }
        let found = match explicit {
            Some(provider) => self.at_provider(provider, name)?,
            None => self.anywhere(name),
        };
        let Some((provider, model, price, output_max, context)) = found else {
            return Err(unpriced(explicit, wanted));
        };
        Ok(here.target(provider, model, price, output_max, context))
    }

    fn at_provider(&self, provider: &str, name: &str) -> Result<Option<Found>, PlanError> {
        let policy = self.request.policy;
        let Some(provider) = policy.provider(provider) else {
            let message = format!("No provider named {provider} is configured");
            return Err(PlanError {
                code: Code::ProviderUnknown,
                message,
            });
        };
        Ok(find(policy, provider, name))
    }

    /// The key's provider first, then whichever provider the operator gave that model id, then
    /// the default provider.
    fn anywhere(&self, name: &str) -> Option<Found> {
        let Request { key, policy, .. } = self.request;
        let own = key
            .provider
            .as_deref()
            .and_then(|name| policy.provider(name));
        if let Some(found) = own.and_then(|provider| known(policy, provider, name)) {
            return Some(found);
        }
        if let Some(model) = policy.model(name)
            && let Some(provider) = policy.provider(&model.provider)
        {
            return known(policy, provider, name);
        }
        let default = policy
            .defaults()
            .provider
            .as_deref()
            .and_then(|name| policy.provider(name));
        own.or(default)
            .and_then(|provider| find(policy, provider, name))
    }

    fn name(&mut self, node: &Node) {
        if node.targets.is_empty() {
            let identity = &mut self.plan.identity;
            for part in [&node.provider, &node.model] {
                identity.push_str(part.as_deref().unwrap_or("*"));
                identity.push('\n');
            }
            return;
        }
        node.targets.iter().for_each(|child| self.name(child));
    }
}

type Found = (Rc<Provider>, String, Price, u64, u64);

/// A model with an entry of its own.
fn known(policy: &PolicyIndex, provider: &Rc<Provider>, name: &str) -> Option<Found> {
    let model = policy.model_of(&provider.name, name)?;
    let output_max = if model.max_output == 0 {
        OUTPUT_TOKENS_UNSTATED
    } else {
        model.max_output
    };
    Some((
        provider.clone(),
        model.model.clone(),
        model.price,
        output_max,
        model.context,
    ))
}

/// A model with an entry, or any model of a provider that prices all.
fn find(policy: &PolicyIndex, provider: &Rc<Provider>, name: &str) -> Option<Found> {
    known(policy, provider, name).or_else(|| {
        let price = provider.default_price?;
        Some((
            provider.clone(),
            name.to_owned(),
            price,
            OUTPUT_TOKENS_UNSTATED,
            0,
        ))
    })
}

fn unpriced(provider: Option<&str>, model: &str) -> PlanError {
    match provider {
        Some(provider) => PlanError {
            code: Code::ModelNotPriced,
            message: format!(
                "The model {model} of provider {provider} has no price: add it under models, \
                 or give the provider a default_price"
            ),
        },
        None => PlanError {
            code: Code::ModelNotFound,
            message: format!("The model `{model}` does not exist or no provider serves it"),
        },
    }
}

fn allowed(key: &KeyRecord, model: &str) -> bool {
    key.models.is_empty() || key.models.iter().any(|allowed| allowed == model)
}

/// `openai/gpt-4o` and `@openai/gpt-4o` name a provider when there is one of that name.
fn split_provider<'a>(model: &'a str, policy: &PolicyIndex) -> (Option<&'a str>, &'a str) {
    match model.trim_start_matches('@').split_once('/') {
        Some((provider, rest)) if policy.provider(provider).is_some() => (Some(provider), rest),
        _ => (None, model),
    }
}

fn choose<'a>(targets: &'a [Node], random: &mut u64) -> Option<&'a Node> {
    let total: u64 = targets.iter().map(|target| target.weight_ppm).sum();
    // Each level of the tree takes its own part of the random number (splitmix64's step).
    *random = random.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (*random >> 31);
    let mut at = u64::try_from((u128::from(*random) * u128::from(total)) >> 64).unwrap_or(0);
    for target in targets {
        if at < target.weight_ppm {
            return Some(target);
        }
        at -= target.weight_ppm;
    }
    targets.last()
}
