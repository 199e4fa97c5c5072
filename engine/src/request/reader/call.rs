//! Requests that are no chat completion: all are read alike.

use super::{Reader, name, repeated};
use crate::json::Span;
use crate::request::members::{OF_CALL, Seen};
use crate::request::{Call, RequestError};

pub(in crate::request) fn read(body: &[u8]) -> Result<Call, RequestError> {
    let mut reader = Reader::new(body)?;
    let mut seen = Seen::default();
    while let Some(key) = reader.walk.key() {
        let name = &*name(body, key);
        seen.note(OF_CALL, name)
            .map_err(|(member, fault)| repeated(member.to_owned(), fault))?;
        let start = reader.walk.position();
        match name {
            b"input" | b"instructions" | b"messages" | b"prompt" | b"system" => reader.parts(),
            b"model" => reader.pass(),
            b"output_config" | b"text" | b"tool_choice" | b"tools" => reader.definition(),
            _ => reader.free(),
        }
        let end = reader.walk.passed();
        if matches!(name, b"model" | b"stream" | b"stream_options" | b"user") {
            reader.parameter(name, Span { start, end })?;
        }
    }
    let found = reader.found;
    Ok(Call {
        root: found.root,
        model_span: Some(found.model_span).filter(|span| !span.is_empty()),
        model: found.model,
        stream: found.stream,
        include_usage: found.include_usage,
        user: found.user,
        texts: found.texts,
    })
}
