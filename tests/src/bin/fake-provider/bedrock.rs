//! AWS Bedrock's Converse, as strict as the real API where a gateway could err.

use e2e::behaviour::{Recorded, Tokens};
use serde_json::{Value, json};

use crate::chat::{Answer, Question, TOOL_ARGUMENTS};
use crate::openai::Events;

/// Members that a request may have; the real API refuses others.
const MEMBERS: &[&str] = &[
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "outputConfig",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "requestMetadata",
    "serviceTier",
    "performanceConfig",
];

fn text_of(message: &Value) -> String {
    let blocks = message["content"].as_array().into_iter().flatten();
    blocks
        .map(
            |block| match block["toolResult"]["content"][0]["text"].as_str() {
                Some(result) => result,
                None => block["text"].as_str().unwrap_or_default(),
            },
        )
        .collect()
}

/// Reads a request; the error is what the real API complains about.
pub(crate) fn question(request: &Recorded, body: &Value) -> Result<Question, String> {
    let members = body.as_object().ok_or("The body is not JSON")?;
    if let Some(name) = members
        .keys()
        .find(|name| !MEMBERS.contains(&name.as_str()))
    {
        return Err(format!("extraneous key [{name}] is not permitted"));
    }
    let allowed = request.header("authorization").is_some_and(|value| {
        value.starts_with("Bearer ") || value.starts_with("AWS4-HMAC-SHA256 Credential=")
    });
    if !allowed {
        return Err("Missing Authentication Token".to_owned());
    }
    let (_, call) = request.path.rsplit_once("/model/").ok_or("no model")?;
    let (model, method) = call.split_once('/').ok_or("no method")?;
    if model.contains(':') {
        return Err("the model is not encoded".to_owned());
    }
    let messages = body["messages"].as_array().ok_or("messages is missing")?;
    check(messages, body["toolConfig"].is_object())?;
    let last = messages.last().cloned().unwrap_or_default();
    let results_in = last["content"][0].get("toolResult").is_some();
    Ok(Question {
        model: model.replace("%3A", ":"),
        stream: method == "converse-stream",
        include_usage: true,
        output_cap: body["inferenceConfig"]["maxTokens"].as_u64(),
        choices: 1,
        last_text: text_of(&last),
        text_bytes: messages.iter().map(|one| text_of(one).len() as u64).sum(),
        tool: body["toolConfig"]["tools"][0]["toolSpec"]["name"]
            .as_str()
            .filter(|_| !results_in)
            .map(str::to_owned),
    })
}

fn check(messages: &[Value], has_tools: bool) -> Result<(), String> {
    let mut expected = "user";
    let mut open: Vec<Value> = Vec::new();
    for message in messages {
        if message["role"] != expected {
            return Err(
                "A conversation must alternate between user and assistant roles.".to_owned(),
            );
        }
        expected = if expected == "user" {
            "assistant"
        } else {
            "user"
        };
        let blocks = message["content"].as_array().cloned().unwrap_or_default();
        let ids = |kind: &str| -> Vec<Value> {
            let found = blocks.iter().filter_map(|block| block.get(kind));
            found.map(|block| block["toolUseId"].clone()).collect()
        };
        if blocks.iter().any(|block| {
            block["text"]
                .as_str()
                .is_some_and(|text| text.trim().is_empty())
        }) {
            return Err("The text field in the ContentBlock object is blank.".to_owned());
        }
        if ids("toolResult") != open {
            return Err("Expected toolResult blocks for the toolUse blocks before".to_owned());
        }
        open = ids("toolUse");
        if !open.is_empty() && !has_tools {
            return Err("The toolConfig field must be defined when using toolUse".to_owned());
        }
    }
    Ok(())
}

pub(crate) fn error_body(message: &str) -> Value {
    json!({"message": message})
}

fn usage(answer: &Answer) -> Value {
    let Tokens {
        input,
        cached,
        cache_write,
        output,
        ..
    } = answer.usage.unwrap_or_default();
    json!({
        "inputTokens": input - cached - cache_write, "outputTokens": output,
        "totalTokens": input + output,
        "cacheReadInputTokens": cached, "cacheWriteInputTokens": cache_write,
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
pub(crate) fn answer(answer: &Answer) -> Value {
    let content = match &answer.tool {
        None => json!([{"text": answer.text()}]),
        Some(tool) => {
            let input: Value = serde_json::from_str(&TOOL_ARGUMENTS.concat()).unwrap_or_default();
            json!([{"toolUse": {"toolUseId": "tooluse_fake1", "name": tool, "input": input}}])
        }
    };
    json!({
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason(answer), "usage": usage(answer), "metrics": {"latencyMs": 1},
    })
}

/// The events of a stream: type and payload, which [`frame`] makes a message of.
pub(crate) fn events(answer: &Answer) -> Events {
    let event = |kind: &str, mut payload: Value| {
        payload["p"] = json!("abcdefghijkl");
        format!("event {kind} {payload}")
    };
    let delta = |delta: Value| {
        event(
            "contentBlockDelta",
            json!({"contentBlockIndex": 0, "delta": delta}),
        )
    };
    let mut head = vec![event("messageStart", json!({"role": "assistant"}))];
    if let Some(tool) = &answer.tool {
        let start = json!({"toolUse": {"toolUseId": "tooluse_fake1", "name": tool}});
        head.push(event(
            "contentBlockStart",
            json!({"contentBlockIndex": 0, "start": start}),
        ));
        let pieces = TOOL_ARGUMENTS.iter();
        head.extend(pieces.map(|piece| delta(json!({"toolUse": {"input": piece}}))));
    }
    let pieces = answer.pieces.iter();
    Events {
        head,
        pieces: pieces.map(|piece| delta(json!({"text": piece}))).collect(),
        tail: vec![
            event("contentBlockStop", json!({"contentBlockIndex": 0})),
            event("messageStop", json!({"stopReason": stop_reason(answer)})),
            event(
                "metadata",
                json!({"usage": usage(answer), "metrics": {"latencyMs": 1}}),
            ),
        ],
    }
}

pub(crate) fn error_event() -> String {
    "exception throttlingException {\"message\": \"Too many requests\"}".to_owned()
}

/// `kind type payload` as a message of AWS's binary framing.
pub(crate) fn frame(event: &str) -> Vec<u8> {
    let mut words = event.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (kind, name, payload) = (word(), word(), word());
    let mut headers = Vec::new();
    let type_header = format!(":{kind}-type");
    for (name, value) in [(":message-type", kind), (type_header.as_str(), name)] {
        headers.push(name.len() as u8);
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&(value.len() as u16).to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let total = 16 + headers.len() + payload.len();
    let mut frame = (total as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    frame.extend_from_slice(&crc32(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload.as_bytes());
    frame.extend_from_slice(&crc32(&frame).to_be_bytes());
    frame
}

/// Bit by bit, and so by another way than the code under test.
fn crc32(bytes: &[u8]) -> u32 {
    let bit = |sum: u32, _| (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg());
    let byte = |sum: u32, byte: &u8| (0..8).fold(sum ^ u32::from(*byte), bit);
    !bytes.iter().fold(u32::MAX, byte)
}
