//! Azure OpenAI: OpenAI's format, the deployment in the path, filter results everywhere.

use e2e::behaviour::{Behaviour, Recorded};
use serde_json::{Value, json};

use crate::chat::{Answer, Question};
use crate::openai::{self, Events};

/// Checks key and path; gives the deployment that a path names.
pub(crate) fn admit(request: &Recorded) -> Result<Option<String>, String> {
    let bearer = request
        .header("authorization")
        .is_some_and(|value| value.starts_with("Bearer "));
    if !bearer && request.header("api-key").is_none() {
        return Err("Access denied due to missing subscription key.".to_owned());
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    if path.contains("/openai/v1/") {
        return Ok(None);
    }
    if !query.contains("api-version=") {
        return Err("Resource not found".to_owned());
    }
    let deployment = path
        .split_once("/openai/deployments/")
        .and_then(|(_, rest)| rest.split('/').next());
    Ok(deployment.map(str::to_owned))
}

/// Reads a request; the error is what the real API complains about.
pub(crate) fn question(request: &Recorded, body: &Value) -> Result<Question, String> {
    let deployment = admit(request)?;
    let question = openai::question(body)?;
    match deployment {
        Some(deployment) => Ok(Question {
            model: deployment,
            ..question
        }),
        None if request.path.contains("/openai/v1/") => Ok(question),
        None => Err("Resource not found".to_owned()),
    }
}

pub(crate) fn error_body(status: u16, message: &str) -> Value {
    json!({"error": {"code": status.to_string(), "message": message}})
}

fn filter() -> Value {
    json!({"hate": {"filtered": false, "severity": "safe"}})
}

/// The JSON answer.
pub(crate) fn answer(answer: &Answer, behaviour: &Behaviour) -> Value {
    let mut body = openai::answer(answer, behaviour);
    for choice in body["choices"].as_array_mut().into_iter().flatten() {
        choice["content_filter_results"] = filter();
    }
    body["prompt_filter_results"] =
        json!([{"prompt_index": 0, "content_filter_results": filter()}]);
    body
}

/// The events of a stream; the first one has no choice, id or model.
pub(crate) fn events(answer: &Answer, include_usage: bool, behaviour: &Behaviour) -> Events {
    let mut events = openai::events(answer, include_usage, behaviour);
    let first = json!({
        "choices": [], "created": 0, "id": "", "model": "", "object": "",
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": filter()}],
    });
    events.head.insert(0, format!("data: {first}\n\n"));
    events
}
