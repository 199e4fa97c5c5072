//! A chat request as places in its body; nothing is rebuilt, so nothing is lost.
//!
//! One walk finds all that Weir needs. What it does not know passes untouched. Member names and
//! their meaning: OpenAI's chat completion request, with the additions other providers made.

pub(crate) mod attached;
mod form;
mod members;
mod reader;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::json::Span;
use crate::reply::Code;

/// Largest `n` (OpenAI's own bound). Above it: `400 invalid_request`.
pub const CHOICES_MAX: u64 = 128;

/// A request for a chat completion.
#[derive(Clone, Debug, Default)]
pub struct ChatRequest {
    /// The whole document.
    pub root: Span,
    /// `model`, not empty.
    pub model: String,
    /// The value of `model`, with its quotes.
    pub model_span: Span,
    /// Whether the answer is to be an event stream.
    pub stream: bool,
    /// Whether the client asked for the usage chunk (`stream_options.include_usage`).
    pub include_usage: bool,
    /// `stream_options` when it is an object.
    pub stream_options: Option<Span>,
    /// `max_completion_tokens`, else `max_tokens`.
    pub output_cap: Option<u64>,
    /// `n`: 1 to [`CHOICES_MAX`].
    pub choices: u32,
    /// `user` when it is a string.
    pub user: Option<String>,
    /// The messages in order: one to [`crate::limits::MESSAGES_MAX`].
    pub messages: Vec<Message>,
    /// `tools` when it is an array.
    pub tools: Option<Span>,
    /// Every string of the request that can hold what people wrote, in order. Strings that a later
    /// member of the same name hides are among them: a rule must see what any reader could see.
    pub texts: Vec<Text>,
    /// Images in all messages.
    pub images: u32,
    /// Those of the images whose `detail` is `low`.
    pub images_low: u32,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The object.
    pub span: Span,
    /// Who speaks.
    pub role: Role,
    /// Whether it has a `name`.
    pub has_name: bool,
}

/// Who speaks in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Assistant,
    Developer,
    Function,
    Other,
    System,
    Tool,
    User,
}

impl Role {
    /// The role of that wire name.
    pub fn of(name: &str) -> Role {
        match name {
            "assistant" => Role::Assistant,
            "developer" => Role::Developer,
            "function" => Role::Function,
            "system" => Role::System,
            "tool" => Role::Tool,
            "user" => Role::User,
            _ => Role::Other,
        }
    }

    /// The place of this role's texts.
    pub fn place(self) -> Place {
        match self {
            Role::Assistant => Place::Assistant,
            Role::Developer | Role::System => Place::System,
            Role::Function | Role::Tool => Place::ToolResult,
            Role::Other => Place::Other,
            Role::User => Place::User,
        }
    }
}

/// One text of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// Inside the quotes.
    pub span: Span,
    /// Whether it holds escapes, so that its bytes are not its text.
    pub escaped: bool,
    /// What the text is.
    pub place: Place,
    /// Index of its message; [`OUTSIDE_MESSAGES`] for a text of the request itself.
    pub message: u32,
}

/// [`Text::message`] of a text that belongs to no message.
pub const OUTSIDE_MESSAGES: u32 = u32::MAX;

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Assistant,
    /// A file in base64, or the text that stands where one can.
    File,
    /// A name, an allowed value or an address: changed, it would not work any more.
    Label,
    Name,
    Other,
    /// A string outside the texts of messages, `user` and the prose of tools among them.
    Parameter,
    System,
    /// A JSON document inside a string.
    ToolArguments,
    ToolResult,
    User,
}

/// Why a body is no chat request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    /// [`Code::InvalidJson`] or [`Code::InvalidRequest`].
    pub code: Code,
    /// The member at fault, as OpenAI writes it: `messages[0].role`.
    pub param: Option<String>,
    /// For people; holds nothing of the request's texts.
    pub message: String,
}

impl fmt::Display for RequestError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for RequestError {}

impl RequestError {
    pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> RequestError {
        RequestError {
            code: Code::InvalidRequest,
            param: Some(param.into()),
            message: message.into(),
        }
    }
}

/// Any other request with a JSON body, as places in it.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// The whole document.
    pub root: Span,
    /// `model`; empty when the request names none.
    pub model: String,
    /// The value of `model`, with its quotes.
    pub model_span: Option<Span>,
    /// Whether the answer is to be an event stream.
    pub stream: bool,
    /// Whether the client asked for the usage chunk (`stream_options.include_usage`).
    pub include_usage: bool,
    /// `user` when it is a string.
    pub user: Option<String>,
    /// Every string that can hold what people wrote, as in [`ChatRequest::texts`].
    pub texts: Vec<Text>,
}

impl Call {
    /// Validates `body` and finds what every request has. Errors: not JSON, not an object, `model`
    /// or `stream` of the wrong type, a member with a meaning given twice or in other letter case.
    pub fn parse(body: &[u8]) -> Result<Call, RequestError> {
        reader::read_call(body)
    }
}

impl ChatRequest {
    /// Validates `body` and finds its parts. Errors: not JSON, not an object, `model` or `messages`
    /// missing or of the wrong type, a message without role, or a member Weir acts upon (`stream`,
    /// `n`, the output caps) with a value that has no meaning, given twice, or in other letter case.
    pub fn parse(body: &[u8]) -> Result<ChatRequest, RequestError> {
        reader::read(body)
    }
}
