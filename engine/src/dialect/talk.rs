//! Messages as what was said by whom, for formats whose turns differ from OpenAI's.

use std::borrow::Cow;

use super::content::{Part, parts};
use super::tools::write_arguments;
use crate::json::{self, Kind, Span, Writer};
use crate::request::{ChatRequest, RequestError, Role};

/// What a message says.
#[derive(Clone, Debug)]
pub(super) enum Said<'a> {
    System(Vec<Part<'a>>),
    User(Vec<Part<'a>>),
    Assistant {
        /// The message, for members that only one format knows.
        message: Span,
        parts: Vec<Part<'a>>,
        calls: Vec<Call<'a>>,
    },
    Result {
        id: String,
        /// Name of the tool called.
        name: String,
        parts: Vec<Part<'a>>,
    },
}

/// A call of a tool.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    /// As the client has it, or made up.
    pub(super) id: String,
    pub(super) name: Cow<'a, str>,
    /// The object that the arguments spell, as JSON.
    pub(super) arguments: Vec<u8>,
    /// The call, for members that only one format knows.
    pub(super) span: Span,
}

/// Reads all messages in order.
///
/// # Errors
/// What [`parts`] refuses, an unknown role, a result that no call before it asked for.
pub(super) fn read<'a>(
    body: &'a [u8],
    request: &ChatRequest,
) -> Result<Vec<Said<'a>>, RequestError> {
    let mut reader = Reader {
        body,
        called: Vec::new(),
        function_id: String::new(),
    };
    let messages = request.messages.iter().enumerate();
    messages
        .map(|(index, message)| reader.message(index, message.span, message.role))
        .collect()
}

struct Reader<'a> {
    body: &'a [u8],
    /// Id and name of every call so far.
    called: Vec<(String, Cow<'a, str>)>,
    /// Id made up for the last `function_call`, which has none of its own.
    function_id: String,
}

impl<'a> Reader<'a> {
    fn text(&self, object: Span, name: &str) -> Option<Cow<'a, str>> {
        json::string(self.body, json::member(self.body, object, name)?)
    }

    fn message(&mut self, index: usize, span: Span, role: Role) -> Result<Said<'a>, RequestError> {
        let place = format!("messages[{index}].content");
        let parts = parts(self.body, json::member(self.body, span, "content"), &place)?;
        match role {
            Role::System | Role::Developer => Ok(Said::System(parts)),
            Role::User => Ok(Said::User(parts)),
            Role::Assistant => Ok(Said::Assistant {
                message: span,
                parts,
                calls: self.calls(index, span),
            }),
            Role::Tool => {
                let place = format!("messages[{index}].tool_call_id");
                let id = self.text(span, "tool_call_id").filter(|id| !id.is_empty());
                let Some(id) = id else {
                    return Err(RequestError::invalid(
                        place,
                        "a tool message needs tool_call_id",
                    ));
                };
                let known = self.called.iter().rev().find(|(known, _)| *known == *id);
                let name = known.map(|(_, name)| name.clone());
                match name.or_else(|| self.text(span, "name")) {
                    Some(name) => Ok(Said::Result {
                        id: id.into_owned(),
                        name: name.into_owned(),
                        parts,
                    }),
                    None => Err(RequestError::invalid(
                        place,
                        "no call before it has that id",
                    )),
                }
            }
            Role::Function => Ok(Said::Result {
                id: std::mem::take(&mut self.function_id),
                name: self.text(span, "name").unwrap_or_default().into_owned(),
                parts,
            }),
            Role::Other => Err(RequestError::invalid(
                format!("messages[{index}].role"),
                "this provider knows no such role",
            )),
        }
    }

    fn calls(&mut self, index: usize, message: Span) -> Vec<Call<'a>> {
        let body = self.body;
        let list = json::member(body, message, "tool_calls").unwrap_or_default();
        let mut calls = Vec::new();
        for (number, span) in json::elements(body, list).enumerate() {
            let id = self.text(span, "id").filter(|id| !id.is_empty());
            let id = id.map_or_else(|| format!("call_{index}_{number}"), Cow::into_owned);
            let function = json::member(body, span, "function")
                .or_else(|| json::member(body, span, "custom"))
                .unwrap_or_default();
            calls.push(self.call(id, function, span));
        }
        if let Some(function) = json::member(body, message, "function_call")
            && json::kind(body, function) == Some(Kind::Object)
        {
            self.function_id = format!("call_{index}");
            calls.push(self.call(self.function_id.clone(), function, function));
        }
        calls
    }

    fn call(&mut self, id: String, function: Span, span: Span) -> Call<'a> {
        let body = self.body;
        let name = self.text(function, "name").unwrap_or_default();
        self.called.push((id.clone(), name.clone()));
        let mut arguments = Vec::new();
        let mut out = Writer::new(&mut arguments);
        match json::member(body, function, "arguments") {
            Some(text) => write_arguments(body, text, &mut out),
            None => {
                let free = self.text(function, "input").unwrap_or_default();
                out.object(|out| out.key("input").string(&free));
            }
        }
        Call {
            id,
            name,
            arguments,
            span,
        }
    }
}
