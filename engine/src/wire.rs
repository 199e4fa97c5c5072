//! The internal API between filter and sidecar: HTTP/1.1 on a socket that clients can not reach, with
//! JSON but for settlements, which have a form of their own ([`Parcel`]). Golden tests pin the shapes;
//! [`VERSION`] changes when one breaks.

use serde::{Deserialize, Serialize};

use crate::guard::Guardrails;
use crate::usage::{NanoUsd, Usage};

mod policy;
mod settlement;

pub use policy::{Defaults, Dialect, Governed, Model, ParameterRules, Policy, Price, Provider};
pub use settlement::Parcel;

/// Version of these messages, the first segment of each path.
pub const VERSION: u32 = 1;

/// `POST`: [`KeyLookup`] to [`KeyAnswer`].
pub const PATH_KEY: &str = "/internal/v1/key";
/// `POST`: [`Admit`] to [`Admission`].
pub const PATH_ADMIT: &str = "/internal/v1/admit";
/// `POST`: [`Settle`], from a filter as [`Parcel::body`], to [`Settled`], answered once every record is
/// durable.
pub const PATH_SETTLE: &str = "/internal/v1/settle";
/// `POST`: [`Renew`] to [`Renewed`].
pub const PATH_RENEW: &str = "/internal/v1/renew";
/// `POST`: [`PolicyPoll`] to [`PolicyAnswer`].
pub const PATH_POLICY: &str = "/internal/v1/policy";
/// `POST`: [`CachePut`] to an empty `204`.
pub const PATH_CACHE: &str = "/internal/v1/cache";

/// Asks who a virtual key belongs to. Only its hash travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyLookup {
    /// SHA-256 of the whole key, lower-case hex.
    pub key_hash: String,
}

/// The answer to [`KeyLookup`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyAnswer {
    /// The key exists and may be used now.
    Known(KeyRecord),
    /// The key may not be used; `code` is a member of [`crate::reply::Code`].
    Refused(Refused),
}

/// What the filter may know of a virtual key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Stable public id (`key_…`), never the key itself.
    pub id: String,
    /// Name given by the operator.
    pub name: String,
    /// Tenant the key belongs to; scopes the cache.
    #[serde(default)]
    pub tenant: String,
    /// Provider for requests whose model names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Models the key may ask for; empty allows all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Guardrails of the key; they hold beside those of defaults and request.
    #[serde(default, skip_serializing_if = "Guardrails::is_empty")]
    pub guardrails: Guardrails,
    /// Route configuration used when the request sends none (the text of `x-portkey-config`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Unix milliseconds after which the key is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
}

/// What to do with personal data, from mildest to strictest: the less of a value goes on, and the
/// less it can be told from others, the stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PiiAction {
    /// Report it and go on.
    Flag,
    /// Show only its last characters.
    Mask,
    /// Replace it by a keyed hash, the same in every request of a tenant.
    Hash,
    /// Replace it by a placeholder, for which the answer gets the value back.
    Pseudonymize,
    /// Replace it by `[TYPE_REDACTED]`.
    Redact,
    /// Refuse the request, or end the answer.
    Deny,
}

impl PiiAction {
    /// All of them, from mildest to strictest.
    pub const ALL: [PiiAction; 6] = [
        PiiAction::Flag,
        PiiAction::Mask,
        PiiAction::Hash,
        PiiAction::Pseudonymize,
        PiiAction::Redact,
        PiiAction::Deny,
    ];

    /// Its name in configuration and records.
    pub const fn name(self) -> &'static str {
        match self {
            PiiAction::Flag => "flag",
            PiiAction::Mask => "mask",
            PiiAction::Hash => "hash",
            PiiAction::Pseudonymize => "pseudonymize",
            PiiAction::Redact => "redact",
            PiiAction::Deny => "deny",
        }
    }

    /// The action of that name.
    pub fn of_name(name: &str) -> Option<PiiAction> {
        PiiAction::ALL
            .into_iter()
            .find(|action| action.name() == name)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Which way a text went that a guardrail looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// In a request.
    Input,
    /// In an answer.
    Output,
}

impl Direction {
    /// Its name in configuration and records.
    pub const fn name(self) -> &'static str {
        match self {
            Direction::Input => "input",
            Direction::Output => "output",
        }
    }
}

/// What a guardrail found and did; never the value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// `pii_detection`, or the name of a check.
    pub rule: String,
    /// Type of the data; empty for a check.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Where.
    pub on: Direction,
    /// What was done: the name of a [`PiiAction`].
    pub action: PiiAction,
    /// How often.
    pub count: u32,
}

/// A refusal as the sidecar words it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// Name of a [`crate::reply::Code`].
    pub code: String,
    /// Sentence for the caller; the code's own when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Seconds until another try can succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// State of the tightest limits that apply.
    #[serde(default, skip_serializing_if = "Rates::is_empty")]
    pub rate: Rates,
}

/// One question before an exchange may use a provider: limits, budgets, cache, credentials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Admit {
    /// Exchange id, unique over all workers and replicas.
    pub exchange: String,
    /// [`KeyRecord::id`].
    pub key: String,
    /// Unix milliseconds at which the request arrived.
    pub at_ms: u64,
    /// What each planned target would cost; the dearest is held.
    pub targets: Vec<Quote>,
    /// Output cap of the request in tokens, over all choices; `None` when it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_cap: Option<u64>,
    /// Choices asked for (`n`), at least 1: a derived cap is per choice.
    pub choices: u32,
    /// Whether the answer comes as a stream whose hold can grow while it runs.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stream: bool,
    /// Prompt tokens as counted here.
    pub tokens_in: u64,
    /// Exact cache to ask first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheAsk>,
    /// End user that the request names.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `name=value` of the request's metadata, for the names of [`Governed::tags`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whence the request came, as limits count it: see [`crate::address`]. Only when some limit is for
    /// addresses.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// What requests that may be admitted under one lease have in common; not sent.
    #[serde(skip)]
    pub sharing: String,
}

/// Price of one planned target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// Provider name.
    pub provider: String,
    /// Model as the provider knows it.
    pub model: String,
    /// Worst-case price of the prompt.
    pub input_nano: NanoUsd,
    /// Output price, nano-dollars per million tokens.
    pub output_nano_per_mtok: NanoUsd,
    /// Output tokens the model can produce at most per choice.
    pub output_max: u64,
}

/// Where to look in the exact cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheAsk {
    /// Lower-case hex of the canonical key.
    pub key: String,
    /// `false` when the caller asked for a fresh answer (`no-cache`, `refresh`).
    pub read: bool,
}

/// The answer to [`Admit`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    /// Go on: a hold is in place until it is settled or expires.
    Granted(Grant),
    /// The cache has the answer; nothing is held.
    Cached(Cached),
    /// Do not go on; nothing is held.
    Refused(Refused),
}

/// Permission to go on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Money held over every scope.
    pub hold_nano: NanoUsd,
    /// Output cap per choice to send to the provider, when the request has none and what is left
    /// of a budget does not cover the model's maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_cap: Option<u64>,
    /// Whether a hard budget bounds it: a stream ends where its hold does, unless that grows.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hard: bool,
    /// Whether less is held than the answer may cost, so that the hold is meant to grow.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sliced: bool,
    /// Places of planned targets that are not to be asked: their own budgets or limits are used up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<usize>,
    /// The key's own provider credentials, by provider name; they win over the provider's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<(String, String)>,
    /// State of the tightest limits that apply.
    #[serde(default, skip_serializing_if = "Rates::is_empty")]
    pub rate: Rates,
    /// What the worker may give out by itself from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseGrant>,
}

/// A part of a key's limits, held for one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseGrant {
    /// Unique over all workers and replicas.
    pub id: String,
    /// Money held in every scope of the key.
    pub amount_nano: NanoUsd,
    /// Requests counted against limits, when there are such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Tokens counted against limits, when there are such; prompts take from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Exchanges that may run at the same time, when that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<u64>,
    /// Unix milliseconds from which nothing is given from it.
    pub until_ms: u64,
    /// Whether a hard budget bounds the key: exchanges then need an output cap.
    pub hard: bool,
}

/// What a worker still needs of a lease that it gives from no more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseState {
    /// [`LeaseGrant::id`].
    pub id: String,
    /// Money to keep held for exchanges that run.
    pub keep_nano: NanoUsd,
    /// No exchange runs under it any more.
    pub done: bool,
    /// Requests that were not made; only when `done`.
    #[serde(default)]
    pub requests: u64,
    /// Tokens that no prompt took; only when `done`.
    #[serde(default)]
    pub tokens: u64,
    /// Exchanges that run under it.
    #[serde(default)]
    pub running: u64,
}

/// A cached answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cached {
    /// What was stored.
    pub answer: CachedAnswer,
    /// State of the tightest limits that apply.
    #[serde(default, skip_serializing_if = "Rates::is_empty")]
    pub rate: Rates,
}

/// An answer as the cache keeps it: in OpenAI's dialect, before `metadata` is added. A stream is
/// kept as its event bytes without usage chunk and `[DONE]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CachedAnswer {
    /// Provider that produced it.
    pub provider: String,
    /// Model that produced it, as the provider knows it.
    pub model: String,
    /// Body or event bytes (UTF-8).
    pub body: String,
    /// Whether `body` is an event stream.
    pub stream: bool,
    /// What producing it consumed.
    pub usage: Usage,
}

/// Stores an answer in the exact cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CachePut {
    /// Lower-case hex of the canonical key.
    pub key: String,
    /// Seconds to keep it.
    pub ttl_s: u64,
    /// What to keep.
    pub answer: CachedAnswer,
}

/// A limit after this request was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateState {
    /// Requests or tokens in a window.
    pub limit: u64,
    /// What of it is left.
    pub remaining: u64,
    /// Milliseconds until the window's bucket ends.
    pub reset_ms: u64,
}

/// The tightest of the limits that apply, of each kind: the one that leaves least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<RateState>,
    /// Of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<RateState>,
}

impl Rates {
    /// Whether no limit applies.
    pub fn is_empty(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none()
    }
}

/// A batch of finished exchanges.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settle {
    /// Records, idempotent by exchange id.
    pub records: Vec<UsageRecord>,
    /// Leases that have ended. Read after the records, of which none is outstanding then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<LeaseState>,
}

/// The answer to [`Settle`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Records that are durable now, those known before included.
    pub durable: u32,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The client received a complete answer or a complete error.
    Done,
    /// The client left before the answer was complete.
    ClientGone,
    /// The provider's stream broke off or reported an error after its first event.
    UpstreamCut,
    /// Weir itself refused.
    Refused,
    /// The hold expired without a settlement; written by the sidecar.
    Expired,
}

/// How the exact cache took part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheStatus {
    /// Answered from the cache.
    Hit,
    /// Asked, not found.
    Miss,
    /// Stored anew without asking.
    Refresh,
    /// Not asked.
    Off,
}

/// One finished exchange, for the ledger, the metrics and the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Exchange id.
    pub exchange: String,
    /// Trace id of the caller (`traceparent`, `x-portkey-trace-id`) or the exchange id.
    pub trace_id: String,
    /// What was called: `chat`, `embeddings` ...; empty for a path that there is not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
    /// [`KeyRecord::id`]; empty when no key was recognised (then nothing goes to the ledger).
    pub key: String,
    /// End user as the request names one (`user`).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// As in [`Admit::tags`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Unix milliseconds at which the request arrived.
    pub at_ms: u64,
    /// Milliseconds from the request's head to the end of the answer.
    pub duration_ms: u64,
    /// Milliseconds to the first byte of the answer, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// Provider of the last attempt; empty when none was tried.
    pub provider: String,
    /// Model as that provider knows it, or the one asked for.
    pub model: String,
    /// HTTP status sent to the client.
    pub status: u16,
    /// Name of a [`crate::reply::Code`] when Weir refused or the provider failed; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// How it ended.
    pub ending: Ending,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Attempts made.
    pub attempts: u32,
    /// Tokens.
    pub usage: Usage,
    /// Whether `usage` is our own count and not the provider's.
    pub metered: bool,
    /// Price of it.
    pub cost_nano: NanoUsd,
    /// The exact cache's part.
    pub cache: CacheStatus,
    /// Personal data by type, in request and answer; never the values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pii: Vec<(String, u32)>,
    /// The strictest of what was done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pii_action: Option<PiiAction>,
    /// What guardrails found and did, one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guard: Vec<Verdict>,
    /// [`LeaseGrant::id`] of the lease that it was admitted under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
}

impl UsageRecord {
    /// Whether metrics count it as `success`.
    pub fn succeeded(&self) -> bool {
        self.status < 400 && self.ending != Ending::UpstreamCut
    }
}

/// Keeps holds of live exchanges from expiring.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Renew {
    /// Exchange id and what it has cost so far.
    pub live: Vec<(String, NanoUsd)>,
    /// A hold that is to grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grow: Option<Grow>,
}

/// Asks for a hold to grow while a stream runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grow {
    /// Exchange or lease that the hold is under.
    pub id: String,
    /// By how much at most.
    pub by_nano: NanoUsd,
}

/// The answer to [`Renew`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// Holds found and extended.
    pub extended: u32,
    /// By how much the hold of [`Renew::grow`] has grown; 0 when no budget covers more.
    #[serde(default)]
    pub grown_nano: NanoUsd,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Asks for changes of policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyPoll {
    /// Version held, 0 for none.
    pub version: u64,
    /// Stable name of the asking VM, for `/health`.
    pub vm: String,
}

/// The answer to [`PolicyPoll`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyAnswer {
    /// Version now in force.
    pub version: u64,
    /// Grows whenever a virtual key changes: a filter then forgets the keys it has looked up.
    pub keys_version: u64,
    /// The policy, when `version` differs from the one held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

/// A record, for tests.
#[cfg(test)]
pub(crate) fn sample_record() -> UsageRecord {
    UsageRecord {
        exchange: "wr".into(),
        trace_id: "wr".into(),
        endpoint: "chat".into(),
        key: "key_a".into(),
        user: String::new(),
        tags: Vec::new(),
        at_ms: 128,
        duration_ms: 7,
        first_byte_ms: Some(6),
        provider: "bench".into(),
        model: "gpt-4".into(),
        status: 200,
        code: String::new(),
        ending: Ending::Done,
        stream: false,
        attempts: 1,
        usage: Usage {
            input: 10,
            output: 5,
            ..Usage::default()
        },
        metered: false,
        cost_nano: 100,
        cache: CacheStatus::Off,
        pii: Vec::new(),
        pii_action: None,
        guard: Vec::new(),
        lease: Some("l1".into()),
    }
}
