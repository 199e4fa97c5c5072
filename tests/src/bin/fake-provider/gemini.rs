//! Google's generateContent, as strict as the real API where a gateway could err.

use e2e::behaviour::{Recorded, Tokens};
use serde_json::{Value, json};

use crate::chat::{Answer, Question, TOOL_ARGUMENTS};
use crate::openai::Events;

/// Members that a request may have; the real API refuses others.
const MEMBERS: &[&str] = &[
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "safetySettings",
    "cachedContent",
    "serviceTier",
];

fn text_of(content: &Value) -> String {
    let parts = content["parts"].as_array().into_iter().flatten();
    parts
        .map(
            |part| match part["functionResponse"]["response"].get("output") {
                Some(output) => output.as_str().unwrap_or_default(),
                None => part["text"].as_str().unwrap_or_default(),
            },
        )
        .collect()
}

/// Reads a request; the error is what the real API complains about.
pub(crate) fn question(request: &Recorded, body: &Value) -> Result<Question, String> {
    let members = body.as_object().ok_or("Invalid JSON payload received.")?;
    if let Some(name) = members
        .keys()
        .find(|name| !MEMBERS.contains(&name.as_str()))
    {
        return Err(format!(
            "Invalid JSON payload received. Unknown name \"{name}\""
        ));
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let (_, call) = path.rsplit_once("/models/").ok_or("models are missing")?;
    let (model, method) = call.split_once(':').unwrap_or((call, ""));
    let stream = method == "streamGenerateContent";
    if stream && query != "alt=sse" {
        return Err("this server streams events only".to_owned());
    }
    if request.header("x-goog-api-key").is_some() == request.header("authorization").is_some() {
        return Err("Multiple authentication credentials received, or none".to_owned());
    }
    let contents = body["contents"]
        .as_array()
        .ok_or("contents is not specified")?;
    check(contents)?;
    let last = contents.last().cloned().unwrap_or_default();
    let results_in = last["parts"][0].get("functionResponse").is_some();
    let config = &body["generationConfig"];
    let mode = &body["toolConfig"]["functionCallingConfig"]["mode"];
    Ok(Question {
        model: model.to_owned(),
        stream,
        include_usage: true,
        output_cap: config["maxOutputTokens"].as_u64(),
        choices: 1,
        last_text: text_of(&last),
        text_bytes: contents.iter().map(|one| text_of(one).len() as u64).sum(),
        tool: body["tools"][0]["functionDeclarations"][0]["name"]
            .as_str()
            .filter(|_| !results_in && mode != "NONE")
            .map(str::to_owned),
    })
}

fn check(contents: &[Value]) -> Result<(), String> {
    if contents.first().is_none_or(|first| first["role"] != "user") {
        return Err("contents must begin with a user".to_owned());
    }
    let names = |content: &Value, kind: &str| -> Vec<String> {
        let parts = content["parts"].as_array().into_iter().flatten();
        parts
            .filter_map(|part| part[kind]["name"].as_str().map(str::to_owned))
            .collect()
    };
    let mut open = Vec::new();
    for content in contents {
        if content["parts"].as_array().is_none_or(Vec::is_empty) {
            return Err("contents.parts must not be empty".to_owned());
        }
        let answered = names(content, "functionResponse");
        if answered != open {
            return Err(format!(
                "Please ensure that the number of function response parts is equal to the number \
                 of function call parts of the function call turn: {open:?}, {answered:?}"
            ));
        }
        open = names(content, "functionCall");
    }
    Ok(())
}

pub(crate) fn error_body(status: u16, message: &str) -> Value {
    let name = match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        400..=499 => "INVALID_ARGUMENT",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    json!({"error": {"code": status, "message": message, "status": name, "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "6.5s"}]}})
}

fn usage(tokens: Tokens) -> Value {
    json!({
        "promptTokenCount": tokens.input,
        "cachedContentTokenCount": tokens.cached,
        "candidatesTokenCount": tokens.output - tokens.reasoning,
        "thoughtsTokenCount": tokens.reasoning,
        "totalTokenCount": tokens.input + tokens.output,
    })
}

fn body(answer: &Answer, parts: Value, finish: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": 0});
    if let Some(finish) = finish {
        candidate["finishReason"] = json!(finish);
    }
    let mut body = json!({
        "candidates": [candidate], "modelVersion": answer.model, "responseId": "fake1",
    });
    if let Some(tokens) = answer.usage {
        body["usageMetadata"] = usage(tokens);
    }
    body
}

fn call(tool: &str) -> Value {
    let args: Value = serde_json::from_str(&TOOL_ARGUMENTS.concat()).unwrap_or_default();
    json!([{"functionCall": {"name": tool, "args": args}, "thoughtSignature": "c2ln"}])
}

fn finish(answer: &Answer) -> &'static str {
    if answer.cut { "MAX_TOKENS" } else { "STOP" }
}

/// The JSON answer.
pub(crate) fn answer(answer: &Answer) -> Value {
    let parts = match &answer.tool {
        None => json!([{"text": answer.text()}]),
        Some(tool) => call(tool),
    };
    body(answer, parts, Some(finish(answer)))
}

/// The events of a stream; there is no event for its end.
pub(crate) fn events(answer: &Answer) -> Events {
    let event = |value: Value| format!("data: {value}\r\n\r\n");
    let head = answer
        .tool
        .as_deref()
        .map(|tool| event(body(answer, call(tool), None)));
    let pieces = answer.pieces.iter();
    let pieces = pieces.map(|text| event(body(answer, json!([{"text": text}]), None)));
    Events {
        head: head.into_iter().collect(),
        pieces: pieces.collect(),
        tail: vec![event(body(
            answer,
            json!([{"text": ""}]),
            Some(finish(answer)),
        ))],
    }
}

pub(crate) fn error_event() -> String {
    format!(
        "data: {}\r\n\r\n",
        error_body(503, "The model is overloaded.")
    )
}
