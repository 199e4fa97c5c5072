//! A complete answer.

use super::{finish_reason, reasoning_tokens, text, usage};
use crate::cache_key::sha256_hex;
use crate::dialect::completion::{self, Call, Choice};
use crate::dialect::{Answer, DecodeError, failure};
use crate::json::{self, Kind, Span, Writer};
use crate::wire::Dialect;

/// Characters of an id that is made up.
const ID_CHARS: usize = 24;

pub(in crate::dialect) fn decode_answer(
    model_asked: &str,
    created_s: u64,
    body: &[u8],
) -> Result<Answer, DecodeError> {
    let root = json::document(body).map_err(|_| DecodeError::Invalid)?;
    let Some(output) = json::member(body, root, "output") else {
        return match failure::reported(body, root) {
            Some(error) => Err(DecodeError::Reported(failure::reported_answer(
                Dialect::Bedrock,
                &error,
            ))),
            None => Err(DecodeError::Invalid),
        };
    };
    let message = json::member(body, output, "message").unwrap_or_default();
    let mut choice = Choice::default();
    let mut thinking = Vec::new();
    let list = json::member(body, message, "content").unwrap_or_default();
    for block in json::elements(body, list) {
        if let Some(said) = text(body, block, "text") {
            choice.content.get_or_insert_default().push_str(&said);
        } else if let Some(tool) = json::member(body, block, "toolUse") {
            choice.calls.push(call(body, tool));
        } else if let Some(reasoning) = json::member(body, block, "reasoningContent") {
            thinking_block(body, reasoning, &mut choice, &mut thinking);
        }
    }
    if !thinking.is_empty() {
        Writer::new(&mut choice.thinking_blocks).array(|out| out.raw(&thinking));
    }
    let reason = text(body, root, "stopReason").unwrap_or_default();
    choice.finish_reason = finish_reason(&reason, !choice.calls.is_empty());
    let usage = json::member(body, root, "usage")
        .and_then(|figures| usage(body, figures, reasoning_tokens(body, root)));
    let delivered = match usage {
        Some(_) => String::new(),
        None => choice.delivered(),
    };
    // The format has no id.
    let hash = sha256_hex(body);
    let id = format!("chatcmpl-{}", hash.get(..ID_CHARS).unwrap_or(&hash));
    Ok(Answer {
        body: completion::write(&id, created_s, model_asked, &[choice], usage.as_ref()),
        usage,
        text: delivered,
        bare_root: None,
    })
}

fn call(body: &[u8], tool: Span) -> Call {
    let own = |name| text(body, tool, name).unwrap_or_default().into_owned();
    let mut arguments = Vec::new();
    match json::member(body, tool, "input") {
        Some(input) if json::kind(body, input) == Some(Kind::Object) => {
            json::compact_into(body, input, &mut arguments);
        }
        _ => arguments.extend_from_slice(b"{}"),
    }
    Call {
        id: own("toolUseId"),
        name: own("name"),
        arguments: String::from_utf8(arguments).unwrap_or_default(),
        thought_signature: None,
    }
}

/// Thinking in the form that clients bring back: Anthropic's, whose models are the ones to sign it.
fn thinking_block(body: &[u8], reasoning: Span, choice: &mut Choice, blocks: &mut Vec<u8>) {
    let mut out = Writer::new(blocks);
    if let Some(data) = text(body, reasoning, "redactedContent") {
        out.object(|out| {
            out.key("type").string("redacted_thinking");
            out.key("data").string(&data);
        });
        return;
    }
    let inner = json::member(body, reasoning, "reasoningText").unwrap_or_default();
    let thought = text(body, inner, "text").unwrap_or_default();
    choice.reasoning.push_str(&thought);
    if let Some(signature) = text(body, inner, "signature") {
        out.object(|out| {
            out.key("type").string("thinking");
            out.key("thinking").string(&thought);
            out.key("signature").string(&signature);
        });
    }
}
