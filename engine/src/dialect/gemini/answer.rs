//! A complete answer.

use super::{Part, finish_reason, is_blocked, logprobs, parts, text, usage};
use crate::dialect::completion::{self, Call, Choice};
use crate::dialect::{Answer, DecodeError, failure};
use crate::json::{self, Kind, Span};
use crate::wire::Dialect;

pub(in crate::dialect) fn decode_answer(
    dialect: Dialect,
    model_asked: &str,
    created_s: u64,
    body: &[u8],
) -> Result<Answer, DecodeError> {
    let root = json::document(body).map_err(|_| DecodeError::Invalid)?;
    if json::kind(body, root) != Some(Kind::Object) || json::member(body, root, "error").is_some() {
        return match failure::reported(body, root) {
            Some(error) => Err(DecodeError::Reported(failure::reported_answer(
                dialect, &error,
            ))),
            None => Err(DecodeError::Invalid),
        };
    }
    let candidates = json::member(body, root, "candidates");
    let usage = usage(body, root);
    let blocked = is_blocked(body, root);
    if candidates.is_none() && usage.is_none() && !blocked {
        return Err(DecodeError::Invalid);
    }
    let id = text(body, root, "responseId").filter(|id| !id.is_empty());
    let id = id.map_or_else(|| format!("gen-{created_s}"), |id| id.into_owned());
    let list = json::elements(body, candidates.unwrap_or_default());
    let mut choices: Vec<Choice> = list
        .enumerate()
        .map(|(position, candidate)| choice(body, candidate, position, &id))
        .collect();
    if choices.is_empty() {
        // The prompt was blocked, or nothing came of it.
        choices.push(Choice {
            finish_reason: if blocked { "content_filter" } else { "stop" },
            ..Choice::default()
        });
    }
    let model = text(body, root, "modelVersion").filter(|model| !model.is_empty());
    let model = model.as_deref().unwrap_or(model_asked);
    let delivered = match usage {
        Some(_) => String::new(),
        None => choices.iter().map(Choice::delivered).collect(),
    };
    Ok(Answer {
        body: completion::write(
            &format!("chatcmpl-{id}"),
            created_s,
            model,
            &choices,
            usage.as_ref(),
        ),
        usage,
        text: delivered,
        bare_root: None,
    })
}

fn choice(body: &[u8], candidate: Span, position: usize, id: &str) -> Choice {
    let index = json::member(body, candidate, "index");
    let index = index.and_then(|index| json::number_u64(body, index));
    let mut choice = Choice {
        index: index.unwrap_or(position as u64),
        logprobs: logprobs(body, candidate),
        ..Choice::default()
    };
    for part in parts(body, candidate) {
        match part {
            Part::Text(text) => choice.content.get_or_insert_default().push_str(&text),
            Part::Thought(text) => choice.reasoning.push_str(&text),
            Part::Call {
                id: own,
                name,
                arguments,
                signature,
            } => {
                let number = choice.calls.len();
                choice.calls.push(Call {
                    id: own.map_or_else(|| call_id(id, choice.index, number), |own| own.into()),
                    name: name.into_owned(),
                    arguments,
                    thought_signature: signature,
                });
            }
        }
    }
    let reason = text(body, candidate, "finishReason").unwrap_or_default();
    choice.finish_reason = finish_reason(&reason, !choice.calls.is_empty());
    choice
}

/// An id for a call without one: no two calls of a conversation share it.
pub(super) fn call_id(answer: &str, choice: u64, number: usize) -> String {
    format!("call_{answer}_{choice}_{number}")
}
