//! Errors in Anthropic's shape.

use super::text;
use crate::json::{self, Span, Writer};

/// Claude Code makes room in its conversation on a message that begins so, and on nothing else.
const TOO_LONG: &str = "prompt is too long";

/// Writes OpenAI's error body as Anthropic's.
pub(in crate::ingress) fn error(status: u16, openai: &[u8], exchange: &str) -> Vec<u8> {
    let root = json::document(openai).unwrap_or_default();
    let error = json::member(openai, root, "error").unwrap_or_default();
    let mut out = Vec::with_capacity(openai.len().saturating_add(96));
    write(
        kind_of_status(status),
        openai,
        error,
        exchange,
        &mut Writer::new(&mut out),
    );
    out
}

/// An error in mid-stream, which has no status: its type and code say what it is.
pub(super) fn write_event(openai: &[u8], root: Span, exchange: &str, out: &mut Writer<'_>) {
    let error = json::member(openai, root, "error").unwrap_or_default();
    let words = ["code", "type"].map(|name| text(openai, error, name));
    let kind = words.iter().flatten().find_map(|word| kind_of_word(word));
    write(kind.unwrap_or("api_error"), openai, error, exchange, out);
}

fn write(kind: &str, openai: &[u8], error: Span, exchange: &str, out: &mut Writer<'_>) {
    let code = text(openai, error, "code").filter(|code| !code.is_empty());
    out.object(|out| {
        out.key("type").string("error");
        out.key("error").object(|out| {
            out.key("type").string(kind);
            out.key("message").string(&message(openai, error));
            if let Some(code) = &code {
                out.key("details")
                    .object(|out| out.key("error_code").string(code));
            }
        });
        out.key("request_id").string(exchange);
    });
}

/// The provider's own words. A member at fault goes before them, as Anthropic writes it
/// (`messages.0.content.1: ...`), when it is the client's: a place in brackets is one of the
/// request as it was translated, which the client has not seen.
fn message(openai: &[u8], error: Span) -> String {
    let said = text(openai, error, "message").filter(|said| !said.trim().is_empty());
    let said = said.map_or_else(|| "the request failed".to_owned(), |said| said.into_owned());
    if text(openai, error, "code").as_deref() == Some("context_length_exceeded") {
        let begins = said.get(..TOO_LONG.len());
        return match begins.is_some_and(|begin| begin.eq_ignore_ascii_case(TOO_LONG)) {
            true => format!(
                "{TOO_LONG}{}",
                said.get(TOO_LONG.len()..).unwrap_or_default()
            ),
            false => format!("{TOO_LONG}: {said}"),
        };
    }
    match text(openai, error, "param") {
        Some(param) if !param.is_empty() && !param.contains('[') && !said.contains(&*param) => {
            format!("{param}: {said}")
        }
        _ => said,
    }
}

fn kind_of_status(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

fn kind_of_word(word: &str) -> Option<&'static str> {
    Some(match word {
        "authentication_error" | "invalid_api_key" => "authentication_error",
        "billing_error" => "billing_error",
        "permission_error" => "permission_error",
        "not_found_error" | "model_not_found" => "not_found_error",
        "insufficient_quota"
        | "rate_limit_error"
        | "rate_limit_exceeded"
        | "requests"
        | "tokens" => "rate_limit_error",
        "overloaded_error" | "upstream_unavailable" => "overloaded_error",
        "timeout_error" | "upstream_timeout" => "timeout_error",
        "context_length_exceeded" | "invalid_request_error" => "invalid_request_error",
        _ => return None,
    })
}
