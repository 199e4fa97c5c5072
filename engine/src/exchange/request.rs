//! From the request's head to the moment it goes on or is answered here.

use std::rc::Rc;

use super::judging::Admitted;
use super::{Ask, Endpoint, Env, Exchange, Forward, State, Step, Wishes};
use crate::address;
use crate::cache_key::sha256_hex;
use crate::headers::Headers;
use crate::keys::{Presented, Standing, presented};
use crate::lease::Wanted;
use crate::reply::Code;
use crate::wire::{self, Admission, Grant, KeyAnswer, KeyLookup, Quote};

const CONFIG_HEADERS: [&str; 2] = ["x-weir-config", "x-portkey-config"];

impl Exchange {
    /// The request's head as it came, which is Envoy's until it goes on.
    pub fn head(&self) -> &Headers {
        &self.head
    }

    /// The peer's address, `IP:PORT`, as Envoy knows it. Comes before the head, and only when
    /// [`wire::Governed::addresses`] asks for it.
    pub fn on_peer(&mut self, peer: &[u8]) {
        self.address = address::network(peer).unwrap_or_default();
    }

    /// The request's head. Whatever is refused here is refused before a body is read.
    pub fn on_head(&mut self, env: &mut Env<'_>, headers: Headers, end: bool) -> Step {
        self.head = headers;
        self.trace_id = trace_id(&self.head);
        let method = self.head.get(":method").unwrap_or_default();
        match Endpoint::of(method, self.head.get(":path").unwrap_or_default()) {
            Ok(endpoint) => self.endpoint = Some(endpoint),
            Err(code) => return self.refuse(code, None),
        }
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
        if self.endpoint == Some(Endpoint::Models) {
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
            Ok(quotes) => self.admit(env, quotes),
            Err(step) => *step,
        }
    }

    /// Admits the request under a lease, or asks.
    fn admit(&mut self, env: &mut Env<'_>, mut quotes: Vec<Quote>) -> Step {
        let mut leased = self.leased(env, &quotes);
        if leased.is_none() && self.count_for(env, &mut quotes) {
            leased = self.leased(env, &quotes);
        }
        match leased {
            Some((lease, grant)) => {
                self.lease = Some(lease);
                self.granted(env, grant)
            }
            None => {
                self.state = State::Admitting;
                Step::Ask(ask(wire::PATH_ADMIT, &self.asking(quotes)))
            }
        }
    }

    fn leased(&self, env: &mut Env<'_>, quotes: &[Quote]) -> Option<(String, Grant)> {
        let wanted = Wanted {
            sharing: &self.sharing,
            quotes,
            output_cap: self.output_wanted(),
            choices: self.choices(),
            tokens_in: self.tokens_in,
            is_cached: self.cache_key.is_some(),
        };
        env.leases.admit(wanted, env.now_ms)
    }

    /// Envoy has brought no body for so long that it never will.
    pub fn on_no_body(&mut self) -> Step {
        match self.state {
            State::Receiving => self.refuse(Code::FilterMisconfigured, None),
            _ => Step::Wait,
        }
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
                env.leases.learn(&self.sharing, &mut grant, env.now_ms);
                self.granted(env, grant)
            }
            Some(Admission::Cached(cached)) => {
                (self.rate, self.rate_ms) = (cached.rate, env.now_ms);
                self.admitted(env, Admitted::Cached(Box::new(cached.answer)))
            }
            Some(Admission::Refused(refused)) => {
                self.rate_ms = env.now_ms;
                self.refused(&refused)
            }
            None if grace => self.granted(env, Grant::default()),
            None => self.refuse(Code::StateUnavailable, None),
        }
    }

    /// Takes targets off the plan, never all of them.
    fn skip(&mut self, skipped: &[usize]) {
        if skipped.len() >= self.plan.targets.len() {
            return;
        }
        if skipped.is_empty() {
            return;
        }
        let mut place = 0..;
        Rc::make_mut(&mut self.plan)
            .targets
            .retain(|_| place.next().is_none_or(|place| !skipped.contains(&place)));
    }

    fn granted(&mut self, env: &mut Env<'_>, grant: Grant) -> Step {
        (self.rate, self.rate_ms) = (grant.rate, env.now_ms);
        self.held_nano = grant.hold_nano;
        (self.bound.hard, self.bound.sliced) = (grant.hard, grant.sliced);
        self.output_cap = grant.output_cap;
        self.credentials = grant.credentials;
        self.skip(&grant.skipped);
        self.admitted(env, Admitted::Granted)
    }

    /// Lets the request go.
    pub(super) fn forward(&mut self, env: &mut Env<'_>) -> Step {
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
                // Nothing retries with another body from here: Envoy holds its own copy. How
                // embeddings are to be written stands in the request, and so does what is to be counted.
                if self.endpoint != Some(Endpoint::Embeddings) && self.uncounted.is_none() {
                    self.body = Vec::new();
                }
                if let Some(translated) = &mut self.translated {
                    translated.body = Vec::new();
                }
                Step::Forward(Forward { headers, body })
            }
            Err(error) => self.refuse_param(error.code, Some(error.message), error.param),
        }
    }
}

/// A message of the internal API as a question.
pub(super) fn ask<T: serde::Serialize>(path: &'static str, message: &T) -> Ask {
    // These types have string keys and finite numbers only: serialising them cannot fail.
    Ask {
        path,
        body: serde_json::to_vec(message).unwrap_or_default(),
        outside: None,
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
    let words = head.text("x-weir-cache").into_iter();
    for word in words.flat_map(|words| words.split(',')) {
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
