//! Every cap of the request path, unit last. What happens at a cap is said at its name.

/// Request body. Above it: `413 request_too_large` (Envoy enforces the same number).
pub const REQUEST_BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Nesting of a JSON document. Above it: `400 invalid_json`.
pub const JSON_DEPTH_MAX: usize = 128;
/// Messages of one request. Above it: `400 invalid_request`.
pub const MESSAGES_MAX: usize = 100_000;
/// Targets of one route configuration, nested ones counted. Above it: `400 invalid_config`.
pub const TARGETS_MAX: usize = 16;
/// Retries of one target. Above it: `400 invalid_config`.
pub const RETRIES_MAX: u32 = 5;
/// Attempts of one exchange over all targets. Attempts beyond it are not made.
pub const ATTEMPTS_MAX: u32 = 32;
/// Milliseconds between two attempts, a provider's `retry-after` counted. Longer wishes are not met.
pub const RETRY_WAIT_MS_MAX: u64 = 5_000;
/// `x-portkey-config`. Above it: `400 invalid_config`.
pub const CONFIG_HEADER_BYTES_MAX: usize = 32 * 1024;
/// A client's key. Longer ones: `401 invalid_api_key`.
pub const KEY_BYTES_MAX: usize = 256;
/// One event of an event stream. A longer one ends the stream with an error.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Pieces of a stream's calls that wait for calls before them, where a client's format knows no
/// interleaving. Above it: the stream ends with an error.
pub const CALLS_HELD_BYTES_MAX: usize = 2 * EVENT_BYTES_MAX;
/// What a streamed answer in the form of Responses holds, which its last event repeats as a whole. A
/// longer one ends the stream with an error.
pub const RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A member of the request that an answer in that form repeats. A longer one is left out.
pub const RESPONSE_ECHO_BYTES_MAX: usize = 256 * 1024;
/// A stream that a check of whole texts has to see complete. A longer one: `400 guardrail_violation`.
pub const HELD_STREAM_BYTES_MAX: usize = 8 * 1024 * 1024;
/// An answer worth caching. Larger ones are delivered and not stored.
pub const CACHED_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Text of a stream kept for counting; above it the kept part is counted and dropped.
pub const METER_TEXT_BYTES_MAX: usize = 64 * 1024;
/// Keys a worker remembers. Above it the table is emptied and filled anew.
pub const KEYS_REMEMBERED_MAX: usize = 10_000;
/// Records a worker keeps while the sidecar is away. Above it the oldest refusals go first.
pub const RECORDS_QUEUED_MAX: usize = 20_000;
/// Records of one settle call.
pub const RECORDS_PER_SETTLE_MAX: usize = 500;
/// Inputs of one request for embeddings (OpenAI's own bound). Above it: `400 invalid_request`.
pub const EMBEDDING_INPUTS_MAX: usize = 2048;
/// Metadata of one request that limits may ask for. Further names are not looked at.
pub const TAGS_MAX: usize = 16;
/// `name=value` of metadata. A longer one counts as absent.
pub const TAG_BYTES_MAX: usize = 256;
