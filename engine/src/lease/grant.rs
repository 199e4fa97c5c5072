//! When the sidecar gives a lease, and how large it is.

use crate::limit::Room;
use crate::usage::NanoUsd;

/// Admissions a second from which on a key is worth a lease. Slower keys ask each time, so their
/// limits and their revocation are exact to the request.
pub const DEMAND_RPS_MIN: u64 = 20;
/// How long a lease is given from, in milliseconds.
pub const LEASE_MS: u64 = 5_000;
/// A lease that would end sooner is not given, in milliseconds. It ends with the first bucket of a
/// limit that it counts in, so that what it counted is used in the bucket that counted it.
pub const LEASE_MS_MIN: u64 = 100;
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

/// What a lease is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Money.
    pub amount_nano: NanoUsd,
    /// Requests, when they are limited.
    pub requests: Option<u64>,
    /// Tokens, when they are limited.
    pub tokens: Option<u64>,
    /// Running exchanges, when they are limited.
    pub running: Option<u64>,
}

/// The size of a lease, if one is worth it.
///
/// `worst_nano` is what the exchange at hand holds, `left_nano` what the tightest hard budget still
/// covers after it (`None`: no such budget), `room` what limits still allow after it, `tokens_in` its
/// prompt.
pub fn size(
    rps: u64,
    worst_nano: NanoUsd,
    left_nano: Option<NanoUsd>,
    room: &Room,
    tokens_in: u64,
) -> Option<Slice> {
    if rps < DEMAND_RPS_MIN {
        return None;
    }
    let wanted = rps
        .saturating_mul(LEASE_MS / 1_000)
        .clamp(REQUESTS_MIN, REQUESTS_MAX);
    // Of what is left a share, as long as that is worth it: `None` stops the lease.
    let part = |left: Option<u64>, each: u64| match left {
        None => Some(None),
        Some(left) => {
            let part = (left / SHARE).min(wanted.saturating_mul(each));
            (part >= REQUESTS_MIN.saturating_mul(each)).then_some(Some(part))
        }
    };
    let requests = part(room.requests, 1)?;
    let tokens = part(room.tokens, tokens_in.max(1))?;
    let running = part(room.running, 1)?;
    let times =
        |count: u64| worst_nano.saturating_mul(NanoUsd::try_from(count).unwrap_or(NanoUsd::MAX));
    let most = left_nano.map_or(NanoUsd::MAX, |left| left / SHARE as NanoUsd);
    let amount_nano = times(wanted).min(most);
    (amount_nano >= times(REQUESTS_MIN)).then_some(Slice {
        amount_nano,
        requests,
        tokens,
        running,
    })
}
