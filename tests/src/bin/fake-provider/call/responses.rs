//! OpenAI's Responses.

mod answer;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Asked, Complaint, Pieces, Reply, Request, as_text, list, not_found, permit, require};
use crate::chat::{Answer, Question, content_text};
use crate::state::{Item, Shelf};

/// What is done with responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call<'a> {
    Create,
    CountTokens,
    Show(&'a str),
    InputItems(&'a str),
    Cancel(&'a str),
    Delete(&'a str),
}

pub(super) fn call<'a>(method: &str, segments: &[&'a str]) -> Option<Call<'a>> {
    Some(match (method, segments) {
        ("POST", [.., "responses"]) => Call::Create,
        ("POST", [.., "responses", "input_tokens"]) => Call::CountTokens,
        ("GET", [.., "responses", id]) => Call::Show(id),
        ("GET", [.., "responses", id, "input_items"]) => Call::InputItems(id),
        ("POST", [.., "responses", id, "cancel"]) => Call::Cancel(id),
        ("DELETE", [.., "responses", id]) => Call::Delete(id),
        _ => return None,
    })
}

const MEMBERS: &[&str] = &[
    "background",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Reads a request; the error is what the real API complains about.
pub(super) fn read(call: Call<'_>, request: &Request<'_>) -> Result<Asked, Complaint> {
    match call {
        Call::Create => create(&request.json),
        Call::CountTokens => count(&request.json),
        Call::Show(id) => Ok(stored(id, |item, _| item.object)),
        Call::InputItems(id) => Ok(stored(id, |item, _| {
            list(serde_json::from_slice(&item.content).unwrap_or_default())
        })),
        Call::Cancel(id) => Ok(stored(id, |mut item, shelf| {
            item.object["status"] = json!("cancelled");
            let id = item.object["id"].as_str().unwrap_or_default().to_owned();
            shelf.put(&id, item.clone());
            item.object
        })),
        Call::Delete(id) => Ok(stored(id, |item, shelf| {
            let id = &item.object["id"];
            shelf.take(id.as_str().unwrap_or_default());
            json!({"id": id, "object": "response", "deleted": true})
        })),
    }
}

fn stored(id: &str, show: fn(Item, &Shelf) -> Value) -> Asked {
    let id = id.to_owned();
    Asked::new(None, String::new(), move |_, shelf| {
        let item = shelf.get(&id).ok_or_else(|| not_found("Response", &id))?;
        Ok(show(item, shelf).into())
    })
}

fn count(body: &Value) -> Result<Asked, Complaint> {
    let question = question(body)?;
    let tokens = question.text_bytes.div_ceil(4);
    let model = question.model;
    Ok(Asked::new(
        Some(&model),
        question.last_text,
        move |behaviour, _| {
            let tokens = behaviour.usage.map_or(tokens, |usage| usage.input);
            Ok(json!({"object": "response.input_tokens", "input_tokens": tokens}).into())
        },
    ))
}

fn create(body: &Value) -> Result<Asked, Complaint> {
    permit(body, MEMBERS)?;
    require(body, &["model"])?;
    let question = question(body)?;
    let body = body.clone();
    let (model, text) = (question.model.clone(), question.last_text.clone());
    Ok(Asked::new(Some(&model), text, move |behaviour, shelf| {
        if let Some(id) = body["previous_response_id"].as_str() {
            shelf.get(id).ok_or_else(|| {
                Complaint::from(format!("Previous response with id '{id}' not found."))
            })?;
        }
        let id = shelf.id("resp_");
        let answer = Answer::of(&question, behaviour);
        let words = answer::Words {
            id: &id,
            request: &body,
            answer: &answer,
            behaviour,
        };
        let whole = words.whole();
        if body["store"] != false {
            let items = items(&body["input"], &id);
            let item = Item {
                object: whole.clone(),
                content: Bytes::from(items.to_string()),
            };
            shelf.put(&id, item);
        }
        if !question.stream {
            return Ok(whole.into());
        }
        let pieces = Pieces {
            events: words.events(&whole),
            kind: "text/event-stream; charset=utf-8",
            encode: as_text,
            error: words.error(&whole),
        };
        Ok(Reply::from(pieces))
    }))
}

/// Input as items with ids.
fn items(input: &Value, id: &str) -> Value {
    let listed = match input {
        Value::Array(items) => items.clone(),
        text => vec![json!({"role": "user", "content": [{"type": "input_text", "text": text}]})],
    };
    let numbered = listed.into_iter().enumerate().map(|(index, mut item)| {
        item["id"] = json!(format!("msg_{id}_{index}"));
        if item["type"].is_null() {
            item["type"] = json!("message");
        }
        if let Value::String(text) = &item["content"] {
            item["content"] = json!([{"type": "input_text", "text": text}]);
        }
        item
    });
    Value::Array(numbered.collect())
}

fn question(body: &Value) -> Result<Question, Complaint> {
    let texts: Vec<String> = match &body["input"] {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items
            .iter()
            .map(|item| content_text(item.get("output").unwrap_or(&item["content"])))
            .collect(),
        Value::Null => Vec::new(),
        _ => return Err("Invalid type for 'input'".into()),
    };
    let last = body["input"].as_array().and_then(|items| items.last());
    let result_in = last.is_some_and(|item| item["type"] == "function_call_output");
    if body["tools"]
        .as_array()
        .is_some_and(|tools| tools.iter().any(|tool| tool["type"].is_null()))
    {
        return Err("Missing required parameter: 'tools[0].type'.".into());
    }
    let tool = &body["tools"][0];
    if tool["type"] == "function" && tool["name"].is_null() {
        return Err("Missing required parameter: 'tools[0].name'.".into());
    }
    Ok(Question {
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        stream: body["stream"].as_bool().unwrap_or(false),
        include_usage: true,
        output_cap: body["max_output_tokens"].as_u64(),
        choices: 1,
        last_text: texts.last().cloned().unwrap_or_default(),
        text_bytes: texts.iter().map(|text| text.len() as u64).sum(),
        tool: tool["name"]
            .as_str()
            .filter(|_| !result_in && body["tool_choice"] != "none")
            .map(str::to_owned),
    })
}
