//! What both dialects share: the question as plain facts, and the answer before it is worded.

use e2e::behaviour::{Behaviour, Tokens};
use serde_json::Value;

/// Which wire format a request uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Openai,
    Anthropic,
    Azure,
    Bedrock,
    Gemini,
    Mistral,
    /// Its own interface, not the one that is OpenAI's.
    Ollama,
}

impl Dialect {
    /// The format that is spoken at a path (without its query).
    pub(crate) fn of_path(path: &str) -> Dialect {
        if path.ends_with("/messages") || path.ends_with("/messages/count_tokens") {
            Dialect::Anthropic
        } else if path.contains("/model/") {
            Dialect::Bedrock
        } else if path.contains("/models/") {
            Dialect::Gemini
        } else if path.contains("/openai/") {
            Dialect::Azure
        } else if path.starts_with("/mistral/") {
            Dialect::Mistral
        } else if path.ends_with("/api/embed") {
            Dialect::Ollama
        } else {
            Dialect::Openai
        }
    }
}

/// A request as far as the answer depends on it.
#[derive(Debug, Default)]
pub(crate) struct Question {
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) output_cap: Option<u64>,
    pub(crate) choices: u64,
    /// Text of the last message.
    pub(crate) last_text: String,
    /// Bytes of text in all messages.
    pub(crate) text_bytes: u64,
    /// Name of the tool to call, when tools are offered and no result is in yet.
    pub(crate) tool: Option<String>,
}

/// An answer before it is worded in a dialect.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) model: String,
    pub(crate) pieces: Vec<String>,
    pub(crate) tool: Option<String>,
    /// The output cap cut the text.
    pub(crate) cut: bool,
    pub(crate) usage: Option<Tokens>,
    pub(crate) choices: u64,
}

/// Arguments of each tool call, as the pieces they are streamed in.
pub(crate) const TOOL_ARGUMENTS: [&str; 3] = ["{\"city\":", "\"Hà ", "Nội\"}"];

impl Answer {
    pub(crate) fn of(question: &Question, behaviour: &Behaviour) -> Answer {
        let tool = match behaviour.tool_call {
            Some(false) => None,
            _ => question.tool.clone(),
        };
        let text = match (&behaviour.text, behaviour.chunks) {
            (Some(text), _) => text.clone(),
            (None, Some(count)) => (0..count).map(|index| format!("tok{index} ")).collect(),
            (None, None) => format!("Echo: {}", question.last_text),
        };
        let mut pieces: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        let cap = question.output_cap.filter(|_| !behaviour.uncapped);
        let cap = cap.map_or(usize::MAX, |cap| cap as usize);
        let cut = tool.is_none() && pieces.len() > cap;
        pieces.truncate(cap);
        let counted = Tokens {
            input: question.text_bytes.div_ceil(4).max(1),
            output: (pieces.len() as u64).max(1) * question.choices.max(1),
            ..Tokens::default()
        };
        let usage = (!behaviour.usage_absent).then(|| behaviour.usage.unwrap_or(counted));
        Answer {
            model: question.model.clone(),
            pieces: if tool.is_some() { Vec::new() } else { pieces },
            tool,
            cut,
            usage,
            choices: question.choices.max(1),
        }
    }

    pub(crate) fn text(&self) -> String {
        self.pieces.concat()
    }
}

/// Text of a `content` member: a string, or the texts of its parts.
pub(crate) fn content_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| match part.get("text") {
                Some(text) => text.as_str().map(str::to_owned),
                None => part.get("content").map(content_text),
            })
            .collect(),
        _ => String::new(),
    }
}
