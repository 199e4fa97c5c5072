//! OpenAI's moderations.

use serde_json::{Map, Value, json};

use super::{Asked, Complaint, Request, permit, require, with_extra};
use crate::chat::content_text;

const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

/// Reads a request; texts with `kill` are flagged as violence.
pub(super) fn read(request: &Request<'_>) -> Result<Asked, Complaint> {
    let body = &request.json;
    permit(body, &["model", "input"])?;
    require(body, &["input"])?;
    let texts: Vec<String> = match &body["input"] {
        Value::Array(list) if list.iter().all(Value::is_string) => {
            list.iter().map(content_text).collect()
        }
        // Texts and images of one input.
        parts => vec![content_text(parts)],
    };
    let model = body["model"]
        .as_str()
        .unwrap_or("omni-moderation-latest")
        .to_owned();
    let text = texts.concat();
    Ok(Asked::new(
        Some(&model.clone()),
        text,
        move |behaviour, _| {
            let results: Vec<Value> = texts.iter().map(|text| result(text)).collect();
            let answer = json!({"id": "modr-fake1", "model": model, "results": results});
            Ok(with_extra(answer, behaviour).into())
        },
    ))
}

fn result(text: &str) -> Value {
    let flagged = text.contains("kill");
    let of = |value: &dyn Fn(&str) -> Value| -> Map<String, Value> {
        let named = CATEGORIES.iter();
        named
            .map(|name| ((*name).to_owned(), value(name)))
            .collect()
    };
    let hit = |name: &str| flagged && name == "violence";
    json!({
        "flagged": flagged,
        "categories": of(&|name| json!(hit(name))),
        "category_scores": of(&|name| json!(if hit(name) { 0.75 } else { 0.0001 })),
        "category_applied_input_types": of(&|_| json!(["text"])),
    })
}
