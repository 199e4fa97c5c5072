//! Limits on requests, tokens and what runs, as the file and the admin interface give them.

use engine::limit::{Bound, Measure};
use serde::{Deserialize, Serialize};

/// Requests or tokens in a window, or exchanges at the same time.
pub const RATE_MAX: u64 = 1_000_000_000_000;
/// Entries of `rate_limits` of one key.
pub const KEY_RATES_MAX: usize = 16;
/// Seconds of the longest window.
pub const PER_S_MAX: u64 = engine::limit::WINDOW_MS_MAX / 1_000;
/// Words for `per`, and their seconds.
pub const PER: [(&str, u64); 4] = [
    ("second", 1),
    ("minute", 60),
    ("hour", 3_600),
    ("day", 86_400),
];

/// One entry of `rate_limits`, apart from whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateConfig {
    /// Requests in a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Tokens in a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Exchanges at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u64>,
    /// Length of the window in seconds.
    #[serde(default = "minute")]
    pub per_s: u64,
}

fn minute() -> u64 {
    60
}

impl Default for RateConfig {
    fn default() -> RateConfig {
        RateConfig {
            requests: None,
            tokens: None,
            concurrent: None,
            per_s: minute(),
        }
    }
}

impl RateConfig {
    /// The limits that it is made of.
    pub fn bounds(&self) -> impl Iterator<Item = Bound> + use<> {
        let window_ms = self.per_s.saturating_mul(1_000);
        let all = [
            (Measure::Requests, self.requests, window_ms),
            (Measure::Tokens, self.tokens, window_ms),
            (Measure::Running, self.concurrent, 0),
        ];
        all.into_iter().filter_map(|(measure, limit, window_ms)| {
            limit.map(|limit| Bound {
                measure,
                limit,
                window_ms,
            })
        })
    }

    /// `per` as it is written.
    pub fn per(&self) -> Result<&'static str, u64> {
        let named = PER.iter().find(|(_, seconds)| *seconds == self.per_s);
        named.map(|(name, _)| *name).ok_or(self.per_s)
    }
}

/// A virtual key's own limits besides `rate_limit`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyLimits {
    /// Its `rate_limits`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateConfig>,
    /// Exchanges at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u64>,
}

impl KeyLimits {
    /// All of them, with `rate_limit`: requests a minute.
    pub fn bounds(&self, rate_limit: Option<u64>) -> Vec<Bound> {
        let plain = RateConfig {
            requests: rate_limit,
            concurrent: self.max_concurrent,
            ..RateConfig::default()
        };
        let all = [plain].into_iter().chain(self.rate_limits.iter().copied());
        all.flat_map(|rate| rate.bounds()).collect()
    }
}

/// An entry of `rate_limits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitConfig {
    /// Whose requests it bounds.
    pub scope: LimitScope,
    /// Which one of the kind; without a name each of them has the limit for itself.
    pub name: Option<String>,
    /// Only users of this tier.
    pub tier: Option<String>,
    /// How much.
    pub rate: RateConfig,
}

/// Whose requests a limit bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitScope {
    /// Everybody's together.
    Global,
    /// An organisation's.
    Tenant,
    /// A team's.
    Team,
    /// An end user's.
    User,
    /// That of all users of a tier.
    Tier,
    /// A virtual key's.
    Key,
    /// What goes to a provider.
    Provider,
    /// What goes to a model.
    Model,
    /// What carries a tag.
    Tag,
    /// What comes from a client address.
    Ip,
}

impl LimitScope {
    /// Names in the file, which are those of [`engine::ledger::Scope::kind`].
    pub const NAMES: [(&str, LimitScope); 10] = [
        ("global", LimitScope::Global),
        ("tenant", LimitScope::Tenant),
        ("team", LimitScope::Team),
        ("user", LimitScope::User),
        ("tier", LimitScope::Tier),
        ("key", LimitScope::Key),
        ("provider", LimitScope::Provider),
        ("model", LimitScope::Model),
        ("tag", LimitScope::Tag),
        ("ip", LimitScope::Ip),
    ];

    /// Its name in the file.
    pub fn name(self) -> &'static str {
        let named = LimitScope::NAMES.iter().find(|(_, scope)| *scope == self);
        named.map_or("", |(name, _)| *name)
    }
}
