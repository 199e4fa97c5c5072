//! A complete answer.

use super::{FAILED, Said, arguments, copy_others, finish_reason, some, text};
use crate::dialect::{Answer, DecodeError, failure, openai};
use crate::json::{self, Kind, Span, Writer};
use crate::reply::Code;
use crate::usage::Usage;
use crate::wire::Dialect;

pub(in crate::dialect) fn decode_answer(
    dialect: Dialect,
    model_asked: &str,
    created_s: u64,
    body: &[u8],
) -> Result<Answer, DecodeError> {
    let root = json::document(body).map_err(|_| DecodeError::Invalid)?;
    let reported = |error| DecodeError::Reported(failure::reported_answer(dialect, &error));
    if let Some(error) = json::member(body, root, "error")
        && let Some(error) = failure::from_error(body, error)
    {
        return Err(reported(error));
    }
    let choices = json::member(body, root, "choices").ok_or(DecodeError::Invalid)?;
    if json::kind(body, choices) != Some(Kind::Array) {
        return Err(DecodeError::Invalid);
    }
    let failed = |choice| text(body, choice, "finish_reason").as_deref() == Some(FAILED);
    if json::elements(body, choices).any(failed) {
        return Err(DecodeError::Reported(failure::ErrorAnswer::of_code(
            Code::UpstreamError,
        )));
    }
    let usage =
        some(body, root, "usage").and_then(|value| Some((value, openai::usage(body, value)?)));
    let id = text(body, root, "id").filter(|id| !id.is_empty());
    let id = id.map_or_else(|| format!("chatcmpl-{created_s}"), |id| id.into_owned());
    let mut out = Vec::with_capacity(body.len());
    Writer::new(&mut out).object(|out| {
        out.key("id").string(&id);
        out.key("object").string("chat.completion");
        let created = json::member(body, root, "created");
        let created = created.and_then(|value| json::number_u64(body, value));
        out.key("created").number(created.unwrap_or(created_s));
        let model = text(body, root, "model").filter(|model| !model.is_empty());
        out.key("model")
            .string(model.as_deref().unwrap_or(model_asked));
        out.key("choices").array(|out| {
            for (position, choice) in json::elements(body, choices).enumerate() {
                out.object(|out| write_choice(body, choice, position, &id, out));
            }
        });
        if let Some((value, usage)) = &usage {
            write_usage(body, *value, usage, out.key("usage"));
        }
        let known = [
            "id", "object", "created", "model", "choices", "usage", "error",
        ];
        copy_others(body, root, &known, out);
    });
    let usage = usage.map(|(_, usage)| usage);
    let mut delivered = String::new();
    if usage.is_none() {
        openai::chunk::look(&out, &mut delivered);
    }
    Ok(Answer {
        body: out,
        usage,
        text: delivered,
        bare_root: None,
    })
}

fn write_choice(body: &[u8], choice: Span, position: usize, id: &str, out: &mut Writer<'_>) {
    let index = json::member(body, choice, "index").and_then(|it| json::number_u64(body, it));
    out.key("index").number(index.unwrap_or(position as u64));
    let message = json::member(body, choice, "message").unwrap_or_default();
    let calls: Vec<Span> = json::elements(
        body,
        json::member(body, message, "tool_calls").unwrap_or_default(),
    )
    .collect();
    out.key("message").object(|out| {
        let said = Said::read(body, message);
        out.key("role").string("assistant");
        match &said.content {
            Some(content) => out.key("content").string(content),
            None => out.key("content").null(),
        }
        match text(body, message, "refusal") {
            Some(refusal) => out.key("refusal").string(&refusal),
            None => out.key("refusal").null(),
        }
        said.write_reasoning(out);
        if !calls.is_empty() {
            out.key("tool_calls").array(|out| {
                for (number, call) in calls.iter().enumerate() {
                    write_call(body, *call, &format!("call_{id}_{position}_{number}"), out);
                }
            });
        }
        let known = [
            "role",
            "content",
            "refusal",
            "reasoning_content",
            "reasoning",
            "tool_calls",
        ];
        copy_others(body, message, &known, out);
    });
    match some(body, choice, "logprobs") {
        Some(logprobs) => out.key("logprobs").copy(body, logprobs),
        None => out.key("logprobs").null(),
    }
    let reason = text(body, choice, "finish_reason").unwrap_or_default();
    let ended = finish_reason(&reason, !calls.is_empty());
    let ordinary = if calls.is_empty() {
        "stop"
    } else {
        "tool_calls"
    };
    out.key("finish_reason").string(ended.unwrap_or(ordinary));
    // Perplexity puts an empty delta beside the message.
    let known = ["index", "message", "delta", "logprobs", "finish_reason"];
    copy_others(body, choice, &known, out);
}

fn write_call(body: &[u8], call: Span, id_made_up: &str, out: &mut Writer<'_>) {
    if json::member(body, call, "custom").is_some() {
        return out.copy(body, call);
    }
    let function = json::member(body, call, "function").unwrap_or_default();
    out.object(|out| {
        let id = text(body, call, "id").filter(|id| !id.is_empty());
        out.key("id").string(id.as_deref().unwrap_or(id_made_up));
        out.key("type").string("function");
        out.key("function").object(|out| {
            let name = text(body, function, "name").unwrap_or_default();
            out.key("name").string(&name);
            let arguments = arguments(body, function);
            out.key("arguments")
                .string(arguments.as_deref().unwrap_or("{}"));
        });
        copy_others(body, call, &["id", "type", "function", "index"], out);
    });
}

/// OpenAI's figures first, then whatever else the provider counts.
fn write_usage(body: &[u8], value: Span, usage: &Usage, out: &mut Writer<'_>) {
    let mut ours = Vec::new();
    openai::write_usage(usage, &mut Writer::new(&mut ours));
    let Some(open) = ours.strip_suffix(b"}") else {
        return;
    };
    let mut others = Vec::new();
    let known = [
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
        "reasoning_tokens",
    ];
    Writer::new(&mut others).object(|out| copy_others(body, value, &known, out));
    match others.get(1..) {
        Some(rest) if rest.len() > 1 => out.raw(&[open, b",", rest].concat()),
        _ => out.raw(&ours),
    }
}
