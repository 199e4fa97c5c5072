//! The one table from refusal to status, type and wording. README's table is generated from it.

/// Everything Weir itself refuses with, and what it makes of a provider's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    BudgetExceeded,
    ConfigInvalid,
    FilterMisconfigured,
    GuardrailViolation,
    InvalidApiKey,
    InvalidJson,
    InvalidRequest,
    KeyDisabled,
    KeyExpired,
    KeyRevoked,
    MethodNotAllowed,
    MissingApiKey,
    ModelNotAllowed,
    ModelNotFound,
    ModelNotPriced,
    NotFound,
    ProviderUnknown,
    RateLimitExceeded,
    RequestTooLarge,
    StateUnavailable,
    UpstreamError,
    UpstreamInvalidAnswer,
    UpstreamStreamInterrupted,
    UpstreamTimeout,
    UpstreamUnavailable,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The refusal.
    pub code: Code,
    /// `error.code` on the wire and the metric's label.
    pub name: &'static str,
    /// HTTP status.
    pub status: u16,
    /// `error.type` on the wire.
    pub kind: &'static str,
    /// `x-should-retry`, when clients must be told.
    pub should_retry: Option<bool>,
    /// Wording when the place of refusal has none of its own.
    pub message: &'static str,
}

const fn row(
    code: Code,
    name: &'static str,
    status: u16,
    kind: &'static str,
    should_retry: Option<bool>,
    message: &'static str,
) -> Row {
    Row {
        code,
        name,
        status,
        kind,
        should_retry,
        message,
    }
}

const BAD: &str = "invalid_request_error";
const AUTH: &str = "authentication_error";
const SERVER: &str = "server_error";

/// The table, in the order of [`Code`].
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    row(Code::BudgetExceeded, "budget_exceeded", 429, "insufficient_quota", Some(false), "Budget limit exceeded"),
    row(Code::ConfigInvalid, "invalid_config", 400, BAD, None, "Invalid route configuration"),
    row(Code::FilterMisconfigured, "filter_misconfigured", 500, SERVER, Some(false), "The Weir filter gets no request bodies: its configuration needs allow_on_headers_stop_iteration: true"),
    row(Code::GuardrailViolation, "guardrail_violation", 400, BAD, Some(false), "The request contains data that a guardrail does not allow"),
    row(Code::InvalidApiKey, "invalid_api_key", 401, BAD, None, "Incorrect API key provided"),
    row(Code::InvalidJson, "invalid_json", 400, BAD, None, "The request body is not valid JSON"),
    row(Code::InvalidRequest, "invalid_request", 400, BAD, None, "The request is not valid"),
    row(Code::KeyDisabled, "key_disabled", 403, "permission_error", None, "This virtual key is disabled"),
    row(Code::KeyExpired, "key_expired", 401, AUTH, None, "This virtual key has expired"),
    row(Code::KeyRevoked, "key_revoked", 401, AUTH, None, "This virtual key has been revoked"),
    row(Code::MethodNotAllowed, "method_not_allowed", 405, BAD, None, "This path does not take that method"),
    row(Code::MissingApiKey, "missing_api_key", 401, BAD, None, "No virtual key: send Authorization: Bearer vk-..., api-key or x-api-key"),
    row(Code::ModelNotAllowed, "model_not_allowed", 403, "permission_error", None, "This virtual key may not use that model"),
    row(Code::ModelNotFound, "model_not_found", 404, BAD, None, "That model does not exist or no provider serves it"),
    row(Code::ModelNotPriced, "model_not_priced", 400, BAD, None, "That model has no price: add one under models, or price: free"),
    row(Code::NotFound, "not_found", 404, BAD, None, "No such path"),
    row(Code::ProviderUnknown, "provider_not_found", 400, BAD, None, "No provider of that name is configured"),
    row(Code::RateLimitExceeded, "rate_limit_exceeded", 429, "requests", None, "Rate limit reached"),
    row(Code::RequestTooLarge, "request_too_large", 413, BAD, None, "The request body is larger than the gateway takes"),
    row(Code::StateUnavailable, "state_unavailable", 503, SERVER, None, "The gateway's state service does not answer"),
    row(Code::UpstreamError, "upstream_error", 502, SERVER, None, "The provider answered with an error"),
    row(Code::UpstreamInvalidAnswer, "upstream_invalid_answer", 502, SERVER, None, "The provider's answer could not be read"),
    row(Code::UpstreamStreamInterrupted, "upstream_stream_interrupted", 502, SERVER, None, "The provider's stream broke off"),
    row(Code::UpstreamTimeout, "upstream_timeout", 504, "timeout_error", None, "The provider did not answer in time"),
    row(Code::UpstreamUnavailable, "upstream_unavailable", 503, SERVER, None, "No provider could be reached"),
];

impl Code {
    /// When it is given: the sentence of the manual's table. Apart from [`Row`], so that the filter
    /// does not carry it.
    pub fn when(self) -> &'static str {
        match self {
            Code::BudgetExceeded => {
                "the rest of a budget does not cover what the request may cost; `retry-after` says when the budget starts anew; `defaults.budget_status_code` makes it 402 or 403"
            }
            Code::ConfigInvalid => {
                "the route configuration is not JSON, or `error.param` names the member that is wrong"
            }
            Code::FilterMisconfigured => {
                "the first request to a worker has waited five seconds for a body that Envoy keeps back: `allow_on_headers_stop_iteration` is missing"
            }
            Code::GuardrailViolation => {
                "personal data under a `deny` rule, in the request or in the answer, or what a rule cannot read; the message names the types"
            }
            Code::InvalidApiKey => "nobody knows the key, or the admin token is wrong",
            Code::InvalidJson => "the body is not JSON",
            Code::InvalidRequest => {
                "a member is missing, wrong, given twice or not possible at any target; `error.param` names it"
            }
            Code::KeyDisabled => "an operator switched the key off",
            Code::KeyExpired => "the key's `expires_at` has passed",
            Code::KeyRevoked => "the key was deleted",
            Code::MethodNotAllowed => "the path exists, the method does not",
            Code::MissingApiKey => "no header carries a key",
            Code::ModelNotAllowed => "the key has a list of `models` without this one",
            Code::ModelNotFound => "no provider is known to serve the model",
            Code::ModelNotPriced => {
                "the route names provider and model, and there is no price for them"
            }
            Code::NotFound => "no such path, key or other resource",
            Code::ProviderUnknown => "the route names a provider that `weir.yaml` does not have",
            Code::RateLimitExceeded => {
                "a limit on requests, tokens or running requests is reached, which the message names; `retry-after` says when the next one fits"
            }
            Code::RequestTooLarge => "the body is above `limits.request_body_bytes`",
            Code::StateUnavailable => {
                "the state service does not answer, cannot write, or is full; also in the first moments after a start"
            }
            Code::UpstreamError => {
                "the provider answered with an error; its status, message and code are kept, and a `200` that carries an error becomes 502 or what the error says"
            }
            Code::UpstreamInvalidAnswer => "the provider's answer is empty or no chat completion",
            Code::UpstreamStreamInterrupted => {
                "the provider's stream broke off; it stands in the last event, and no `[DONE]` follows"
            }
            Code::UpstreamTimeout => "no answer within `request_timeout_ms`",
            Code::UpstreamUnavailable => "no connection to any target, or a connection that broke",
        }
    }

    /// The code's line of [`TABLE`].
    pub fn row(self) -> &'static Row {
        const LAST: Row = row(
            Code::UpstreamError,
            "upstream_error",
            502,
            SERVER,
            None,
            "The provider answered with an error",
        );
        TABLE.iter().find(|row| row.code == self).unwrap_or(&LAST)
    }

    /// The code whose wire name is `name`.
    pub fn from_name(name: &str) -> Option<Code> {
        TABLE
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.code)
    }
}
