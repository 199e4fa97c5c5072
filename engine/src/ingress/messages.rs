//! Anthropic's Messages, as its clients speak them.
//!
//! Claude Code and Anthropic's SDKs get what they know from any provider. What only Claude can give
//! (tools that Anthropic runs) is refused by name rather than left out: a client whose search tool
//! had quietly gone would pass on what the model made up.

mod answer;
mod arguments;
mod blocks;
mod failure;
mod foreign;
mod models;
mod place;
mod queue;
mod request;
mod results;
mod schema;
mod stream;
#[cfg(test)]
mod tests;
mod tools;
mod turns;

use std::borrow::Cow;

pub(super) use answer::answer;
pub(super) use failure::error;
pub(crate) use foreign::leave_out_foreign;
pub use models::{model, models};
pub use request::count_to_chat;
pub(super) use request::to_chat;
pub(super) use stream::Stream;
pub(crate) use stream::stop;

use crate::json::{self, Kind, Span, Writer};
use crate::usage::Usage;

/// What [`super::Translated::echo`] says when the client asked to see the model think.
const THINKS: &[u8] = b"thinking";

/// Member of a call that Google's signature comes in and has to come back in. Anthropic's packages
/// keep members that they do not know; a client that loses it gets an answer all the same.
const EXTRA: &str = "extra_content";

fn text<'a>(body: &'a [u8], object: Span, name: &str) -> Option<Cow<'a, str>> {
    json::string(body, json::member(body, object, name)?)
}

/// A member that says something.
fn some(body: &[u8], object: Span, name: &str) -> Option<Span> {
    json::member(body, object, name).filter(|value| json::kind(body, *value) != Some(Kind::Null))
}

/// Why a message ended, from OpenAI's reason. Some servers say `stop` although calls were made, and
/// some say what nobody knows.
fn stop_reason(finish_reason: &str, has_calls: bool, refused: bool) -> &'static str {
    match finish_reason {
        "length" => "max_tokens",
        "content_filter" => "refusal",
        _ if refused => "refusal",
        _ if has_calls => "tool_use",
        _ => "end_turn",
    }
}

/// `usage`. Anthropic's input leaves out what the cache has part in; OpenAI's does not.
fn write_usage(usage: &Usage, out: &mut Writer<'_>) {
    let cached = usage.cached_input.saturating_add(usage.cache_write);
    out.object(|out| {
        out.key("input_tokens")
            .number(usage.input.saturating_sub(cached));
        out.key("cache_creation_input_tokens")
            .number(usage.cache_write);
        out.key("cache_read_input_tokens")
            .number(usage.cached_input);
        out.key("output_tokens").number(usage.output);
        if usage.reasoning > 0 {
            out.key("output_tokens_details")
                .object(|out| out.key("thinking_tokens").number(usage.reasoning));
        }
    });
}

/// Anthropic takes ids of calls in `[a-zA-Z0-9_-]` only, and may get the conversation next: other
/// ids go out spelled, as [`crate::dialect`] spells them for it, and come back as they were.
const SPELLED: &str = "hex-";

fn client_id(id: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if id.bytes().all(plain) && !id.starts_with(SPELLED) {
        return Cow::Borrowed(id);
    }
    let mut spelled = String::from(SPELLED);
    for byte in id.bytes() {
        spelled.push_str(&format!("{byte:02x}"));
    }
    Cow::Owned(spelled)
}

/// The id that [`client_id`] spelled; any other as it is.
fn provider_id(id: Cow<'_, str>) -> Cow<'_, str> {
    let Some(digits) = id.strip_prefix(SPELLED) else {
        return id;
    };
    let pairs = digits.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let unspelled = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    match unspelled {
        Some(unspelled) if client_id(&unspelled) == id => Cow::Owned(unspelled),
        _ => id,
    }
}
