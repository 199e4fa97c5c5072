//! When a prompt is counted. That reads a vocabulary's tables for each of its words. A request that a
//! lease admits is held at a bound instead, and counted only where its answer does not say how long it
//! was.

use super::{Endpoint, Env, Exchange};
use crate::plan::Plan;
use crate::tokens::Encoding;
use crate::wire::Quote;

/// Body of a request that may be counted later: it is kept until its answer is there.
const LATER_BYTES_MAX: usize = 16 * 1024;
/// More than the tokens around one message: its name, its role and its borders.
const AROUND_MESSAGE: u64 = 8;

impl Exchange {
    /// At least as many tokens as the prompt has, if nobody needs to know them yet: no token is shorter
    /// than a byte.
    pub(super) fn bound_of_prompt(&mut self, env: &Env<'_>, plan: &Plan) -> Option<u64> {
        let request = self.request.as_ref()?;
        let [target] = plan.targets.as_slice() else {
            return None;
        };
        let is_plain = self.endpoint == Some(Endpoint::Chat)
            && !request.stream
            && request.images == 0
            && self.body.len() <= LATER_BYTES_MAX
            && plan.cache_ttl_s.is_none();
        let is_watched = self.guard.as_deref().is_some_and(|guard| {
            !(guard.output.is_empty()
                && guard.input_checks.is_empty()
                && guard.output_checks.is_empty())
        });
        if !is_plain || is_watched || !env.leases.takes_bounds(&self.sharing, env.now_ms) {
            return None;
        }
        let messages = (request.messages.len() as u64).saturating_add(1);
        let around = messages.saturating_mul(AROUND_MESSAGE);
        self.uncounted = Some(Encoding::of_model(&target.model));
        self.tokens_in = around.saturating_add(self.body.len() as u64);
        Some(self.tokens_in)
    }

    /// Counts the prompt, if that is still to be done. Says whether it was.
    pub(super) fn count_prompt(&mut self, env: &mut Env<'_>) -> bool {
        let Some(encoding) = self.uncounted.take() else {
            return false;
        };
        self.tokens_in = self.prompt_tokens(env, encoding);
        true
    }

    /// The same for a request that no lease took at its bound.
    pub(super) fn count_for(&mut self, env: &mut Env<'_>, quotes: &mut Vec<Quote>) -> bool {
        if !self.count_prompt(env) {
            return false;
        }
        let targets = self.plan.targets.iter();
        *quotes = targets.map(|it| self.quote(it, self.tokens_in)).collect();
        true
    }

    /// Tokens of the prompt, estimated where they are not counted.
    pub(super) fn tokens_in_about(&self, bytes_per_token: u64) -> u64 {
        match self.uncounted {
            Some(_) => self.tokens_in.div_ceil(bytes_per_token.max(1)),
            None => self.tokens_in,
        }
    }
}
