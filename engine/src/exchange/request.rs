//! From the request's head to the moment it goes on or is answered here.

use super::{Ask, Endpoint, Env, Exchange, Forward, Reply, State, Step, Wishes};
use crate::cache_key::{cache_key, sha256_hex};
use crate::guard;
use crate::headers::Headers;
use crate::json::Edits;
use crate::keys::{Presented, Standing, presented};
use crate::plan::{self, Plan};
use crate::price;
use crate::reply::Code;
use crate::request::ChatRequest;
use crate::route::RouteConfig;
use crate::tokens::Encoding;
use crate::wire::{
    self, Admission, Admit, CacheAsk, CacheStatus, Grant, KeyAnswer, KeyLookup, PiiAction, Quote,
};

const CONFIG_HEADERS: [&str; 2] = ["x-weir-config", "x-portkey-config"];

impl Exchange {
    /// The request's head. Whatever is refused here is refused before a body is read.
    pub fn on_head(&mut self, env: &mut Env<'_>, headers: Headers, end: bool) -> Step {
        self.head = headers;
        self.trace_id = trace_id(&self.head).unwrap_or_else(|| self.id.clone());
        self.endpoint = match self.endpoint_of_path() {
            Ok(endpoint) => endpoint,
            Err(code) => return self.refuse(code, None),
        };
        let key_hash = match presented(&self.head) {
            Presented::Key(key) => sha256_hex(key.as_bytes()),
            Presented::Malformed => return self.refuse(Code::InvalidApiKey, None),
            Presented::Missing => return self.refuse(Code::MissingApiKey, None),
        };
        self.key_hash = key_hash;
        self.wishes = wishes(&self.head);
        let declared = self
            .head
            .text("content-length")
            .and_then(|n| n.parse::<u64>().ok());
        if declared.is_some_and(|bytes| bytes > env.body_bytes_max as u64) {
            return self.too_large(env.body_bytes_max);
        }
        if env.policy.is_none() {
            return self.refuse(Code::StateUnavailable, None);
        }
        self.state = State::Naming { body_here: end };
        match env.keys.standing(&self.key_hash, env.now_ms) {
            Standing::Unknown => {
                let lookup = KeyLookup {
                    key_hash: self.key_hash.clone(),
                };
                Step::Ask(ask(wire::PATH_KEY, &lookup))
            }
            known => self.on_standing(env, known),
        }
    }

    /// The sidecar's answer about the key, `None` when it gave none.
    pub fn on_key(&mut self, env: &mut Env<'_>, answer: Option<KeyAnswer>) -> Step {
        let Some(answer) = answer else {
            return self.refuse(Code::StateUnavailable, None);
        };
        let standing = env.keys.learn(&self.key_hash, answer, env.now_ms);
        self.on_standing(env, standing)
    }

    fn on_standing(&mut self, env: &mut Env<'_>, standing: Standing) -> Step {
        match standing {
            Standing::Known(record) => self.key = Some(record),
            Standing::Refused(refused) => return self.refused(&refused),
            Standing::Unknown => return self.refuse(Code::StateUnavailable, None),
        }
        if self.endpoint == Endpoint::Models {
            return self.models(env);
        }
        let State::Naming { body_here } = self.state else {
            return Step::Wait;
        };
        self.state = State::Receiving;
        if body_here {
            let body = std::mem::take(&mut self.body);
            return self.on_body(env, body);
        }
        Step::Wait
    }

    /// The complete body.
    pub fn on_body(&mut self, env: &mut Env<'_>, body: Vec<u8>) -> Step {
        match self.state {
            State::Receiving => {}
            State::Naming { .. } => {
                self.body = body;
                self.state = State::Naming { body_here: true };
                return Step::Wait;
            }
            _ => return Step::Wait,
        }
        if body.len() > env.body_bytes_max {
            return self.too_large(env.body_bytes_max);
        }
        self.body = body;
        match self.prepare(env) {
            Ok(admit) => match env.leases.admit(&admit, env.now_ms) {
                Some((lease, grant)) => {
                    self.lease = Some(lease);
                    self.forward(env, grant)
                }
                None => {
                    self.state = State::Admitting;
                    Step::Ask(ask(wire::PATH_ADMIT, &admit))
                }
            },
            Err(step) => *step,
        }
    }

    /// Envoy has brought no body for so long that it never will.
    pub fn on_no_body(&mut self) -> Step {
        match self.state {
            State::Receiving => self.refuse(Code::FilterMisconfigured, None),
            _ => Step::Wait,
        }
    }

    /// Everything that is decided before the sidecar is asked.
    fn prepare(&mut self, env: &mut Env<'_>) -> Result<Admit, Box<Step>> {
        let Some((policy, key)) = env.policy.zip(self.key.clone()) else {
            return Err(Box::new(self.refuse(Code::StateUnavailable, None)));
        };
        let config = self.route_config(key.config.as_deref())?;
        self.budget_status = policy.defaults().budget_status;
        self.outcome.unenforced.clone_from(&config.unenforced);
        let mut request = self.parse()?;
        let rule = [policy.defaults().pii_input, key.pii_input, config.pii_input];
        if let Some(action) = rule.into_iter().flatten().max() {
            request = self.guard(request, action)?;
        }
        let ask = plan::Request {
            model: &request.model,
            key: &key,
            policy,
            random: env.random,
        };
        let mut plan = match Plan::new(&config.root, &ask) {
            Ok(plan) => plan,
            Err(error) => return Err(Box::new(self.refuse(error.code, Some(error.message)))),
        };
        self.drop_impossible(&mut plan, &request)?;
        let quotes = self.quote(env, &plan, &request);
        self.plan_cache(&plan, &key.tenant, &key.id, &request);
        let admit = Admit {
            exchange: self.id.clone(),
            key: key.id.clone(),
            at_ms: self.started_ms,
            targets: quotes,
            output_cap: request
                .output_cap
                .map(|cap| cap.saturating_mul(request.choices.into())),
            choices: request.choices,
            tokens_in: self.tokens_in,
            cache: self.cache_key.clone().map(|key| CacheAsk {
                key,
                read: self.wishes.cache_read,
            }),
        };
        self.request = Some(request);
        self.plan = plan;
        Ok(admit)
    }

    fn route_config(&mut self, of_key: Option<&str>) -> Result<RouteConfig, Box<Step>> {
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
            return Ok(RouteConfig::default());
        };
        RouteConfig::parse(text).map_err(|error| {
            let message = error.to_string();
            Box::new(self.refuse_param(Code::ConfigInvalid, Some(message), Some(error.member)))
        })
    }

    fn parse(&mut self) -> Result<ChatRequest, Box<Step>> {
        ChatRequest::parse(&self.body).map_err(|error| {
            Box::new(self.refuse_param(error.code, Some(error.message), error.param))
        })
    }

    fn guard(&mut self, request: ChatRequest, action: PiiAction) -> Result<ChatRequest, Box<Step>> {
        let mut edits = Edits::default();
        let inspection = guard::inspect(&self.body, &request.texts, action, &mut edits);
        if inspection.counts.is_empty() {
            return Ok(request);
        }
        let counts = inspection.counts.iter();
        self.outcome.pii = counts
            .map(|(kind, count)| (kind.name().to_owned(), *count))
            .collect();
        self.outcome.pii_action = Some(action);
        match action {
            PiiAction::Flag => Ok(request),
            PiiAction::Deny => {
                let kinds: Vec<&str> = inspection.counts.iter().map(|(k, _)| k.name()).collect();
                let message = format!("The request contains personal data: {}", kinds.join(", "));
                Err(Box::new(
                    self.refuse(Code::GuardrailViolation, Some(message)),
                ))
            }
            PiiAction::Redact if inspection.edits_made => {
                self.body = edits.apply(&self.body);
                self.redacted = true;
                // The provider sees the redacted name; the operator's own ledger keeps apart who
                // is who.
                let user = request.user;
                self.parse().map(|request| ChatRequest { user, ..request })
            }
            PiiAction::Redact => Ok(request),
        }
    }

    /// Takes targets off the plan whose dialect cannot carry this request. When none is left the
    /// first one's reason is the answer.
    fn drop_impossible(&mut self, plan: &mut Plan, request: &ChatRequest) -> Result<(), Box<Step>> {
        let mut reason = None;
        plan.targets
            .retain(|target| match self.encodable(target, request) {
                Ok(()) => true,
                Err(error) => {
                    reason.get_or_insert(error);
                    false
                }
            });
        match reason {
            Some(error) if plan.targets.is_empty() => Err(Box::new(self.refuse_param(
                error.code,
                Some(error.message),
                error.param,
            ))),
            _ => Ok(()),
        }
    }

    fn quote(&mut self, env: &mut Env<'_>, plan: &Plan, request: &ChatRequest) -> Vec<Quote> {
        let mut counted: Option<(Encoding, u64)> = None;
        let mut quotes = Vec::with_capacity(plan.targets.len());
        for target in &plan.targets {
            let encoding = Encoding::of_model(&target.model);
            let tokens = match counted {
                Some((last, tokens)) if last == encoding => tokens,
                _ => env.tokenizers.prompt_tokens(encoding, request, &self.body),
            };
            counted = Some((encoding, tokens));
            self.tokens_in = self.tokens_in.max(tokens);
            let long = target.price.long_from > 0 && tokens >= target.price.long_from;
            quotes.push(Quote {
                provider: target.provider.name.clone(),
                model: target.model.clone(),
                input_nano: price::worst_input(&target.price, tokens),
                output_nano_per_mtok: if long {
                    target.price.long_output
                } else {
                    target.price.output.max(target.price.reasoning)
                },
                output_max: target.output_max,
            });
        }
        quotes
    }

    fn plan_cache(&mut self, plan: &Plan, tenant: &str, key: &str, request: &ChatRequest) {
        let wanted = self.wishes.cache_read || self.wishes.cache_store;
        let Some(_) = plan.cache_ttl_s.filter(|_| wanted) else {
            return;
        };
        let scope = format!("{tenant}\n{key}");
        let name = cache_key(&scope, &plan.identity, &request.model, request, &self.body);
        self.cache_key = Some(name);
        self.outcome.cache = if self.wishes.cache_read {
            CacheStatus::Miss
        } else {
            CacheStatus::Refresh
        };
    }

    /// The sidecar's decision, `None` when it gave none.
    pub fn on_admission(&mut self, env: &mut Env<'_>, answer: Option<Admission>) -> Step {
        if self.state != State::Admitting {
            return Step::Wait;
        }
        let grace = env
            .policy
            .is_some_and(|policy| policy.defaults().grace_on_state_loss);
        match answer {
            Some(Admission::Granted(mut grant)) => {
                if let Some(key) = &self.key {
                    env.leases.learn(&key.id, &mut grant, env.now_ms);
                }
                self.forward(env, grant)
            }
            Some(Admission::Cached(cached)) => {
                self.rate = cached.rate;
                self.replay(env, &cached.answer)
            }
            Some(Admission::Refused(refused)) => self.refused(&refused),
            None if grace => self.forward(env, Grant::default()),
            None => self.refuse(Code::StateUnavailable, None),
        }
    }

    fn forward(&mut self, env: &mut Env<'_>, grant: Grant) -> Step {
        self.rate = grant.rate;
        self.held_nano = grant.hold_nano;
        self.output_cap = grant.output_cap;
        self.credentials = grant.credentials;
        self.state = State::Forwarded;
        if self.has_adapter() {
            let headers = self.routing_headers();
            return Step::Forward(Forward {
                headers,
                body: None,
            });
        }
        self.progress.begin_only();
        match self.upstream(env) {
            Ok((headers, body)) => {
                // Nothing retries with another body from here: Envoy holds its own copy.
                self.body = Vec::new();
                Step::Forward(Forward { headers, body })
            }
            Err(error) => self.refuse_param(error.code, Some(error.message), error.param),
        }
    }

    fn endpoint_of_path(&self) -> Result<Endpoint, Code> {
        let path = self.head.get(":path").unwrap_or_default();
        let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
        let method = self.head.get(":method").unwrap_or_default();
        let (endpoint, wanted): (_, &[u8]) = match path {
            b"/v1/chat/completions" => (Endpoint::Chat, b"POST"),
            b"/v1/models" => (Endpoint::Models, b"GET"),
            _ if path.starts_with(b"/v1/models/") => (Endpoint::Models, b"GET"),
            _ => return Err(Code::NotFound),
        };
        if method == wanted {
            Ok(endpoint)
        } else {
            Err(Code::MethodNotAllowed)
        }
    }

    fn models(&mut self, env: &Env<'_>) -> Step {
        let Some(policy) = env.policy else {
            return self.refuse(Code::StateUnavailable, None);
        };
        let path = self.head.text(":path").unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let one = path.strip_prefix("/v1/models/");
        let allowed = self
            .key
            .as_ref()
            .map(|key| key.models.as_slice())
            .unwrap_or_default();
        let shown = policy
            .listed()
            .filter(|m| allowed.is_empty() || allowed.contains(&m.id));
        let mut list = shown
            .filter(|model| one.is_none_or(|id| id == model.id))
            .map(|model| {
                serde_json::json!({"id": model.id, "object": "model", "created": 0,
                "owned_by": model.provider})
            });
        let body = match one {
            None => serde_json::json!({"object": "list", "data": list.collect::<Vec<_>>()}),
            Some(id) => match list.next() {
                Some(model) => model,
                None => {
                    let message = format!("The model `{id}` does not exist");
                    drop(list);
                    return self.refuse(Code::ModelNotFound, Some(message));
                }
            },
        };
        self.reply(Reply {
            status: 200,
            headers: self.reply_headers("application/json"),
            body: body.to_string().into_bytes(),
        })
    }
}

/// A message of the internal API as a question.
pub(super) fn ask<T: serde::Serialize>(path: &'static str, message: &T) -> Ask {
    // These types have string keys and finite numbers only: serialising them cannot fail.
    Ask {
        path,
        body: serde_json::to_vec(message).unwrap_or_default(),
    }
}

fn trace_id(head: &Headers) -> Option<String> {
    if let Some(parent) = head.text("traceparent") {
        let id = parent.split('-').nth(1).filter(|id| id.len() == 32)?;
        return Some(id.to_owned());
    }
    let named = head
        .text("x-portkey-trace-id")
        .or_else(|| head.text("x-weir-trace-id"))?;
    (named.len() <= 128 && named.bytes().all(|b| b.is_ascii_graphic())).then(|| named.to_owned())
}

fn wishes(head: &Headers) -> Wishes {
    let mut wishes = Wishes {
        config: CONFIG_HEADERS
            .iter()
            .find_map(|name| head.get(name))
            .map(<[u8]>::to_vec),
        cache_read: true,
        cache_store: true,
    };
    for word in head.text("x-weir-cache").unwrap_or_default().split(',') {
        match word.trim().to_ascii_lowercase().as_str() {
            "no-cache" | "refresh" => wishes.cache_read = false,
            "no-store" => wishes.cache_store = false,
            _ => {}
        }
    }
    if head.text("x-portkey-cache-force-refresh") == Some("true") {
        wishes.cache_read = false;
    }
    wishes
}
