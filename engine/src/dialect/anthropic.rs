//! Anthropic's Messages API, version 2023-06-01: the last one that still takes every parameter
//! that OpenAI's clients send.

mod answer;
mod content;
pub(super) mod gate;
mod request;
pub(super) mod schema;
mod stream;
mod tools;
mod turns;

pub(super) use answer::decode_answer;
pub(super) use request::encode;
pub(super) use stream::Stream;

use crate::json::{self, Span};
use crate::usage::Usage;

const PATH: &str = "/v1/messages";
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// OpenAI's reason for an end, from Anthropic's. A reason nobody knows is an ordinary end.
fn finish_reason(stop_reason: &str, has_calls: bool) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" | "pause_turn" => "length",
        "refusal" => "content_filter",
        "tool_use" => "tool_calls",
        "end_turn" | "stop_sequence" => "stop",
        _ if has_calls => "tool_calls",
        _ => "stop",
    }
}

/// Figures of one `usage` object. Those of a stream come in two: the later one wins where it says
/// something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figures {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
}

impl Figures {
    fn read(body: &[u8], usage: Span) -> Figures {
        let count = |object: Span, name: &str| {
            json::member(body, object, name).and_then(|value| json::number_u64(body, value))
        };
        Figures {
            input: count(usage, "input_tokens"),
            cache_read: count(usage, "cache_read_input_tokens"),
            cache_write: count(usage, "cache_creation_input_tokens"),
            output: count(usage, "output_tokens"),
            thinking: json::member(body, usage, "output_tokens_details")
                .and_then(|details| count(details, "thinking_tokens")),
        }
    }

    fn updated(self, later: Figures) -> Figures {
        Figures {
            input: later.input.or(self.input),
            cache_read: later.cache_read.or(self.cache_read),
            cache_write: later.cache_write.or(self.cache_write),
            output: later.output.or(self.output),
            thinking: later.thinking.or(self.thinking),
        }
    }

    /// Anthropic's `input_tokens` leaves out what the cache has part in; OpenAI's does not.
    fn usage(self) -> Option<Usage> {
        let output = self.output?;
        let cached_input = self.cache_read.unwrap_or_default();
        let cache_write = self.cache_write.unwrap_or_default();
        Some(Usage {
            input: self
                .input
                .unwrap_or_default()
                .saturating_add(cached_input)
                .saturating_add(cache_write),
            cached_input,
            cache_write,
            output,
            reasoning: self.thinking.unwrap_or_default(),
        })
    }
}
