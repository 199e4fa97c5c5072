//! The first event of a stream decides whether the attempt has failed: until then another target
//! can still take over without the client noticing.

use std::borrow::Cow;

use super::bedrock;
use super::failure::{ErrorAnswer, from_error, from_message, reported, reported_answer};
use crate::json::{self, Span};
use crate::limits::EVENT_BYTES_MAX;
use crate::reply::Code;
use crate::sse::{Event, Splitter};
use crate::wire::Dialect;

/// What the beginning of a `200` stream tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstEvent {
    /// Nothing yet.
    NeedMore,
    /// The answer has begun.
    Good,
    /// The attempt failed; what to answer if no other target takes over.
    Failed {
        /// HTTP status for the client.
        status: u16,
        /// OpenAI's error body.
        body: Vec<u8>,
    },
}

/// Judges a stream by all its bytes so far; `end` says that no more will come.
///
/// OpenAI's streams are judged by the first event with data. Anthropic's begin with events that
/// promise nothing (`message_start`, `ping`, an empty block): they are judged by the first one that
/// carries content, or by the end of the message. Comments tell nothing.
pub fn first_event(dialect: Dialect, stream_so_far: &[u8], end: bool) -> FirstEvent {
    if dialect == Dialect::Bedrock {
        return bedrock::first_message(stream_so_far, end);
    }
    let opening = stream_so_far.trim_ascii_start();
    if opening.starts_with(b"{") || opening.starts_with(b"[{") {
        return bare_document(dialect, opening, end);
    }
    let mut verdict = FirstEvent::NeedMore;
    let mut judge = |event: Event<'_>| {
        if verdict == FirstEvent::NeedMore && !event.data.is_empty() {
            verdict = match dialect {
                Dialect::Anthropic => anthropic(&event),
                _ => openai(dialect, &event),
            };
        }
    };
    let mut splitter = Splitter::default();
    let split = splitter.push(stream_so_far, &mut judge);
    if end {
        splitter.finish(&mut judge);
    }
    let too_long = split.is_err() || stream_so_far.len() > EVENT_BYTES_MAX;
    match verdict {
        FirstEvent::NeedMore if too_long => refuse(Code::UpstreamInvalidAnswer),
        FirstEvent::NeedMore if end => refuse(Code::UpstreamStreamInterrupted),
        verdict => verdict,
    }
}

fn openai(dialect: Dialect, event: &Event<'_>) -> FirstEvent {
    let data = event.data.trim_ascii();
    if data == b"[DONE]" {
        return FirstEvent::Good;
    }
    let Ok(root) = json::document(data) else {
        return refuse(Code::UpstreamInvalidAnswer);
    };
    let error = match json::member(data, root, "error") {
        Some(error) => from_error(data, error),
        None if event.name == Some(b"error") => from_message(data, root),
        None => None,
    };
    error.map_or(FirstEvent::Good, |error| {
        failed(reported_answer(dialect, &error))
    })
}

fn anthropic(event: &Event<'_>) -> FirstEvent {
    let data = event.data.trim_ascii();
    let Ok(root) = json::document(data) else {
        return refuse(Code::UpstreamInvalidAnswer);
    };
    let text = |object: Span, name: &str| {
        let value = json::member(data, object, name)?;
        json::string(data, value)
    };
    let kind = text(root, "type").unwrap_or(Cow::Borrowed(""));
    match &*kind {
        "content_block_delta" | "message_delta" | "message_stop" => FirstEvent::Good,
        "content_block_start" => {
            let block = json::member(data, root, "content_block").unwrap_or_default();
            match text(block, "type").as_deref() {
                Some("text" | "thinking") => FirstEvent::NeedMore,
                _ => FirstEvent::Good,
            }
        }
        "error" => {
            let error = reported(data, root).unwrap_or_default();
            failed(reported_answer(Dialect::Anthropic, &error))
        }
        _ => FirstEvent::NeedMore,
    }
}

/// A JSON document where a stream was promised: an error, or nothing that can be streamed.
fn bare_document(dialect: Dialect, document: &[u8], end: bool) -> FirstEvent {
    match json::document(document) {
        Ok(root) => match reported(document, root) {
            Some(error) => failed(reported_answer(dialect, &error)),
            None => refuse(Code::UpstreamInvalidAnswer),
        },
        Err(_) if end || document.len() > EVENT_BYTES_MAX => refuse(Code::UpstreamInvalidAnswer),
        Err(_) => FirstEvent::NeedMore,
    }
}

pub(super) fn refuse(code: Code) -> FirstEvent {
    failed(ErrorAnswer::of_code(code))
}

pub(super) fn failed(answer: ErrorAnswer) -> FirstEvent {
    FirstEvent::Failed {
        status: answer.status,
        body: answer.body,
    }
}
