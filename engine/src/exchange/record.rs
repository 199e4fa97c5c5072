//! What is known of an exchange when it is over, whatever ended it.

use super::stream::AnswerStream;
use super::{AnswerMode, Endpoint, Env, Exchange, State};
use crate::reply::Code;
use crate::usage::{NanoUsd, Usage};
use crate::wire::{CacheStatus, Ending, UsageRecord};

/// Bytes of text that make a token, roughly: only used to keep a hold's price current while a
/// stream runs. The settlement counts exactly.
const BYTES_PER_TOKEN: u64 = 4;

impl Exchange {
    /// The stream is over. `details` is Envoy's word on why. `None` when nobody needs a record.
    pub fn on_end(&mut self, env: &mut Env<'_>, details: Option<&str>) -> Option<UsageRecord> {
        if self.endpoint == Some(Endpoint::Models) && self.outcome.code.is_none() {
            return None;
        }
        if let Some(mut stream) = self.answer.stream.take() {
            self.meter(env, &mut stream);
        }
        let ending = self.outcome.ending.unwrap_or_else(|| self.cut_off(details));
        if ending == Ending::UpstreamCut && self.outcome.code.is_none() {
            let held = [AnswerMode::Document, AnswerMode::StreamHeld];
            self.outcome.code = Some(if held.contains(&self.answer.mode) {
                // Nothing of it has left: Envoy tells the client so in its place.
                self.outcome.status = 502;
                Code::UpstreamUnavailable
            } else {
                Code::UpstreamStreamInterrupted
            });
        }
        if self.outcome.usage.is_none() {
            self.count_prompt(env);
        }
        let (usage, metered) = self.consumed(ending);
        let charged = self.outcome.cache != CacheStatus::Hit;
        let (provider, model) = self.served_by();
        let cost_nano = if charged && self.was_served(&usage) {
            self.bounded(self.price(&usage))
        } else {
            0
        };
        let lease = self.lease.take();
        if let Some(lease) = &lease {
            env.leases
                .settle(&self.sharing, lease, self.held_nano, cost_nano);
        }
        Some(UsageRecord {
            exchange: self.id.clone(),
            trace_id: self.trace_id.as_ref().unwrap_or(&self.id).clone(),
            endpoint: self.endpoint.map_or("", Endpoint::name).to_owned(),
            key: self.key_id().to_owned(),
            user: self.user().unwrap_or_default().to_owned(),
            tags: std::mem::take(&mut self.tags),
            at_ms: self.started_ms,
            duration_ms: env.now_ms.saturating_sub(self.started_ms),
            first_byte_ms: self.outcome.first_byte_ms,
            provider,
            model,
            status: self.outcome.status,
            code: self
                .outcome
                .code
                .map(|code| code.row().name.to_owned())
                .unwrap_or_default(),
            ending,
            stream: self.streams(),
            attempts: self.progress.attempts,
            usage,
            metered,
            cost_nano,
            cache: self.outcome.cache,
            pii: self.findings(None),
            pii_action: self.strictest(),
            guard: std::mem::take(&mut self.outcome.verdicts),
            lease,
        })
    }

    /// Price of what a running exchange has consumed so far, for renewing its hold.
    pub fn live_cost(&self) -> Option<NanoUsd> {
        if self.held_nano == 0 {
            return None;
        }
        match self.state {
            State::Forwarded => {}
            // A judge may take longer than a hold lives.
            State::Judging => return Some(0),
            _ => return None,
        }
        let bytes = self
            .answer
            .stream
            .as_ref()
            .map_or(0, AnswerStream::text_bytes);
        let output = (bytes as u64).div_ceil(BYTES_PER_TOKEN) + self.outcome.metered_output;
        Some(self.price(&Usage {
            input: self.tokens_in_about(BYTES_PER_TOKEN),
            output,
            ..Usage::default()
        }))
    }

    /// Whether how it ended is known already: [`Exchange::on_end`] then needs no details.
    pub fn is_over(&self) -> bool {
        self.outcome.ending.is_some()
    }

    /// The lease that it runs under.
    pub fn lease(&self) -> Option<&str> {
        self.lease.as_deref()
    }

    /// Who broke off an exchange that did not come to its end.
    fn cut_off(&self, details: Option<&str>) -> Ending {
        // An answer that nobody looked at is complete when nothing else is said.
        let passed = self.answer.mode == AnswerMode::Through;
        if passed && details.is_none_or(|details| details.starts_with("via_upstream")) {
            return Ending::Done;
        }
        let by_upstream = details.is_some_and(|details| details.starts_with("upstream_"));
        if by_upstream {
            Ending::UpstreamCut
        } else {
            Ending::ClientGone
        }
    }

    /// What is to be paid for. A provider's own figures win. An exchange that broke off is charged
    /// for its prompt and for what was delivered; an error that a provider reported, for nothing.
    fn consumed(&self, ending: Ending) -> (Usage, bool) {
        if let Some(usage) = self.outcome.usage {
            return (usage, false);
        }
        let delivered = self.outcome.metered_output > 0
            || matches!(self.answer.mode, AnswerMode::Stream | AnswerMode::Document);
        let broke_off = ending == Ending::ClientGone && self.outcome.status < 400;
        if self.progress.was_tried() && (delivered || broke_off) {
            let output = self.outcome.metered_output;
            return (
                Usage {
                    input: self.tokens_in,
                    output,
                    ..Usage::default()
                },
                true,
            );
        }
        (Usage::default(), false)
    }

    /// Whether there is something to pay for: tokens, or a call that was answered.
    fn was_served(&self, usage: &Usage) -> bool {
        *usage != Usage::default()
            || (self.answer.mode == AnswerMode::Through && self.progress.was_tried())
    }

    /// Public id of the key; empty when none was recognised.
    pub(super) fn key_id(&self) -> &str {
        self.key.as_ref().map_or("", |key| key.id.as_str())
    }

    /// The end user that the request names.
    pub(super) fn user(&self) -> Option<&str> {
        let call = self.call.as_ref().and_then(|call| call.user.as_deref());
        call.or_else(|| {
            self.request
                .as_ref()
                .and_then(|request| request.user.as_deref())
        })
    }

    fn served_by(&self) -> (String, String) {
        if let Some((provider, model)) = &self.replayed_from {
            return (provider.clone(), model.clone());
        }
        if let Some(target) = self.target() {
            return (target.provider.name.clone(), target.model.clone());
        }
        // A model that nobody serves must not become a label of its own.
        (String::new(), String::new())
    }
}
