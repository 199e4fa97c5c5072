//! How a limit that is reached is told.

use super::{Bound, Measure};
use crate::wire::{RateState, Rates};

/// A limit that an exchange does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// The limit.
    pub bound: Bound,
    /// [`crate::ledger::Scope::kind`] of the scope that has it.
    pub kind: &'static str,
    /// Prompt tokens of the exchange.
    pub tokens: u64,
    /// Milliseconds until it fits; `None` when it never will.
    pub wait_ms: Option<u64>,
    /// What the limit leaves; 0 of running exchanges.
    pub remaining: u64,
}

impl Exceeded {
    /// Whole seconds until it fits.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.wait_ms.map(|ms| ms.div_ceil(1_000))
    }

    /// Puts the limit's own state into `rates`, to be free when it fits.
    pub fn tell(&self, rates: &mut Rates) {
        let told = match self.bound.measure {
            Measure::Requests => &mut rates.requests,
            Measure::Tokens => &mut rates.tokens,
            Measure::Running => return,
        };
        *told = Some(RateState {
            limit: self.bound.limit,
            remaining: self.remaining,
            reset_ms: self.wait_ms.unwrap_or(self.bound.window_ms),
        });
    }

    /// The sentence for the caller.
    pub fn message(&self) -> String {
        let limit = self.bound.limit;
        let whose = self.whose();
        let what = match self.bound.measure {
            Measure::Requests => format!("{limit} {}", plural(limit, "request")),
            Measure::Tokens => format!("{limit} {}", plural(limit, "token")),
            Measure::Running => {
                let requests = plural(limit, "request");
                return format!(
                    "Rate limit reached: {limit} {requests} at a time for {whose}. Please try again in 1s."
                );
            }
        };
        let per = per(self.bound.window_ms);
        match self.retry_after_s() {
            Some(wait_s) => format!(
                "Rate limit reached: {what} per {per} for {whose}. Please try again in {wait_s}s."
            ),
            None => format!(
                "Request too large: its {} prompt tokens are more than the limit of {what} per {per} for {whose}.",
                self.tokens
            ),
        }
    }

    fn whose(&self) -> &'static str {
        match self.kind {
            "global" => "all requests together",
            "tenant" => "this tenant",
            "team" => "this team",
            "user" => "this user",
            "tier" => "this tier",
            "key" => "this key",
            "provider" => "this provider",
            "model" => "this model",
            "tag" => "requests with this tag",
            "ip" => "this address",
            _ => "these requests",
        }
    }
}

fn plural(count: u64, word: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{word}{s}")
}

fn per(window_ms: u64) -> String {
    match window_ms {
        1_000 => "second".to_owned(),
        60_000 => "minute".to_owned(),
        3_600_000 => "hour".to_owned(),
        86_400_000 => "day".to_owned(),
        other => format!("{} seconds", other.div_ceil(1_000)),
    }
}
