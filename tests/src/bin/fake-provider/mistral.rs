//! Mistral: OpenAI's format, strict about members, with calls and usage in one last chunk.

use e2e::behaviour::Behaviour;
use serde_json::{Value, json};

use crate::chat::{Answer, Question, TOOL_ARGUMENTS};
use crate::openai::{self, Events};

/// Members that a request may have; the real API answers `422` to others.
const MEMBERS: &[&str] = &[
    "model",
    "messages",
    "temperature",
    "top_p",
    "max_tokens",
    "stream",
    "stop",
    "random_seed",
    "response_format",
    "tools",
    "tool_choice",
    "presence_penalty",
    "frequency_penalty",
    "n",
    "prediction",
    "parallel_tool_calls",
    "prompt_mode",
    "reasoning_effort",
    "safe_prompt",
    "service_tier",
    "prompt_cache_key",
    "metadata",
    "top_k",
    "logprobs",
];
const MESSAGE_MEMBERS: &[&str] = &[
    "role",
    "content",
    "tool_calls",
    "tool_call_id",
    "prefix",
    "name",
];

/// Reads a request; the error is what the real API complains about.
pub(crate) fn question(body: &Value) -> Result<Question, String> {
    let extra = |value: &Value, known: &[&str]| {
        let members = value.as_object().into_iter().flatten();
        let mut names = members.map(|(name, _)| name.clone());
        names.find(|name| !known.contains(&name.as_str()))
    };
    if let Some(name) = extra(body, MEMBERS) {
        return Err(format!("extra_forbidden: {name}"));
    }
    for message in body["messages"].as_array().into_iter().flatten() {
        if let Some(name) = extra(message, MESSAGE_MEMBERS) {
            return Err(format!("extra_forbidden: messages.{name}"));
        }
        let calls = message["tool_calls"].as_array().into_iter().flatten();
        let ids = calls
            .map(|call| &call["id"])
            .chain(message.get("tool_call_id"));
        for id in ids {
            let id = id.as_str().unwrap_or_default();
            if id.len() != 9 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(format!(
                    "Tool call id was {id} but must be a-z, A-Z, 0-9, of length 9."
                ));
            }
        }
    }
    openai::question(body)
}

pub(crate) fn error_body(status: u16, message: &str) -> Value {
    match status {
        422 => json!({"object": "error", "message": {"detail": [{"type": "extra_forbidden",
            "loc": ["body"], "msg": message}]}, "type": "invalid_request_error", "code": null}),
        429 => {
            json!({"object": "error", "message": message, "type": "rate_limited", "code": "1300"})
        }
        _ => json!({"object": "error", "message": message, "type": "error", "code": null}),
    }
}

/// The JSON answer.
pub(crate) fn answer(answer: &Answer, behaviour: &Behaviour) -> Value {
    let mut body = openai::answer(answer, behaviour);
    if let Some(message) = body.pointer_mut("/choices/0/message")
        && answer.tool.is_none()
    {
        message["tool_calls"] = Value::Null;
    }
    body
}

/// The events of a stream: a call comes whole, with the finish reason and the usage.
pub(crate) fn events(answer: &Answer, behaviour: &Behaviour) -> Events {
    let mut events = openai::events(answer, false, behaviour);
    let usage = answer.usage.map(|usage| {
        json!({"prompt_tokens": usage.input, "completion_tokens": usage.output,
               "total_tokens": usage.input + usage.output})
    });
    let mut delta = json!({"content": ""});
    if let Some(tool) = &answer.tool {
        events.head.truncate(1);
        delta["tool_calls"] = json!([{"id": "D681PevKs", "index": 0,
            "function": {"name": tool, "arguments": TOOL_ARGUMENTS.concat()}}]);
    }
    let finish = match answer {
        Answer { tool: Some(_), .. } => "tool_calls",
        Answer { cut: true, .. } => "length",
        _ => "stop",
    };
    let last = json!({
        "id": "chatcmpl-fake1", "object": "chat.completion.chunk", "created": 1, "model": answer.model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": usage,
    });
    events.tail = vec![format!("data: {last}\n\n"), "data: [DONE]\n\n".to_owned()];
    events
}
