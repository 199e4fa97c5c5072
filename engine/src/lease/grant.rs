//! When the sidecar gives a lease, and how large it is.

use crate::usage::NanoUsd;

/// Admissions a second from which on a key is worth a lease. Slower keys ask each time, so their
/// limits and their revocation are exact to the request.
pub const DEMAND_RPS_MIN: u64 = 20;
/// How long a lease is given from, in milliseconds.
pub const LEASE_MS: u64 = 5_000;
/// Requests that one lease is made for at most.
pub const REQUESTS_MAX: u64 = 1_000;
/// The part of what is left of a limit that one lease may take: 1 / this.
pub const SHARE: u64 = 16;
/// Requests that a lease must cover to be worth it. Near a limit none is given.
pub const REQUESTS_MIN: u64 = 16;

/// How fast a key asks for admissions, in whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    second: u64,
    count: u64,
    before: u64,
}

impl Demand {
    /// Notes `count` admissions.
    pub fn note(&mut self, count: u64, now_ms: u64) {
        self.roll(now_ms);
        self.count = self.count.saturating_add(count);
    }

    /// Admissions in the last whole second or in this one, whichever are more.
    pub fn rps(&mut self, now_ms: u64) -> u64 {
        self.roll(now_ms);
        self.count.max(self.before)
    }

    fn roll(&mut self, now_ms: u64) {
        let second = now_ms / 1_000;
        if second > self.second {
            let next = second == self.second.saturating_add(1);
            self.before = if next { self.count } else { 0 };
            self.count = 0;
            self.second = second;
        }
    }
}

/// The size of a lease, if one is worth it: money and, under a request limit, requests.
///
/// `worst_nano` is what the exchange at hand holds, `left_nano` what the tightest hard budget still
/// covers after it (`None`: no such budget), `requests_left` what the request limit still covers.
pub fn size(
    rps: u64,
    worst_nano: NanoUsd,
    left_nano: Option<NanoUsd>,
    requests_left: Option<u64>,
) -> Option<(NanoUsd, Option<u64>)> {
    if rps < DEMAND_RPS_MIN {
        return None;
    }
    let share = |left: u64| left / SHARE;
    let wanted = rps
        .saturating_mul(LEASE_MS / 1_000)
        .clamp(REQUESTS_MIN, REQUESTS_MAX);
    let requests = requests_left.map(|left| share(left).min(wanted));
    if requests.is_some_and(|requests| requests < REQUESTS_MIN) {
        return None;
    }
    let times =
        |count: u64| worst_nano.saturating_mul(NanoUsd::try_from(count).unwrap_or(NanoUsd::MAX));
    let room = left_nano.map_or(NanoUsd::MAX, |left| left / SHARE as NanoUsd);
    let amount = times(wanted).min(room);
    (amount >= times(REQUESTS_MIN)).then_some((amount, requests))
}
