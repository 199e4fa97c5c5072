//! Anthropic Messages, as strict as the real API where a gateway could err.

use e2e::behaviour::{Behaviour, Tokens};
use serde_json::{Value, json};

use crate::chat::{Answer, Question, TOOL_ARGUMENTS, content_text};
use crate::openai::Events;

/// Members that a request may have; the real API refuses others.
const MEMBERS: &[&str] = &[
    "model",
    "max_tokens",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "stop_sequences",
    "stream",
    "metadata",
    "thinking",
    "output_config",
    "service_tier",
    "temperature",
    "top_p",
    "top_k",
    "container",
    "cache_control",
];

/// Reads a request; the error is what the real API complains about.
pub(crate) fn question(body: &Value, version: Option<&str>) -> Result<Question, String> {
    check_version(version)?;
    let members = body.as_object().ok_or("body: Input should be an object")?;
    let sampling = ["temperature", "top_p", "top_k"];
    if version == Some(NEWEST) && sampling.iter().any(|name| members.contains_key(*name)) {
        return Err("temperature: Extra inputs are not permitted".to_owned());
    }
    if let Some(name) = members
        .keys()
        .find(|name| !MEMBERS.contains(&name.as_str()))
    {
        return Err(format!("{name}: Extra inputs are not permitted"));
    }
    let model = body["model"].as_str().ok_or("model: Field required")?;
    let output_cap = body["max_tokens"]
        .as_u64()
        .ok_or("max_tokens: Field required")?;
    let messages = body["messages"]
        .as_array()
        .ok_or("messages: Field required")?;
    check_system(&body["system"])?;
    check_messages(messages, body["tools"].is_array())?;
    let last = messages.last().cloned().unwrap_or_default();
    let result_in = last["content"]
        .as_array()
        .is_some_and(|blocks| blocks.iter().any(|block| block["type"] == "tool_result"));
    let waits_for_tool = !result_in && body["tool_choice"]["type"] != "none";
    Ok(Question {
        model: model.to_owned(),
        stream: body["stream"].as_bool().unwrap_or(false),
        include_usage: true,
        output_cap: Some(output_cap),
        choices: 1,
        last_text: content_text(&last["content"]),
        text_bytes: messages
            .iter()
            .map(|one| content_text(&one["content"]).len() as u64)
            .sum(),
        tool: body["tools"][0]["name"]
            .as_str()
            .filter(|_| waits_for_tool)
            .map(str::to_owned),
    })
}

/// The version without sampling parameters, which newest clients ask for.
const NEWEST: &str = "2026-10-21";

pub(crate) fn check_version(version: Option<&str>) -> Result<(), String> {
    match version {
        Some("2023-06-01" | NEWEST) => Ok(()),
        other => Err(format!(
            "anthropic-version: header is required, got {other:?}"
        )),
    }
}

fn check_system(system: &Value) -> Result<(), String> {
    match system {
        Value::Null | Value::String(_) => Ok(()),
        Value::Array(blocks) if blocks.iter().all(|block| block["type"] == "text") => Ok(()),
        _ => Err("system: Input should be a valid string or list of text blocks".to_owned()),
    }
}

fn check_messages(messages: &[Value], has_tools: bool) -> Result<(), String> {
    if messages.is_empty() {
        return Err("messages: at least one message is required".to_owned());
    }
    if messages[0]["role"] != "user" {
        return Err("messages: first message must use the \"user\" role".to_owned());
    }
    let mut open: Vec<String> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if message["role"] != "user" && message["role"] != "assistant" {
            return Err(format!(
                "messages.{index}.role: Input should be 'user' or 'assistant'"
            ));
        }
        let empty = Vec::new();
        let blocks = message["content"].as_array().unwrap_or(&empty);
        let mut results = Vec::new();
        let mut calls = Vec::new();
        for block in blocks {
            match block["type"].as_str() {
                Some("text")
                    if block["text"]
                        .as_str()
                        .is_none_or(|text| text.trim().is_empty()) =>
                {
                    return Err(format!(
                        "messages.{index}: text content blocks must be non-empty"
                    ));
                }
                Some("tool_result") => {
                    results.push(block["tool_use_id"].as_str().unwrap_or_default().to_owned());
                }
                Some("tool_use") if !block["input"].is_object() => {
                    return Err(format!(
                        "messages.{index}: tool_use.input: Input should be an object"
                    ));
                }
                Some("tool_use") => {
                    calls.push(block["id"].as_str().unwrap_or_default().to_owned());
                }
                Some("text" | "image" | "document" | "thinking") => {}
                other => return Err(format!("messages.{index}: unexpected block {other:?}")),
            }
        }
        results.sort();
        open.sort();
        if results != open {
            return Err(format!(
                "messages.{index}: `tool_use` ids {open:?} need `tool_result` blocks, got {results:?}"
            ));
        }
        let used = !calls.is_empty() || !results.is_empty();
        if used && !has_tools {
            return Err("tools: required when tool blocks are in messages".to_owned());
        }
        open = calls;
    }
    if open.is_empty() {
        Ok(())
    } else {
        Err("tool_use ids without tool_result".to_owned())
    }
}

pub(crate) fn error_body(status: u16, message: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake1"})
}

fn usage_value(usage: Tokens) -> Value {
    json!({
        "input_tokens": usage.input - usage.cached - usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "cache_creation_input_tokens": usage.cache_write,
        "output_tokens": usage.output,
        "service_tier": "standard",
    })
}

fn stop_reason(answer: &Answer) -> &'static str {
    match answer {
        Answer { tool: Some(_), .. } => "tool_use",
        Answer { cut: true, .. } => "max_tokens",
        _ => "end_turn",
    }
}

/// The JSON answer.
pub(crate) fn answer(answer: &Answer, behaviour: &Behaviour) -> Value {
    let content = match &answer.tool {
        None => json!([{"type": "text", "text": answer.text()}]),
        Some(tool) => {
            let input: Value = serde_json::from_str(&TOOL_ARGUMENTS.concat()).unwrap_or_default();
            json!([{"type": "tool_use", "id": "toolu_fake1", "name": tool, "input": input}])
        }
    };
    let mut body = json!({
        "id": "msg_fake1",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": stop_reason(answer),
        "stop_sequence": null,
        "usage": usage_value(answer.usage.unwrap_or_default()),
    });
    if let (Some(members), Some(extra)) = (body.as_object_mut(), &behaviour.extra) {
        members.extend(extra.clone());
    }
    body
}

/// The events of a stream.
pub(crate) fn events(answer: &Answer) -> Events {
    let usage = answer.usage.unwrap_or_default();
    let message = json!({
        "id": "msg_fake1", "type": "message", "role": "assistant", "model": answer.model,
        "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": usage_value(Tokens { output: 1, ..usage }),
    });
    let mut head = vec![event(json!({"type": "message_start", "message": message}))];
    let delta =
        |delta: Value| event(json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    let block = match &answer.tool {
        None => json!({"type": "text", "text": ""}),
        Some(tool) => json!({"type": "tool_use", "id": "toolu_fake1", "name": tool, "input": {}}),
    };
    head.push(event(
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
    ));
    head.push(event(json!({"type": "ping"})));
    if answer.tool.is_some() {
        let first = std::iter::once("").chain(TOOL_ARGUMENTS);
        head.extend(
            first.map(|piece| delta(json!({"type": "input_json_delta", "partial_json": piece}))),
        );
    }
    let pieces = answer
        .pieces
        .iter()
        .map(|piece| delta(json!({"type": "text_delta", "text": piece})))
        .collect();
    let tail = vec![
        event(json!({"type": "content_block_stop", "index": 0})),
        event(json!({
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason(answer), "stop_sequence": null},
            "usage": {"output_tokens": usage.output},
        })),
        event(json!({"type": "message_stop"})),
    ];
    Events { head, pieces, tail }
}

pub(crate) fn error_event() -> String {
    event(error_body(529, "Overloaded"))
}

fn event(data: Value) -> String {
    format!(
        "event: {}\ndata: {data}\n\n",
        data["type"].as_str().unwrap_or_default()
    )
}
