//! One exchange: a client's request with all its attempts and its answer, as a machine.
//!
//! Each `on_*` method takes one event and says in one value what the glue must do. The *policy*
//! role drives the request and the answer; the *adapter* role drives attempts, when a plan has
//! more than one target. Both see the same exchange.
//!
//! ```text
//! on_head -> on_key? -> on_body -> on_admission -> (on_attempt -> on_attempt_head ->
//! on_attempt_body)* -> on_answer_head -> on_answer_body* -> on_end
//! ```

use std::rc::Rc;

use crate::endpoint::Endpoint;
use crate::guard::AnswerGuard;
use crate::headers::Headers;
use crate::ingress::Translated;
use crate::keys::KeyTable;
use crate::lease::Leases;
use crate::plan::{Plan, Target};
use crate::policy::PolicyIndex;
use crate::reply::Code;
use crate::request::{Call, ChatRequest, RequestError};
use crate::tokens::{Encoding, Tokenizers};
use crate::usage::{NanoUsd, Usage};
use crate::wire::{CachePut, CacheStatus, Ending, KeyRecord, Rates, Verdict};

mod answer;
mod attempt;
mod bound;
mod counting;
mod decoding;
mod document;
mod failing;
mod guarding;
mod id;
mod judging;
mod membership;
mod models;
mod native;
mod prepare;
mod reading;
mod record;
mod refusal;
mod replay;
mod report;
mod request;
mod result;
mod retrying;
mod routes;
mod stream;
mod streaming;
#[cfg(test)]
mod tests;
mod upstream;

pub use attempt::AttemptStep;
pub use bound::GROWTH_OUTPUT_TOKENS;
pub use retrying::{IDLE_TIERS_S, RETRY_ON_DIRECT, RouteTries, idle_tier_s};
pub use routes::{RouteKey, Routes};

/// Request header whose value selects the cluster; Envoy re-reads it before each attempt.
pub const HEADER_TARGET: &str = "x-weir-target";
/// Request header by which the adapter finds its exchange.
pub const HEADER_EXCHANGE: &str = "x-weir-exchange";
/// Request header that selects the route with the wanted idle timeout. Without it a request takes the
/// route of [`RouteTries`].
pub const HEADER_IDLE: &str = "x-weir-idle";
/// Request header that becomes the host name towards the provider, once a route is chosen.
pub const HEADER_HOST: &str = "x-weir-host";
/// Response header that makes Envoy try again.
pub const HEADER_RETRY: &str = "x-weir-retry";
/// A target that no cluster answers to: Envoy then ends the exchange itself.
pub const TARGET_NONE: &str = "none";

/// What an event may read besides itself.
pub struct Env<'a> {
    /// Unix milliseconds.
    pub now_ms: u64,
    /// A fresh random number.
    pub random: u64,
    /// The policy in force, `None` until the sidecar has sent one.
    pub policy: Option<&'a PolicyIndex>,
    /// Keys looked up before.
    pub keys: &'a mut KeyTable,
    /// Tokenizers of this worker.
    pub tokenizers: &'a mut Tokenizers,
    /// What this worker may admit by itself.
    pub leases: &'a mut Leases,
    /// Cap of a request body in bytes.
    pub body_bytes_max: usize,
}

/// What to do with a request that is being held.
#[derive(Debug)]
pub enum Step {
    /// Keep holding it.
    Wait,
    /// Keep holding it and ask the sidecar.
    Ask(Ask),
    /// Change it and let it go.
    Forward(Forward),
    /// Answer it here.
    Reply(Reply),
}

/// A question to the sidecar.
#[derive(Debug, PartialEq, Eq)]
pub struct Ask {
    /// Path of the internal API.
    pub path: &'static str,
    /// JSON of the message.
    pub body: Vec<u8>,
    /// Who is asked instead of the sidecar.
    pub outside: Option<Outside>,
}

/// Somebody else who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Envoy's cluster that leads there.
    pub cluster: String,
    /// All headers of the call.
    pub headers: Vec<(String, String)>,
    /// How long to wait for the answer, milliseconds.
    pub timeout_ms: u64,
}

/// A request as it goes on.
#[derive(Debug)]
pub struct Forward {
    /// All request headers.
    pub headers: Headers,
    /// The body, when it is not the one that Envoy has already.
    pub body: Option<Vec<u8>>,
}

/// An answer of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers besides the length.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
}

/// What to do with the head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum AnswerHead {
    /// Hold it until the body decides.
    Hold,
    /// Replace it and let it go.
    Send(Headers),
    /// Let it go as it is.
    Pass,
}

/// What to do with a piece of an answer's body.
#[derive(Debug, Default, PartialEq)]
pub struct AnswerBody {
    /// Hold it; the next event brings it again with what follows.
    pub hold: bool,
    /// Headers to replace first, when they were held.
    pub headers: Option<Headers>,
    /// Bytes to put in its place; `None` leaves it.
    pub body: Option<Vec<u8>>,
    /// An answer to store in the exact cache.
    pub put: Option<CachePut>,
    /// A question to the sidecar, for [`Exchange::on_grown`].
    pub ask: Option<Ask>,
    /// Bytes at the end of the piece that are not looked at yet, if any: hold everything until the
    /// sidecar has answered, then bring them again.
    pub wait: Option<Vec<u8>>,
    /// The stream has its end while the provider goes on: close it.
    pub cut: bool,
}

/// An exchange. See the module's description for the order of its events.
pub struct Exchange {
    id: String,
    started_ms: u64,
    /// The caller's own, when it is not the exchange's.
    trace_id: Option<String>,
    state: State,
    /// Unknown until a path was found that there is.
    endpoint: Option<Endpoint>,
    wishes: Wishes,
    head: Headers,
    key_hash: String,
    key: Option<Rc<KeyRecord>>,
    body: Vec<u8>,
    /// What watches over it; `None` where no rule does.
    guard: Option<Box<guarding::Guard>>,
    questions: judging::Questions,
    /// What has read a stream that was held, with its texts.
    checked: Option<Box<AnswerGuard>>,
    /// Whether `body` is not the client's any more.
    redacted: bool,
    /// Whether `body` was read as JSON; always so for a chat completion.
    is_json: bool,
    /// The client's own request, when it is no chat completion.
    call: Option<Call>,
    /// That request in the middle form.
    translated: Option<Translated>,
    /// Why it has none.
    untranslatable: Option<RequestError>,
    /// The chat completion that was asked for, by the client or by the translation.
    request: Option<ChatRequest>,
    plan: Rc<Plan>,
    progress: attempt::Progress,
    held_nano: NanoUsd,
    bound: bound::Bound,
    /// Lease that it was admitted under.
    lease: Option<String>,
    /// Whom it may share a lease with: see [`crate::wire::Admit::sharing`].
    sharing: String,
    /// `name=value` of its metadata, as far as limits ask for it.
    tags: Vec<String>,
    /// Status of budget refusals, 0 for the table's own.
    budget_status: u16,
    output_cap: Option<u64>,
    credentials: Vec<(String, String)>,
    /// The limits that apply, as they are at `rate_ms`.
    rate: Rates,
    rate_ms: u64,
    /// Whence it came, as limits count it; empty when none asks.
    address: String,
    route_tries: Option<Rc<RouteTries>>,
    /// Tokens of the prompt; a bound of them while they are `uncounted`.
    tokens_in: u64,
    /// The vocabulary to count them in, should they be asked for.
    uncounted: Option<Encoding>,
    cache_key: Option<String>,
    replayed_from: Option<(String, String)>,
    answer: Answer,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The key's owner is being looked up; the body may already be here.
    Naming { body_here: bool },
    /// Waiting for the body.
    Receiving,
    /// Admitted, and a judge of content is being asked.
    Judging,
    /// The sidecar is deciding.
    Admitting,
    /// On its way to a provider.
    Forwarded,
    /// Answered here.
    Replied,
}

/// What the client's headers ask for.
#[derive(Debug, Default)]
struct Wishes {
    config: Option<Vec<u8>>,
    cache_read: bool,
    cache_store: bool,
}

/// Progress of the answer.
#[derive(Default)]
struct Answer {
    status: u16,
    head: Headers,
    mode: AnswerMode,
    stream: Option<stream::AnswerStream>,
    /// Bytes for the cache, `None` once they are too many or not wanted.
    captured: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum AnswerMode {
    #[default]
    None,
    /// One JSON document, held until complete.
    Document,
    /// An event stream whose head is still held.
    StreamHeld,
    /// An event stream on its way.
    Stream,
    /// An error, held until complete.
    Error,
    /// Not ours to change.
    Opaque,
    /// What a call that passes got: its bytes are not looked at.
    Through,
}

/// What the usage record will say.
struct Outcome {
    status: u16,
    code: Option<Code>,
    ending: Option<Ending>,
    first_byte_ms: Option<u64>,
    usage: Option<Usage>,
    /// Output tokens counted here, for answers without usage.
    metered_output: u64,
    cache: CacheStatus,
    verdicts: Vec<Verdict>,
    unenforced: Vec<String>,
    dropped: Vec<String>,
}

impl Default for Outcome {
    fn default() -> Outcome {
        Outcome {
            status: 0,
            code: None,
            ending: None,
            first_byte_ms: None,
            usage: None,
            metered_output: 0,
            cache: CacheStatus::Off,
            verdicts: Vec::new(),
            unenforced: Vec::new(),
            dropped: Vec::new(),
        }
    }
}

impl Exchange {
    /// Begins an exchange. `id` must be unique over all workers and replicas.
    pub fn new(id: String, now_ms: u64) -> Exchange {
        Exchange {
            id,
            trace_id: None,
            started_ms: now_ms,
            state: State::Receiving,
            endpoint: None,
            wishes: Wishes::default(),
            head: Headers::default(),
            key_hash: String::new(),
            key: None,
            body: Vec::new(),
            guard: None,
            questions: judging::Questions::default(),
            checked: None,
            redacted: false,
            is_json: false,
            call: None,
            translated: None,
            untranslatable: None,
            request: None,
            plan: Rc::default(),
            progress: attempt::Progress::default(),
            held_nano: 0,
            bound: bound::Bound::default(),
            lease: None,
            sharing: String::new(),
            tags: Vec::new(),
            budget_status: 0,
            output_cap: None,
            credentials: Vec::new(),
            rate: Rates::default(),
            rate_ms: now_ms,
            address: String::new(),
            route_tries: None,
            tokens_in: 0,
            uncounted: None,
            cache_key: None,
            replayed_from: None,
            answer: Answer::default(),
            outcome: Outcome::default(),
        }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the adapter takes part: an attempt per target with a body of its own.
    pub fn has_adapter(&self) -> bool {
        !self.plan.is_single()
    }

    /// Unix milliseconds at which it began.
    pub fn started_ms(&self) -> u64 {
        self.started_ms
    }

    /// The target of the current or last attempt.
    fn target(&self) -> Option<&Target> {
        self.plan.targets.get(self.progress.at)
    }

    fn streams(&self) -> bool {
        match (&self.call, &self.request) {
            (Some(call), _) => call.stream,
            (None, Some(request)) => request.stream,
            (None, None) => false,
        }
    }
}
