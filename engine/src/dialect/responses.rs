//! OpenAI's Responses as providers speak them: answers and streams that reach the client as they
//! came, and are read only for what they cost and how they end.

use std::borrow::Cow;

use super::begin::{failed, refuse};
use super::failure::{Reported, from_error, from_message, reported, reported_answer};
use super::{Answer, DecodeError, FirstEvent};
use crate::json::{self, Span, Writer};
use crate::limits::EVENT_BYTES_MAX;
use crate::reply::Code;
use crate::sse::{Event, Splitter};
use crate::usage::Usage;
use crate::wire::Dialect;

mod meter;
mod shortener;
#[cfg(test)]
mod tests;

pub use meter::Meter;

/// Reads a complete answer with status `200`; its body stays as it is.
///
/// A response that failed is an error, whatever its status: another target can take over.
///
/// # Errors
/// The body is no response, or an error in disguise.
pub fn decode_answer(body: Vec<u8>) -> Result<Answer, DecodeError> {
    let root = json::document(&body).map_err(|_| DecodeError::Invalid)?;
    if let Some(error) = reported(&body, root) {
        let answer = reported_answer(Dialect::Openai, &error);
        return Err(DecodeError::Reported(answer));
    }
    if text(&body, root, "object").as_deref() != Some("response") {
        return Err(DecodeError::Invalid);
    }
    let usage = json::member(&body, root, "usage").and_then(|value| usage(&body, value));
    let mut text = String::new();
    if usage.is_none() {
        delivered(&body, root, &mut text);
    }
    Ok(Answer {
        body,
        usage,
        text,
        bare_root: None,
    })
}

/// Judges a stream by all its bytes so far; `end` says that no more will come.
///
/// A response that was created, queued or begun promises nothing: what comes next decides.
pub fn first_event(stream_so_far: &[u8], end: bool) -> FirstEvent {
    let opening = stream_so_far.trim_ascii_start();
    let is_long = stream_so_far.len() > EVENT_BYTES_MAX;
    if opening.starts_with(b"{") {
        return match json::document(opening) {
            Ok(root) => told(opening, root).unwrap_or_else(|| refuse(Code::UpstreamInvalidAnswer)),
            Err(_) if end || is_long => refuse(Code::UpstreamInvalidAnswer),
            Err(_) => FirstEvent::NeedMore,
        };
    }
    let mut verdict = FirstEvent::NeedMore;
    let mut judge = |event: Event<'_>| {
        if verdict == FirstEvent::NeedMore && !event.data.is_empty() {
            verdict = judged(event.data.trim_ascii());
        }
    };
    let mut splitter = Splitter::default();
    let split = splitter.push(stream_so_far, &mut judge);
    if end {
        splitter.finish(&mut judge);
    }
    match verdict {
        // The request is repeated in each of the first events, and may be long.
        FirstEvent::NeedMore if is_long && opening.starts_with(b"event: response.") => {
            FirstEvent::Good
        }
        FirstEvent::NeedMore if is_long || split.is_err() => refuse(Code::UpstreamInvalidAnswer),
        FirstEvent::NeedMore if end => refuse(Code::UpstreamStreamInterrupted),
        verdict => verdict,
    }
}

fn judged(data: &[u8]) -> FirstEvent {
    if data == b"[DONE]" {
        return FirstEvent::NeedMore;
    }
    let Ok(root) = json::document(data) else {
        return refuse(Code::UpstreamInvalidAnswer);
    };
    match text(data, root, "type") {
        None => told(data, root).unwrap_or_else(|| refuse(Code::UpstreamInvalidAnswer)),
        Some(kind) => match Stage::of(kind.as_bytes()) {
            Stage::Begun => FirstEvent::NeedMore,
            Stage::Going | Stage::Finished => FirstEvent::Good,
            Stage::Failed => failed(reported_answer(Dialect::Openai, &failure(data, root))),
        },
    }
}

/// The error that a document tells of.
fn told(data: &[u8], root: Span) -> Option<FirstEvent> {
    let error = reported(data, root)?;
    Some(failed(reported_answer(Dialect::Openai, &error)))
}

/// What an event says of the stream as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing has been said yet.
    Begun,
    Going,
    Finished,
    Failed,
}

impl Stage {
    fn of(kind: &[u8]) -> Stage {
        match kind {
            b"response.created" | b"response.queued" | b"response.in_progress" => Stage::Begun,
            b"response.completed" | b"response.incomplete" => Stage::Finished,
            b"response.failed" | b"error" => Stage::Failed,
            _ => Stage::Going,
        }
    }
}

/// The error of an event that ends a stream: inside its response, as a member, or the event itself.
fn failure(data: &[u8], root: Span) -> Reported {
    let response = json::member(data, root, "response").unwrap_or_default();
    [root, response]
        .into_iter()
        .filter_map(|object| json::member(data, object, "error"))
        .find_map(|error| from_error(data, error))
        .or_else(|| from_message(data, root))
        .unwrap_or_default()
}

fn text<'a>(body: &'a [u8], object: Span, name: &str) -> Option<Cow<'a, str>> {
    json::string(body, json::member(body, object, name)?)
}

/// Reads a `usage` object; `None` for anything that counts nothing.
fn usage(body: &[u8], value: Span) -> Option<Usage> {
    let count = |object: Span, name: &str| {
        json::member(body, object, name).and_then(|count| json::number_u64(body, count))
    };
    let detail = |group: &str, name: &str| {
        let group = json::member(body, value, group)?;
        count(group, name)
    };
    let (input, output) = (count(value, "input_tokens"), count(value, "output_tokens"));
    if input.is_none() && output.is_none() {
        return None;
    }
    Some(Usage {
        input: input.unwrap_or_default(),
        cached_input: detail("input_tokens_details", "cached_tokens").unwrap_or_default(),
        cache_write: detail("input_tokens_details", "cache_write_tokens").unwrap_or_default(),
        output: output.unwrap_or_default(),
        reasoning: detail("output_tokens_details", "reasoning_tokens").unwrap_or_default(),
    })
}

/// Appends what was delivered in a response.
fn delivered(body: &[u8], response: Span, out: &mut String) {
    let list = |object: Span, name: &str| {
        let list = json::member(body, object, name).unwrap_or_default();
        json::elements(body, list)
    };
    let mut add = |object: Span, names: &[&str]| {
        for name in names {
            out.push_str(&text(body, object, name).unwrap_or_default());
        }
    };
    for item in list(response, "output") {
        add(item, &["name", "arguments", "input", "code"]);
        for part in list(item, "summary").chain(list(item, "content")) {
            add(part, &["text", "refusal"]);
        }
    }
}

/// Appends the event that ends a stream before its provider does. `head` has members of the response as
/// they came.
fn write_incomplete(
    sequence: u64,
    head: &[(&'static str, Vec<u8>)],
    reason: &str,
    usage: &Usage,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"event: response.incomplete\ndata: ");
    Writer::new(out).object(|out| {
        out.key("type").string("response.incomplete");
        out.key("sequence_number").number(sequence);
        out.key("response").object(|out| {
            out.key("object").string("response");
            for (name, value) in head {
                out.key(name).raw(value);
            }
            out.key("status").string("incomplete");
            out.key("incomplete_details")
                .object(|out| out.key("reason").string(reason));
            out.key("error").null();
            out.key("output").array(|_| {});
            out.key("usage").object(|out| {
                out.key("input_tokens").number(usage.input);
                out.key("input_tokens_details")
                    .object(|out| out.key("cached_tokens").number(0));
                out.key("output_tokens").number(usage.output);
                out.key("output_tokens_details")
                    .object(|out| out.key("reasoning_tokens").number(0));
                out.key("total_tokens").number(usage.total());
            });
        });
    });
    out.extend_from_slice(b"\n\n");
}

/// Appends the event that ends a failed stream. Official clients raise at a member `error`; the
/// schema has its parts at the top.
pub(crate) fn write_error_event(
    sequence: u64,
    (message, kind, code): (&str, &str, &str),
    out: &mut Vec<u8>,
) {
    let parts = |out: &mut Writer<'_>| {
        out.key("code").string(code);
        out.key("message").string(message);
        out.key("param").null();
    };
    out.extend_from_slice(b"event: error\ndata: ");
    Writer::new(out).object(|out| {
        out.key("type").string("error");
        out.key("sequence_number").number(sequence);
        parts(out);
        out.key("error").object(|out| {
            out.key("type").string(kind);
            parts(out);
        });
    });
    out.extend_from_slice(b"\n\n");
}
