//! Anthropic's counting of tokens.

use serde_json::{Value, json};

use super::{Asked, Complaint, Request, permit, require};
use crate::anthropic;
use crate::chat::content_text;

const MEMBERS: &[&str] = &[
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
    "context_management",
    "mcp_servers",
];

/// Reads a request; the error is what the real API complains about.
pub(super) fn read(request: &Request<'_>) -> Result<Asked, Complaint> {
    let body = &request.json;
    anthropic::check_version(request.recorded.header("anthropic-version"))?;
    permit(body, MEMBERS).map_err(|complaint| Complaint {
        message: format!("{}: Extra inputs are not permitted", complaint.message),
        ..complaint
    })?;
    require(body, &["model", "messages"])?;
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let texts = messages.iter().map(|one| content_text(&one["content"]));
    let mut text: String = texts.collect();
    text.push_str(&content_text(&body["system"]));
    let counted = text.len().div_ceil(4) + body["tools"].to_string().len() / 4;
    let model = body["model"].as_str();
    Ok(Asked::new(model, text, move |behaviour, _| {
        let tokens = behaviour.usage.map_or(counted as u64, |usage| usage.input);
        let answer: Value = json!({"input_tokens": tokens});
        Ok(answer.into())
    }))
}
