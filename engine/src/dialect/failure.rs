//! Errors of providers, in the shape and with the status that OpenAI's clients know.
//!
//! A fault between gateway and provider (a bad provider key, an unpaid account) must not look like
//! the client's own, or clients would change their key: it becomes a `502`.

use std::borrow::Cow;

use crate::json::{self, Kind, Span, Writer};
use crate::reply::Code;
use crate::wire::Dialect;

/// Text of a provider's error that is passed on. The rest is cut at a character.
pub const ERROR_MESSAGE_BYTES_MAX: usize = 2048;
/// An error body in OpenAI's own shape up to this size is passed on byte for byte.
const ERROR_BODY_BYTES_MAX: usize = 16 * 1024;
/// The `type` of faults between gateway and provider.
const UPSTREAM: &str = "upstream_error";

/// The `type` or `code` of an account without quota.
const USED_UP: &str = "insufficient_quota";

/// An error to answer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// HTTP status for the client.
    pub status: u16,
    /// OpenAI's error body.
    pub body: Vec<u8>,
    /// Seconds to wait as the body says it (Google); others say it in `retry-after`.
    pub retry_after_s: Option<u64>,
    /// Trying again is of no use whatever the status says: the account has used up its quota.
    pub is_final: bool,
}

impl ErrorAnswer {
    /// One of our own refusals.
    pub(super) fn of_code(code: Code) -> ErrorAnswer {
        ErrorAnswer {
            status: code.row().status,
            body: code_body(code),
            retry_after_s: None,
            is_final: false,
        }
    }
}

/// OpenAI's error body.
pub fn error_body(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Vec<u8> {
    let mut body = Vec::with_capacity(message.len() + 96);
    Writer::new(&mut body).object(|out| {
        out.key("error").object(|out| {
            out.key("message").string(message);
            out.key("type").string(kind);
            for (name, value) in [("param", param), ("code", code)] {
                match value {
                    Some(value) => out.key(name).string(value),
                    None => out.key(name).null(),
                }
            }
        });
    });
    body
}

/// The error body of one of our own refusals.
pub(super) fn code_body(code: Code) -> Vec<u8> {
    let row = code.row();
    error_body(row.message, row.kind, None, Some(row.name))
}

/// What to answer when the provider answered with `status` and `body`, whatever that holds.
pub fn decode_error(dialect: Dialect, status: u16, body: &[u8]) -> ErrorAnswer {
    let reported = match json::document(body) {
        Ok(root) => reported(body, root).unwrap_or_default(),
        Err(_) => Reported {
            message: plain_text(body),
            ..Reported::default()
        },
    };
    let answer = reported.answer(dialect, Some(status));
    let faithful = matches!(dialect, Dialect::Openai | Dialect::Azure)
        && reported.is_openai
        && !(dialect == Dialect::Azure && reported.has_azure_code())
        && answer.status == status
        && body.len() <= ERROR_BODY_BYTES_MAX;
    if faithful {
        ErrorAnswer {
            status,
            body: body.to_vec(),
            ..answer
        }
    } else {
        answer
    }
}

/// What to answer when a `200` turned out to carry this error.
pub(super) fn reported_answer(dialect: Dialect, error: &Reported) -> ErrorAnswer {
    error.answer(dialect, error.status())
}

/// A provider's error, as far as it says something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reported {
    message: String,
    kind: String,
    param: Option<String>,
    code: String,
    /// The body has OpenAI's shape: message, and strings or nothing for the rest.
    is_openai: bool,
    /// The body names a bad key in a status that does not (Gemini: `400`).
    is_bad_key: bool,
    retry_after_s: Option<u64>,
}

/// Reads an error out of any of the shapes that providers use; `None` when there is none.
///
/// Known shapes: `{"error":{message,type,param,code}}`, `{"error":"text"}`, `{"message"}`,
/// `{"detail"}` as text or list, and a list of any of these.
pub(super) fn reported(body: &[u8], root: Span) -> Option<Reported> {
    let mut object = root;
    if json::kind(body, root) == Some(Kind::Array) {
        object = json::elements(body, root).next()?;
    }
    let is_list = object != root;
    match json::member(body, object, "error") {
        Some(error) => from_error(body, error).map(|error| Reported {
            is_openai: error.is_openai && !is_list,
            ..error
        }),
        None => from_message(body, object).map(|error| Reported {
            is_openai: false,
            ..error
        }),
    }
}

/// Reads the value of an `error` member; `None` for one that SDKs take for no error.
pub(super) fn from_error(body: &[u8], error: Span) -> Option<Reported> {
    match json::kind(body, error)? {
        Kind::Null | Kind::False => None,
        Kind::Object => {
            json::members(body, error).next()?;
            Some(from_object(body, error))
        }
        Kind::String => {
            let message = cut(&json::string(body, error)?).to_owned();
            (!message.is_empty()).then(|| Reported {
                message,
                ..Reported::default()
            })
        }
        _ => Some(Reported::default()),
    }
}

/// Reads an object that is the error itself, without a member `error` around it.
pub(super) fn from_message(body: &[u8], object: Span) -> Option<Reported> {
    if let Some(detail) = json::member(body, object, "detail") {
        let text = json::elements(body, detail)
            .next()
            .and_then(|first| json::member(body, first, "msg"))
            .unwrap_or(detail);
        let message = cut(&json::string(body, text)?).to_owned();
        return Some(Reported {
            message,
            ..Reported::default()
        });
    }
    json::member(body, object, "message").or_else(|| json::member(body, object, "Message"))?;
    Some(from_object(body, object))
}

fn from_object(body: &[u8], object: Span) -> Reported {
    let text = |name: &str| -> Option<Cow<'_, str>> {
        let value = json::member(body, object, name)?;
        match json::kind(body, value)? {
            Kind::Number => std::str::from_utf8(value.of(body)).ok().map(Cow::Borrowed),
            _ => json::string(body, value),
        }
    };
    let plain = |name: &str| {
        json::member(body, object, name)
            .is_none_or(|value| matches!(json::kind(body, value), Some(Kind::Null | Kind::String)))
    };
    // AWS writes it either way.
    let message = text("message").or_else(|| text("Message"));
    let reason = |detail: Span| {
        let reason = json::member(body, detail, "reason")?;
        json::string(body, reason)
    };
    let details = json::member(body, object, "details").unwrap_or_default();
    Reported {
        is_openai: message.is_some() && ["type", "param", "code"].into_iter().all(plain),
        is_bad_key: json::elements(body, details)
            .any(|detail| reason(detail).as_deref() == Some("API_KEY_INVALID")),
        retry_after_s: json::elements(body, details)
            .find_map(|detail| json::member(body, detail, "retryDelay"))
            .and_then(|delay| seconds(&json::string(body, delay)?)),
        message: message
            .map(|text| cut(&text).to_owned())
            .unwrap_or_default(),
        // Of an event that is the error itself, it says no more than that.
        kind: text("type")
            .filter(|kind| kind != "error")
            .map(|text| cut(&text).to_owned())
            .unwrap_or_default(),
        param: text("param").map(|text| cut(&text).to_owned()),
        code: text("code")
            .map(|text| cut(&text).to_owned())
            .unwrap_or_default(),
    }
}

/// `17.4s` as whole seconds, rounded up.
fn seconds(delay: &str) -> Option<u64> {
    let (whole, fraction) = delay
        .strip_suffix('s')?
        .split_once('.')
        .unwrap_or((delay.strip_suffix('s')?, ""));
    let more = fraction.bytes().any(|digit| digit != b'0');
    whole.parse::<u64>().ok()?.checked_add(u64::from(more))
}

impl Reported {
    /// An error of this wording and type.
    pub(super) fn new(message: &str, kind: &str) -> Reported {
        Reported {
            message: cut(message).to_owned(),
            kind: cut(kind).to_owned(),
            ..Reported::default()
        }
    }

    /// The status that the error would have had, for one that came with a `200`.
    fn status(&self) -> Option<u16> {
        if let Ok(status @ 400..=599) = self.code.parse::<u16>() {
            return Some(status);
        }
        for name in [self.code.as_str(), self.kind.as_str()] {
            let status = match name {
                "invalid_request_error"
                | "invalid_prompt"
                | "context_length_exceeded"
                | "content_filter" => 400,
                // Responses has a code for each way in which an image can be wrong.
                _ if name.contains("image") => 400,
                "authentication_error" | "invalid_api_key" => 401,
                "billing_error" => 402,
                "permission_error" => 403,
                "not_found_error" | "model_not_found" => 404,
                "conflict_error" => 409,
                "request_too_large" => 413,
                "rate_limit_error"
                | "rate_limit_exceeded"
                | "insufficient_quota"
                | "requests"
                | "tokens" => 429,
                "server_error" | "api_error" | "internal_error" => 500,
                // Bedrock's.
                "validationException" => 400,
                "modelStreamErrorException" => 424,
                "throttlingException" => 429,
                "internalServerException" => 500,
                "serviceUnavailableException" => 503,
                "timeout_error" | "modelTimeoutException" => 504,
                "overloaded_error" | "overloaded" | "slow_down" => 529,
                _ => continue,
            };
            return Some(status);
        }
        None
    }

    /// The error as a data object for a stream whose status has gone out.
    pub(super) fn event(&self, dialect: Dialect) -> Vec<u8> {
        reported_answer(dialect, self).body
    }

    fn answer(&self, dialect: Dialect, upstream: Option<u16>) -> ErrorAnswer {
        let upstream = if self.is_bad_key { Some(401) } else { upstream };
        let (status, kind, code) = client_view(upstream.unwrap_or_default());
        let own_words = speaks_openai(dialect) && kind != UPSTREAM;
        let kind = if own_words && !self.kind.is_empty() {
            self.kind.as_str()
        } else {
            kind
        };
        let code = if kind == UPSTREAM {
            code
        } else if self.says_too_long() {
            Some("context_length_exceeded")
        } else if own_words && !self.code.is_empty() && !self.has_azure_code() {
            Some(self.code.as_str())
        } else {
            code
        };
        let message = match upstream {
            _ if !self.message.is_empty() => Cow::Borrowed(self.message.as_str()),
            Some(status) => Cow::Owned(format!("The provider answered with HTTP status {status}")),
            None => Cow::Borrowed(Code::UpstreamError.row().message),
        };
        ErrorAnswer {
            status,
            body: error_body(&message, kind, self.param.as_deref(), code),
            retry_after_s: self.retry_after_s,
            is_final: self.kind == USED_UP || self.code == USED_UP,
        }
    }

    /// Others have no code for a prompt beyond the context, and agents branch on OpenAI's.
    fn says_too_long(&self) -> bool {
        let says = |words: &str| self.message.contains(words);
        // Anthropic, Bedrock, Gemini, Mistral.
        self.message.starts_with("prompt is too long")
            || says("Input is too long for requested model")
            || (says("input token count") && says("exceeds the maximum"))
            || (says("too large for model with") && says("maximum context length"))
    }

    /// Azure writes the status, or a name of its own, where OpenAI has its code.
    fn has_azure_code(&self) -> bool {
        self.code == "DeploymentNotFound" || self.code.parse::<u64>().is_ok()
    }
}

/// Whether a format's errors use OpenAI's types and codes.
fn speaks_openai(dialect: Dialect) -> bool {
    match dialect {
        Dialect::Openai | Dialect::Azure | Dialect::Ollama | Dialect::Perplexity => true,
        Dialect::Anthropic
        | Dialect::Bedrock
        | Dialect::Gemini
        | Dialect::Mistral
        | Dialect::Vertex => false,
    }
}

/// Status, type and code that a client sees for a provider's status; 0 for an unknown one.
fn client_view(upstream: u16) -> (u16, &'static str, Option<&'static str>) {
    match upstream {
        400 | 422 => (400, "invalid_request_error", None),
        401 | 403 => (502, UPSTREAM, Some("upstream_auth")),
        402 => (502, UPSTREAM, Some("upstream_billing")),
        404 => (404, "invalid_request_error", Some("model_not_found")),
        408 | 504 => (504, "timeout_error", Some("upstream_timeout")),
        413 => (413, "invalid_request_error", Some("request_too_large")),
        424 => (502, "server_error", Some("upstream_error")),
        429 => (429, "rate_limit_error", Some("rate_limit_exceeded")),
        405..=499 => (upstream, "invalid_request_error", None),
        500 => (500, "server_error", Some("upstream_error")),
        502 | 503 => (503, "server_error", Some("upstream_error")),
        529 => (503, "overloaded_error", Some("upstream_overloaded")),
        _ => (502, "server_error", Some("upstream_error")),
    }
}

/// What a body that is not JSON says: its title when it is HTML, else its beginning.
fn plain_text(body: &[u8]) -> String {
    let head = body.get(..ERROR_MESSAGE_BYTES_MAX).unwrap_or(body);
    let text = String::from_utf8_lossy(head);
    let text = text.trim();
    if !text.starts_with('<') {
        return cut(text).to_owned();
    }
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|start| {
        let start = start + "<title>".len();
        let end = start + lower.get(start..)?.find("</title>")?;
        text.get(start..end)
    });
    title.unwrap_or_default().trim().to_owned()
}

fn cut(text: &str) -> &str {
    let mut end = ERROR_MESSAGE_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}
