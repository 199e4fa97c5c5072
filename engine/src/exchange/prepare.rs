//! Everything that is decided about a request before the sidecar is asked.

use std::rc::Rc;

use super::{Endpoint, Env, Exchange, Step};
use crate::cache_key::{WITHOUT_INFLUENCE, cache_key};
use crate::dialect::{Form, embeddings};
use crate::json::{self, Span};
use crate::plan::{self, Plan, PlanError, Target};
use crate::policy::PolicyIndex;
use crate::price;
use crate::reply::Code;
use crate::request::RequestError;
use crate::route::RouteConfig;
use crate::tokens::Encoding;
use crate::wire::{Admit, CacheAsk, CacheStatus, KeyRecord, Price, Quote};

/// Members that name something which goes on at the provider: the same question has another answer
/// the next time.
const STATES: [&str; 2] = ["container", "conversation"];

impl Exchange {
    /// Plans the request, or answers it when nobody needs to be asked. Gives what each target costs,
    /// without names.
    pub(super) fn prepare(&mut self, env: &mut Env<'_>) -> Result<Vec<Quote>, Box<Step>> {
        let Some((policy, key)) = env.policy.zip(self.key.clone()) else {
            return Err(Box::new(self.refuse(Code::StateUnavailable, None)));
        };
        let config = self.route_config(key.config.as_deref())?;
        self.budget_status = policy.defaults().budget_status;
        let asked = config.as_ref().map(|config| &config.guardrails);
        self.watch(policy, &key, asked)?;
        self.read()?;
        self.unread_output()?;
        let mut plan = match self.planned(env, policy, &key, config.as_ref()) {
            Ok(plan) => plan,
            Err(error) => return Err(Box::new(self.refuse(error.code, Some(error.message)))),
        };
        self.drop_impossible(&mut plan)?;
        if self.endpoint == Some(Endpoint::CountTokens) {
            self.plan_count(env, &mut plan)?;
        }
        if !self.makes_something() {
            for target in &mut Rc::make_mut(&mut plan).targets {
                target.price.per_call = 0;
            }
        }
        self.tags = self.tags_of(&policy.defaults().governed.tags);
        self.sharing = self.sharing_of(&key, &policy.defaults().governed, &plan);
        let quotes = self.quotes(env, &plan);
        self.check_input()?;
        self.plan_cache(&plan, &key);
        self.plan = plan;
        Ok(quotes)
    }

    /// The question to the sidecar about a request that was prepared.
    pub(super) fn asking(&self, mut quotes: Vec<Quote>) -> Admit {
        for (quote, target) in quotes.iter_mut().zip(&self.plan.targets) {
            quote.provider.clone_from(&target.provider.name);
            quote.model.clone_from(&target.model);
        }
        Admit {
            exchange: self.id.clone(),
            key: self.key_id().to_owned(),
            at_ms: self.started_ms,
            targets: quotes,
            output_cap: self.output_wanted(),
            choices: self.choices(),
            stream: self.streams() && !self.holds_streams(),
            tokens_in: self.tokens_in,
            cache: self.cache_key.clone().map(|key| CacheAsk {
                key,
                read: self.wishes.cache_read,
            }),
            user: self.user().unwrap_or_default().to_owned(),
            tags: self.tags.clone(),
            address: self.address.clone(),
            sharing: self.sharing.clone(),
        }
    }

    /// Output tokens that the request itself allows, over all choices.
    pub(super) fn output_wanted(&self) -> Option<u64> {
        let cap = self.output_asked()?;
        Some(cap.saturating_mul(self.choices().into()))
    }

    fn planned(
        &self,
        env: &Env<'_>,
        policy: &PolicyIndex,
        key: &Rc<KeyRecord>,
        config: Option<&RouteConfig>,
    ) -> Result<Rc<Plan>, PlanError> {
        let ask = plan::Request {
            model: self.model_asked(),
            key,
            policy,
            random: env.random,
            through: self.through(),
        };
        match config {
            None => policy.plans().plan(key, &ask),
            Some(config) => Plan::new(&config.root, &ask).map(Rc::new),
        }
    }

    /// The route configuration of the request, else the key's.
    fn route_config(&mut self, of_key: Option<&str>) -> Result<Option<RouteConfig>, Box<Step>> {
        let sent = self.wishes.config.take();
        let text = match &sent {
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Some(text),
                Err(_) => {
                    let message = "Invalid route configuration: not UTF-8".to_owned();
                    return Err(Box::new(self.refuse(Code::ConfigInvalid, Some(message))));
                }
            },
            None => of_key,
        };
        let Some(text) = text else {
            return Ok(None);
        };
        RouteConfig::parse(text).map(Some).map_err(|error| {
            let message = error.to_string();
            Box::new(self.refuse_param(Code::ConfigInvalid, Some(message), Some(error.member)))
        })
    }

    /// Takes targets off the plan that cannot carry this request. When none is left the first
    /// one's reason is the answer.
    fn drop_impossible(&mut self, plan: &mut Rc<Plan>) -> Result<(), Box<Step>> {
        let mut reason = None;
        if let [target] = plan.targets.as_slice()
            && self.encodable(target).is_ok()
        {
            return Ok(());
        }
        let targets = &mut Rc::make_mut(plan).targets;
        targets.retain(|target| match self.encodable(target) {
            Ok(()) => true,
            Err(error) => {
                reason.get_or_insert(error);
                false
            }
        });
        match reason {
            Some(error) if plan.targets.is_empty() => Err(self.refuse_request(error)),
            _ => Ok(()),
        }
    }

    pub(super) fn refuse_request(&mut self, error: RequestError) -> Box<Step> {
        Box::new(self.refuse_param(error.code, Some(error.message), error.param))
    }

    /// Looking at what is there, ending it or removing it is no call to pay for.
    fn makes_something(&self) -> bool {
        if self.through().is_none() {
            return true;
        }
        let path = self.head.text(":path").unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        self.head.get(":method") == Some(b"POST") && !path.ends_with("/cancel")
    }

    /// Whoever counts for a price of its own is asked; the others' tokens are counted here.
    fn plan_count(&mut self, env: &mut Env<'_>, plan: &mut Rc<Plan>) -> Result<(), Box<Step>> {
        let plan = Rc::make_mut(plan);
        let Some(first) = plan.targets.first_mut() else {
            return Ok(());
        };
        first.price = Price::default();
        if matches!(self.form(first), Form::Native(_)) {
            plan.targets.truncate(1);
            return Ok(());
        }
        let encoding = Encoding::of_model(&first.model);
        let tokens = self.prompt_tokens(env, encoding);
        Err(Box::new(self.counted(tokens)))
    }

    /// Output tokens that the request itself allows.
    fn output_asked(&self) -> Option<u64> {
        if let Some(request) = &self.request {
            return request.output_cap;
        }
        let call = self.call.as_ref()?;
        if !matches!(self.endpoint, Some(Endpoint::Conversation(_))) {
            return Some(0);
        }
        ["max_output_tokens", "max_tokens"]
            .iter()
            .find_map(|name| json::member(&self.body, call.root, name))
            .and_then(|cap| json::number_u64(&self.body, cap))
    }

    pub(super) fn prompt_tokens(&self, env: &mut Env<'_>, encoding: Encoding) -> u64 {
        match (&self.request, &self.call) {
            _ if self.through().is_some() => 0,
            (Some(request), _) => env
                .tokenizers
                .prompt_tokens(encoding, request, self.chat_body()),
            (None, Some(call)) => {
                let texts = env
                    .tokenizers
                    .text_tokens(encoding, &call.texts, &self.body);
                texts.saturating_add(embeddings::token_ids(&self.body, call.root))
            }
            (None, None) => 0,
        }
    }

    fn quotes(&mut self, env: &mut Env<'_>, plan: &Plan) -> Vec<Quote> {
        if let Some(bound) = self.bound_of_prompt(env, plan) {
            return plan
                .targets
                .iter()
                .map(|it| self.quote(it, bound))
                .collect();
        }
        let mut counted: Option<(Encoding, u64)> = None;
        let mut quotes = Vec::with_capacity(plan.targets.len());
        for target in &plan.targets {
            let encoding = Encoding::of_model(&target.model);
            let tokens = match counted {
                Some((last, tokens)) if last == encoding => tokens,
                _ => self.prompt_tokens(env, encoding),
            };
            counted = Some((encoding, tokens));
            self.tokens_in = self.tokens_in.max(tokens);
            quotes.push(self.quote(target, tokens));
        }
        quotes
    }

    /// What a target costs; its names are added where somebody asks for them.
    pub(super) fn quote(&self, target: &Target, tokens: u64) -> Quote {
        let answers = matches!(
            self.endpoint,
            Some(Endpoint::Chat | Endpoint::Conversation(_))
        );
        let input = price::worst_input(&target.price, tokens);
        Quote {
            provider: String::new(),
            model: String::new(),
            input_nano: input.saturating_add(target.price.per_call),
            output_nano_per_mtok: if answers {
                price::worst_output_per_mtok(&target.price, tokens)
            } else {
                0
            },
            output_max: target.output_max,
        }
    }

    fn plan_cache(&mut self, plan: &Plan, key: &KeyRecord) {
        let wanted = self.wishes.cache_read || self.wishes.cache_store;
        let Some(_) = plan.cache_ttl_s.filter(|_| wanted) else {
            return;
        };
        let Some((form, root, without)) = self.cached_form() else {
            return;
        };
        let Some(rules) = self.cache_scope() else {
            return;
        };
        let scope = format!("{rules}{form}{}\n{}", key.tenant, key.id);
        let of = (self.body.as_slice(), root);
        let name = cache_key(&scope, &plan.identity, self.model_asked(), of, without);
        self.cache_key = Some(name);
        self.outcome.cache = if self.wishes.cache_read {
            CacheStatus::Miss
        } else {
            CacheStatus::Refresh
        };
    }

    /// What tells the calls apart in the cache, for those whose answers it may hold. Answers in
    /// other forms than a chat completion repeat what was asked: there every member counts.
    fn cached_form(&self) -> Option<(String, Span, &'static [&'static str])> {
        match (self.endpoint?, &self.request, &self.call) {
            (Endpoint::Chat, Some(request), _) => {
                Some((String::new(), request.root, WITHOUT_INFLUENCE))
            }
            (endpoint @ (Endpoint::Conversation(_) | Endpoint::Embeddings), _, Some(call)) => {
                let goes_on = STATES.iter().any(|name| {
                    let state = json::member(&self.body, call.root, name);
                    state.is_some_and(|state| {
                        json::kind(&self.body, state) != Some(json::Kind::Null)
                    })
                });
                (!goes_on).then(|| (format!("{}\n", endpoint.name()), call.root, [].as_slice()))
            }
            _ => None,
        }
    }
}
