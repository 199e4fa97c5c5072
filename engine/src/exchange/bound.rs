//! Where a stream's hold ends.
//!
//! Holds grow in slices while an answer runs. One that reaches what is held for it, with nothing left
//! in a budget, ends there as if its model had reached its longest answer: `length` in OpenAI's words.
//! Streams without a hard budget pass here untouched.

use memchr::memmem;

use super::request::ask;
use super::stream::AnswerStream;
use super::{Ask, Env, Exchange};
use crate::usage::{NanoUsd, Usage};
use crate::wire::{self, Grow, Renew, Renewed};

/// Output tokens that one growth of a hold covers, per choice.
pub const GROWTH_OUTPUT_TOKENS: u64 = 512;

/// What is known of a stream's hold.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// A hard budget bounds the exchange.
    pub(super) hard: bool,
    /// Less is held than the answer may cost.
    pub(super) sliced: bool,
    /// The sidecar is being asked for more.
    asked: bool,
    /// The answer waits for the sidecar's.
    waits: bool,
    /// Asked in time there was nothing: the next question is asked where the hold ends.
    tight: bool,
    /// Nothing more is to be had.
    spent: bool,
    /// Bytes of the stream's uncounted text that were looked at, and their tokens.
    seen: (usize, u64),
}

/// What a stream may do with its next event.
#[derive(Debug)]
pub(super) enum Room {
    /// Go on.
    Enough,
    /// Go on, and ask for more meanwhile.
    Low(Ask),
    /// Wait for more.
    None(Option<Ask>),
    /// End: there is no more.
    Spent,
}

impl Exchange {
    /// The sidecar's answer to a question for a larger hold, `None` when it gave none.
    pub fn on_grown(&mut self, env: &mut Env<'_>, answer: Option<Renewed>) {
        let grace = env
            .policy
            .is_some_and(|policy| policy.defaults().grace_on_state_loss);
        let more = match answer {
            Some(renewed) => renewed.grown_nano,
            None if grace => self.growth(),
            None => 0,
        };
        self.bound.asked = false;
        let waited = std::mem::take(&mut self.bound.waits);
        if more > 0 {
            self.held_nano = self.held_nano.saturating_add(more);
            self.bound.tight = false;
            if let Some(lease) = &self.lease {
                env.leases.grown(&self.sharing, lease, more);
            }
        } else if waited {
            self.bound.spent = true;
        } else {
            self.bound.tight = true;
        }
    }

    /// Whether a stream of `text_bytes` of uncounted text could be near the end of its hold: no token is
    /// shorter than a byte.
    pub(super) fn nears_its_hold(&self, text_bytes: usize) -> bool {
        if !self.bound.hard {
            return false;
        }
        let margin = if self.bound.sliced { self.growth() } else { 0 };
        let (bytes, tokens) = self.bound.seen;
        // Text that was counted and taken leaves less than was looked at.
        let most = match text_bytes.checked_sub(bytes) {
            Some(more) => tokens.saturating_add(more as u64),
            None => text_bytes as u64,
        };
        self.output_price(most).saturating_add(margin) > self.held_nano
    }

    /// What a stream may do next.
    pub(super) fn room(&mut self, env: &mut Env<'_>, stream: &mut AnswerStream) -> Room {
        if stream.meter().finished() || stream.meter().failed() {
            return Room::Enough;
        }
        if self.bound.spent {
            return Room::Spent;
        }
        if !self.nears_its_hold(stream.text_bytes()) {
            return Room::Enough;
        }
        let tokens = self.count(env, stream.meter().text());
        self.bound.seen = (stream.text_bytes(), tokens);
        let left = self.held_nano.saturating_sub(self.output_price(tokens));
        let growth = self.growth();
        let low = self.bound.sliced && left < growth / 2 && !self.bound.tight;
        if left >= 0 && (!low || self.bound.asked) {
            return Room::Enough;
        }
        if let Some(lease) = &self.lease {
            let more = env.leases.grow(&self.sharing, lease, growth);
            self.held_nano = self.held_nano.saturating_add(more);
            if more > 0 && left.saturating_add(more) >= 0 {
                return Room::Enough;
            }
        }
        let question = (!self.bound.asked).then(|| self.question(growth));
        self.bound.asked = true;
        match question {
            Some(question) if left >= 0 => Room::Low(question),
            question => {
                self.bound.waits = true;
                Room::None(question)
            }
        }
    }

    /// What an exchange costs whose stream was ended at its hold, or waited there when it broke off: the
    /// event that went beyond it is the provider's to bear.
    pub(super) fn bounded(&self, cost_nano: NanoUsd) -> NanoUsd {
        if self.bound.spent || self.bound.waits {
            cost_nano.min(self.held_nano)
        } else {
            cost_nano
        }
    }

    /// What the stream has come to, as far as it was looked at.
    pub(super) fn delivered(&self) -> Usage {
        let (_, seen) = self.bound.seen;
        Usage {
            input: self.tokens_in,
            output: self.outcome.metered_output.saturating_add(seen),
            ..Usage::default()
        }
    }

    fn question(&self, by_nano: NanoUsd) -> Ask {
        let id = self.lease.as_ref().unwrap_or(&self.id).clone();
        let renew = Renew {
            live: Vec::new(),
            grow: Some(Grow { id, by_nano }),
        };
        ask(wire::PATH_RENEW, &renew)
    }

    /// Price of what was counted, and of `more` output tokens.
    fn output_price(&self, more: u64) -> NanoUsd {
        self.price(&Usage {
            input: self.tokens_in,
            output: self.outcome.metered_output.saturating_add(more),
            ..Usage::default()
        })
    }

    /// Price of one slice.
    fn growth(&self) -> NanoUsd {
        let choices = self.request.as_ref().map_or(1, |request| request.choices);
        let tokens = GROWTH_OUTPUT_TOKENS.saturating_mul(u64::from(choices.max(1)));
        self.output_price(tokens)
            .saturating_sub(self.output_price(0))
    }
}

/// The first event of `bytes` and what follows; all of them when none ends in them.
pub(super) fn first_event(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = memmem::find(bytes, b"\n\n").map_or(bytes.len(), |at| at.saturating_add(2));
    bytes.split_at_checked(end).unwrap_or((bytes, &[]))
}
