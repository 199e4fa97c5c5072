//! Targets of calls that pass as they came.

use std::rc::Rc;

use super::{Builder, Inherited, PlanError, Request, Target, allowed, split_provider};
use crate::endpoint::Through;
use crate::reply::Code;
use crate::route::Node;
use crate::wire::{Price, Provider};

impl Builder<'_> {
    /// The provider is the one that route, model or key name, else the first that takes the call.
    pub(super) fn passage(
        &self,
        call: Through,
        node: &Node,
        here: &Inherited,
    ) -> Result<Target, PlanError> {
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
        // A batch names its models where nobody looks.
        let listed = !wanted.is_empty() || call == Through::Batches;
        if listed && !allowed(key, wanted) && !allowed(key, name) {
            let what = if wanted.is_empty() {
                call.name()
            } else {
                wanted
            };
            return Err(PlanError {
                code: Code::ModelNotAllowed,
                message: format!("Virtual key {} may not use {what}", key.name),
            });
        }
        let provider = match explicit {
            Some(provider) => policy.provider(provider).ok_or_else(|| PlanError {
                code: Code::ProviderUnknown,
                message: format!("No provider named {provider} is configured"),
            })?,
            None => self.taker(call, name).ok_or_else(|| PlanError {
                code: Code::NotFound,
                message: format!("No provider here takes {} calls", call.name()),
            })?,
        };
        let Some(nano) = provider.call_price(call) else {
            let call = call.name();
            let name = &provider.name;
            return Err(PlanError {
                code: Code::NotFound,
                message: format!(
                    "Provider {name} takes no {call} calls: its `calls` do not list them"
                ),
            });
        };
        let known = policy.model_of(&provider.name, name);
        let own = known
            .map(|model| model.price.per_call)
            .filter(|nano| *nano > 0);
        let price = Price {
            per_call: own.unwrap_or(nano),
            ..Price::default()
        };
        let model = known.map_or(name, |model| &model.model).to_owned();
        Ok(here.target(provider.clone(), model, price, 0, 0))
    }

    fn taker(&self, call: Through, model: &str) -> Option<&Rc<Provider>> {
        let Request { key, policy, .. } = self.request;
        let named = |name: &str| policy.provider(name);
        let own = key.provider.as_deref().and_then(named);
        let of_model = policy.model(model).and_then(|model| named(&model.provider));
        let default = policy.defaults().provider.as_deref().and_then(named);
        let mut candidates = [own, of_model, default].into_iter().flatten();
        candidates
            .find(|provider| provider.call_price(call).is_some())
            .or_else(|| {
                let mut all = policy.providers();
                all.find(|provider| provider.call_price(call).is_some())
            })
    }
}
