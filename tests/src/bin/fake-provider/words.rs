//! The same facts in each dialect's words.

use e2e::behaviour::{Behaviour, Recorded};
use serde_json::{Value, json};

use crate::chat::{Answer, Dialect, Question};
use crate::openai::Events;
use crate::{anthropic, azure, bedrock, gemini, mistral, openai};

/// Reads a request; the error is what the real API complains about.
pub(crate) fn question(
    dialect: Dialect,
    request: &Recorded,
    body: &Value,
) -> Result<Question, String> {
    match dialect {
        // Perplexity sends usage whether asked or not.
        Dialect::Openai if request.path.starts_with("/perplexity/") => {
            openai::question(body).map(|question| Question {
                include_usage: true,
                ..question
            })
        }
        Dialect::Openai | Dialect::Ollama => openai::question(body),
        Dialect::Anthropic => anthropic::question(body, request.header("anthropic-version")),
        Dialect::Azure => azure::question(request, body),
        Dialect::Bedrock => bedrock::question(request, body),
        Dialect::Gemini => gemini::question(request, body),
        Dialect::Mistral => mistral::question(body),
    }
}

/// Status of such a complaint.
pub(crate) fn complaint_status(dialect: Dialect) -> u16 {
    match dialect {
        Dialect::Mistral => 422,
        _ => 400,
    }
}

pub(crate) fn error_body(dialect: Dialect, status: u16, message: &str) -> Value {
    match dialect {
        Dialect::Ollama => json!({"error": message}),
        Dialect::Openai => openai::error_body(status, message),
        Dialect::Anthropic => anthropic::error_body(status, message),
        Dialect::Azure => azure::error_body(status, message),
        Dialect::Bedrock => bedrock::error_body(message),
        Dialect::Gemini => gemini::error_body(status, message),
        Dialect::Mistral => mistral::error_body(status, message),
    }
}

/// The JSON answer.
pub(crate) fn answer(dialect: Dialect, answer: &Answer, behaviour: &Behaviour) -> Value {
    match dialect {
        Dialect::Openai | Dialect::Ollama => openai::answer(answer, behaviour),
        Dialect::Anthropic => anthropic::answer(answer, behaviour),
        Dialect::Azure => azure::answer(answer, behaviour),
        Dialect::Bedrock => bedrock::answer(answer),
        Dialect::Gemini => gemini::answer(answer),
        Dialect::Mistral => mistral::answer(answer, behaviour),
    }
}

/// The events of a stream.
pub(crate) fn events(
    dialect: Dialect,
    answer: &Answer,
    question: &Question,
    behaviour: &Behaviour,
) -> Events {
    match dialect {
        Dialect::Openai | Dialect::Ollama => {
            openai::events(answer, question.include_usage, behaviour)
        }
        Dialect::Anthropic => anthropic::events(answer),
        Dialect::Azure => azure::events(answer, question.include_usage, behaviour),
        Dialect::Bedrock => bedrock::events(answer),
        Dialect::Gemini => gemini::events(answer),
        Dialect::Mistral => mistral::events(answer, behaviour),
    }
}

/// The event that ends a stream with an error.
pub(crate) fn error_event(dialect: Dialect) -> String {
    match dialect {
        Dialect::Openai | Dialect::Azure | Dialect::Mistral | Dialect::Ollama => {
            openai::error_event()
        }
        Dialect::Anthropic => anthropic::error_event(),
        Dialect::Bedrock => bedrock::error_event(),
        Dialect::Gemini => gemini::error_event(),
    }
}

/// What streams are called.
pub(crate) fn stream_type(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Bedrock => "application/vnd.amazon.eventstream",
        _ => "text/event-stream; charset=utf-8",
    }
}

/// How its pieces go out.
pub(crate) fn encoding(dialect: Dialect) -> fn(&str) -> Vec<u8> {
    match dialect {
        Dialect::Bedrock => bedrock::frame,
        _ => |event| event.as_bytes().to_vec(),
    }
}
