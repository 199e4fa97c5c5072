//! Judges outside: how they are asked, and what they answer.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::digest::hmac;
use crate::wire::Direction;

/// Bytes of a text that a judge is shown; of a longer one its end.
const SHOWN_BYTES_MAX: usize = 64 * 1024;
/// Characters of a category's name that are kept.
const CATEGORY_CHARS_MAX: usize = 40;

/// A judge of content that the operator has set up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judge {
    /// Name in rules.
    pub name: String,
    /// How it is asked.
    pub kind: JudgeKind,
    /// Envoy's cluster that leads to it.
    pub cluster: String,
    /// Host header.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Model to ask for; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// Headers besides those of the format, lower-case names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// What a webhook's questions are signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Milliseconds it may take.
    pub timeout_ms: u64,
    /// Whether a text passes that it does not judge in time.
    pub fails_open: bool,
}

/// How a judge is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgeKind {
    /// OpenAI's `/v1/moderations`.
    #[default]
    Moderations,
    /// A chat model that answers `safe`, or `unsafe` and a category (Llama Guard).
    Chat,
    /// A service of the operator's own.
    Webhook,
}

/// What a judge says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// How harmful, in millionths.
    pub score_ppm: u32,
    /// The worst category, empty for none.
    pub category: String,
}

/// How often parts of a million.
const WHOLE: u32 = 1_000_000;

impl Judge {
    /// The body of a question about `text`.
    pub fn question(&self, exchange: &str, on: Direction, text: &str) -> Vec<u8> {
        let mut from = text.len().saturating_sub(SHOWN_BYTES_MAX);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let text = text.get(from..).unwrap_or_default();
        let mut body = match self.kind {
            JudgeKind::Moderations => json!({"input": text}),
            JudgeKind::Chat => {
                let said = match on {
                    Direction::Input => json!([{"role": "user", "content": text}]),
                    Direction::Output => json!([
                        {"role": "user", "content": "-"},
                        {"role": "assistant", "content": text},
                    ]),
                };
                json!({"messages": said, "max_tokens": 64, "temperature": 0})
            }
            JudgeKind::Webhook => json!({"id": exchange, "on": on.name(), "text": text}),
        };
        if let Some(members) = body.as_object_mut().filter(|_| !self.model.is_empty()) {
            members.insert("model".to_owned(), json!(self.model));
        }
        body.to_string().into_bytes()
    }

    /// The headers of a question, sent at `at_s` (Unix seconds).
    pub fn question_headers(&self, body: &[u8], at_s: u64) -> Vec<(String, String)> {
        let mut headers = vec![
            (":method".to_owned(), "POST".to_owned()),
            (":path".to_owned(), self.path.clone()),
            (":authority".to_owned(), self.authority.clone()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        headers.extend(self.headers.iter().cloned());
        if let Some(secret) = &self.secret {
            let at = format!("{at_s}.");
            let code = hmac(secret.as_bytes(), &[at.as_bytes(), body]);
            let hex: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
            headers.push(("x-weir-signature".to_owned(), format!("t={at_s},v1={hex}")));
        }
        headers
    }

    /// What it says; `None` when that cannot be understood.
    pub fn opinion(&self, answer: &[u8]) -> Option<Opinion> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        match self.kind {
            JudgeKind::Moderations => moderation(&answer),
            JudgeKind::Chat => {
                let text = answer.pointer("/choices/0/message/content")?.as_str()?;
                let mut words = text.split_whitespace();
                match words.next()?.to_ascii_lowercase().trim_end_matches(',') {
                    "safe" => Some(opinion(0.0, "")),
                    "unsafe" => Some(opinion(1.0, words.next().unwrap_or_default())),
                    _ => None,
                }
            }
            JudgeKind::Webhook => {
                let category = answer.get("category").and_then(Value::as_str);
                let flagged = answer.get("flagged").and_then(Value::as_bool);
                let score = answer.get("score").and_then(Value::as_f64);
                let score = score.or(flagged.map(f64::from))?;
                Some(opinion(score, category.unwrap_or_default()))
            }
        }
    }
}

fn moderation(answer: &Value) -> Option<Opinion> {
    let results = answer
        .get("results")?
        .as_array()
        .filter(|it| !it.is_empty())?;
    let mut worst = opinion(0.0, "");
    for result in results {
        let flagged = result.get("flagged")?.as_bool()?;
        let scores = result.get("category_scores").and_then(Value::as_object);
        for (category, score) in scores.into_iter().flatten() {
            let next = opinion(score.as_f64()?, category);
            if next.score_ppm > worst.score_ppm {
                worst = next;
            }
        }
        if flagged && scores.is_none() {
            worst = opinion(1.0, "");
        }
    }
    Some(worst)
}

fn opinion(score: f64, category: &str) -> Opinion {
    let fits = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '/');
    Opinion {
        score_ppm: (score.clamp(0.0, 1.0) * f64::from(WHOLE)).round() as u32,
        category: category
            .chars()
            .filter(fits)
            .take(CATEGORY_CHARS_MAX)
            .collect(),
    }
}
