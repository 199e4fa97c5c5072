//! AWS Bedrock's Converse and ConverseStream.

use std::borrow::Cow;

use crate::json::{self, Span};
use crate::usage::Usage;

mod answer;
mod request;
mod stream;
mod turns;

pub(super) use answer::decode_answer;
pub(super) use request::encode;
pub(super) use stream::{Stream, first_message};

fn text<'a>(body: &'a [u8], object: Span, name: &str) -> Option<Cow<'a, str>> {
    json::string(body, json::member(body, object, name)?)
}

fn count(body: &[u8], object: Span, name: &str) -> Option<u64> {
    json::member(body, object, name).and_then(|value| json::number_u64(body, value))
}

/// OpenAI's reason for an end, from Converse's. A reason nobody knows is an ordinary end.
fn finish_reason(reason: &str, has_calls: bool) -> &'static str {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "guardrail_intervened" | "content_filtered" => "content_filter",
        "tool_use" => "tool_calls",
        "end_turn" | "stop_sequence" => "stop",
        _ if has_calls => "tool_calls",
        _ => "stop",
    }
}

/// Reads `usage`: its input leaves out what the cache has part in, OpenAI's does not.
fn usage(body: &[u8], figures: Span, reasoning: u64) -> Option<Usage> {
    let output = count(body, figures, "outputTokens")?;
    let cached_input = count(body, figures, "cacheReadInputTokens").unwrap_or_default();
    let cache_write = count(body, figures, "cacheWriteInputTokens").unwrap_or_default();
    let input = count(body, figures, "inputTokens").unwrap_or_default();
    Some(Usage {
        input: input
            .saturating_add(cached_input)
            .saturating_add(cache_write),
        cached_input,
        cache_write,
        output,
        reasoning,
    })
}

/// Tokens of thinking, which Claude's own answer tells and Converse passes on when asked.
fn reasoning_tokens(body: &[u8], holder: Span) -> u64 {
    let fields = json::member(body, holder, "additionalModelResponseFields").unwrap_or_default();
    let fields = json::member(body, fields, "usage").unwrap_or(fields);
    json::member(body, fields, "output_tokens_details")
        .and_then(|details| count(body, details, "thinking_tokens"))
        .unwrap_or_default()
}
