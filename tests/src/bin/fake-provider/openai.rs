//! OpenAI Chat Completions.

use e2e::behaviour::{Behaviour, Tokens};
use serde_json::{Map, Value, json};

use crate::chat::{Answer, Question, TOOL_ARGUMENTS, content_text};

const CREATED: u64 = 1_763_700_000;

/// Reads a request; the error is what the real API complains about.
pub(crate) fn question(body: &Value) -> Result<Question, String> {
    let model = body["model"]
        .as_str()
        .ok_or("you must provide a model parameter")?;
    let messages = body["messages"]
        .as_array()
        .ok_or("Missing required parameter: 'messages'.")?;
    let stream = body["stream"].as_bool().unwrap_or(false);
    if !stream
        && body
            .get("stream_options")
            .is_some_and(|options| !options.is_null())
    {
        return Err("stream_options is only allowed when stream is enabled".to_owned());
    }
    if body["tools"].as_array().is_some_and(Vec::is_empty) {
        return Err("[] is too short - 'tools'".to_owned());
    }
    let last = messages.last().cloned().unwrap_or_default();
    let waits_for_tool = last["role"] == "user" && body["tool_choice"] != "none";
    Ok(Question {
        model: model.to_owned(),
        stream,
        include_usage: body["stream_options"]["include_usage"]
            .as_bool()
            .unwrap_or(false),
        output_cap: body["max_completion_tokens"]
            .as_u64()
            .or(body["max_tokens"].as_u64()),
        choices: body["n"].as_u64().unwrap_or(1),
        last_text: content_text(&last["content"]),
        text_bytes: messages
            .iter()
            .map(|one| content_text(&one["content"]).len() as u64)
            .sum(),
        tool: body["tools"][0]["function"]["name"]
            .as_str()
            .filter(|_| waits_for_tool)
            .map(str::to_owned),
    })
}

pub(crate) fn error_body(status: u16, message: &str) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        429 => ("requests", Some("rate_limit_exceeded")),
        400..=499 => ("invalid_request_error", None),
        _ => ("server_error", None),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

pub(crate) fn usage_value(usage: Tokens) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

fn finish_reason(answer: &Answer) -> &'static str {
    match answer {
        Answer { tool: Some(_), .. } => "tool_calls",
        Answer { cut: true, .. } => "length",
        _ => "stop",
    }
}

fn with_extra(mut value: Value, behaviour: &Behaviour) -> Value {
    if let (Some(members), Some(extra)) = (value.as_object_mut(), &behaviour.extra) {
        members.extend(extra.clone());
    }
    value
}

/// The JSON answer.
pub(crate) fn answer(answer: &Answer, behaviour: &Behaviour) -> Value {
    let message = match &answer.tool {
        None => json!({
            "role": "assistant",
            "content": answer.text(),
            "refusal": null,
            "annotations": [],
        }),
        Some(tool) => json!({
            "role": "assistant",
            "content": null,
            "refusal": null,
            "annotations": [],
            "tool_calls": [{
                "id": "call_fake1",
                "type": "function",
                "function": {"name": tool, "arguments": TOOL_ARGUMENTS.concat()},
            }],
        }),
    };
    let choices: Vec<Value> = (0..answer.choices)
        .map(|index| {
            json!({
                "index": index,
                "message": message,
                "logprobs": null,
                "finish_reason": finish_reason(answer),
            })
        })
        .collect();
    let mut body = json!({
        "id": "chatcmpl-fake1",
        "object": "chat.completion",
        "created": CREATED,
        "model": answer.model,
        "choices": choices,
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    });
    if let Some(usage) = answer.usage {
        body["usage"] = usage_value(usage);
    }
    with_extra(body, behaviour)
}

/// The events of a stream: those of the head, one for each text chunk, those of the tail.
pub(crate) struct Events {
    pub(crate) head: Vec<String>,
    pub(crate) pieces: Vec<String>,
    pub(crate) tail: Vec<String>,
}

pub(crate) fn events(answer: &Answer, include_usage: bool, behaviour: &Behaviour) -> Events {
    let chunk = |choices: Value| {
        let mut body = json!({
            "id": "chatcmpl-fake1",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": answer.model,
            "service_tier": "default",
            "system_fingerprint": "fp_fake",
            "choices": choices,
        });
        if include_usage {
            body["usage"] = Value::Null;
        }
        with_extra(body, behaviour)
    };
    let delta = |index: u64, delta: Value, finish: Option<&str>| {
        let choice =
            json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish});
        event(&chunk(json!([choice])))
    };
    let choices = 0..answer.choices;
    let mut head: Vec<String> = choices
        .clone()
        .map(|index| {
            delta(
                index,
                json!({"role": "assistant", "content": "", "refusal": null}),
                None,
            )
        })
        .collect();
    if let Some(tool) = &answer.tool {
        let call = |function: Value, first: bool| {
            let mut call = Map::new();
            call.insert("index".into(), json!(0));
            if first {
                call.insert("id".into(), json!("call_fake1"));
                call.insert("type".into(), json!("function"));
            }
            call.insert("function".into(), function);
            delta(0, json!({"tool_calls": [call]}), None)
        };
        head.push(call(json!({"name": tool, "arguments": ""}), true));
        head.extend(
            TOOL_ARGUMENTS
                .iter()
                .map(|piece| call(json!({"arguments": piece}), false)),
        );
    }
    let pieces = answer
        .pieces
        .iter()
        .map(|piece| {
            choices
                .clone()
                .map(|index| delta(index, json!({"content": piece}), None))
                .collect()
        })
        .collect();
    let mut tail: Vec<String> = choices
        .clone()
        .map(|index| delta(index, json!({}), Some(finish_reason(answer))))
        .collect();
    if let (true, Some(usage)) = (include_usage, answer.usage) {
        let mut last = chunk(json!([]));
        last["usage"] = usage_value(usage);
        tail.push(event(&last));
    }
    tail.push("data: [DONE]\n\n".to_owned());
    Events { head, pieces, tail }
}

pub(crate) fn error_event() -> String {
    event(&error_body(
        500,
        "The server had an error while processing your request",
    ))
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

pub(crate) fn models() -> Value {
    json!({"object": "list", "data": [
        {"id": "gpt-4o-mini", "object": "model", "created": CREATED, "owned_by": "system"},
    ]})
}
