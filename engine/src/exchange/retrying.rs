//! What Envoy is told about attempts: how many, after what, and for how long.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::{Exchange, HEADER_IDLE};
use crate::headers::Headers;
use crate::limits;
use crate::plan::Target;

/// Seconds of silence after which a stream's attempt fails, as Envoy's routes offer them: the
/// smallest that is not shorter than what was asked for is taken.
pub const IDLE_TIERS_S: [u64; 9] = [1, 2, 5, 10, 30, 60, 120, 300, 600];

/// What an attempt is tried again for, on a route whose requests no adapter translates.
pub const RETRY_ON_DIRECT: &str = "retriable-status-codes,connect-failure,reset";

/// In [`HEADER_IDLE`]: a route that limits nothing by itself.
const NO_TIER: &str = "0";

/// How Envoy's route for requests without [`HEADER_IDLE`] tries by itself. It is written on that route,
/// for the filter to read: what asks for just this says nothing about it in headers, which cost Envoy
/// more than the tries do. A route that tells also takes the provider's name from `x-weir-host`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTries {
    /// Tries after the first one.
    pub retries: u32,
    /// Statuses worth another try.
    pub retry_on: Vec<u16>,
    /// Milliseconds that an attempt may take, 0 for no limit.
    pub timeout_ms: u64,
}

impl RouteTries {
    /// Milliseconds for all attempts and the waits between them, 0 for no limit.
    pub fn total_ms(&self) -> u64 {
        total_ms(self.timeout_ms, self.retries)
    }

    fn suits(&self, target: &Target) -> bool {
        target.retries == self.retries
            && *target.retry_on == *self.retry_on
            && target.timeout_ms == self.timeout_ms
    }
}

fn total_ms(timeout_ms: u64, retries: u32) -> u64 {
    if timeout_ms == 0 {
        return 0;
    }
    let retries = u64::from(retries);
    let waits = limits::RETRY_WAIT_MS_MAX.saturating_mul(retries);
    timeout_ms
        .saturating_mul(retries.saturating_add(1))
        .saturating_add(waits)
}

/// The tier for a limit in milliseconds, in seconds; none for 0, which is no limit.
pub fn idle_tier_s(timeout_ms: u64) -> Option<u64> {
    let seconds = timeout_ms.div_ceil(1000);
    let tier = IDLE_TIERS_S.iter().find(|tier| **tier >= seconds);
    let tier = tier.or(IDLE_TIERS_S.last()).copied();
    tier.filter(|_| seconds > 0)
}

impl Exchange {
    /// How the request's route tries by itself. Comes before the head, and only where a route tells.
    pub fn on_route(&mut self, tries: Rc<RouteTries>) {
        self.route_tries = Some(tries);
    }

    /// Envoy's own retry machinery, told by request headers.
    pub(super) fn push_retries(&self, headers: &mut Headers) {
        let is_direct = !self.has_adapter();
        let targets = &self.plan.targets;
        if is_direct
            && !self.streams()
            && let Some((tries, target)) = self.route_tries.as_ref().zip(targets.first())
            && tries.suits(target)
        {
            return;
        }
        let attempts: u32 = targets
            .iter()
            .map(|target| target.retries.saturating_add(1))
            .sum();
        let retries = attempts.clamp(1, limits::ATTEMPTS_MAX) - 1;
        headers.push("x-envoy-max-retries", retries.to_string());
        if is_direct {
            headers.push("x-envoy-retry-on", RETRY_ON_DIRECT);
            if let Some(target) = targets.first() {
                let statuses: Vec<String> = target.retry_on.iter().map(u16::to_string).collect();
                headers.push("x-envoy-retriable-status-codes", statuses.join(","));
            }
        } else {
            headers.push(
                "x-envoy-retry-on",
                "retriable-headers,connect-failure,reset",
            );
        }
        let timeout_ms = targets
            .iter()
            .map(|target| target.timeout_ms)
            .max()
            .unwrap_or(0);
        let Some(tier) = idle_tier_s(timeout_ms) else {
            headers.push(HEADER_IDLE, NO_TIER);
            return;
        };
        // The limit of one attempt ends with the answer's head; silence after it is another matter.
        headers.push(HEADER_IDLE, tier.to_string());
        if !self.streams() {
            let limit = timeout_ms.to_string();
            headers.push("x-envoy-upstream-rq-per-try-timeout-ms", limit);
        }
        // Without an adapter the answer's head passes before its body, and Envoy drops both limits
        // of the attempt when the first of them ends after a head. What is left is one on it all.
        if !self.streams() && is_direct {
            let limit = total_ms(timeout_ms, retries).to_string();
            headers.push("x-envoy-upstream-rq-timeout-ms", limit);
        }
    }
}
