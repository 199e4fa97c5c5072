//! Requests that are no chat completion: all are read alike.

use super::{Reader, name, repeated};
use crate::json::Span;
use crate::request::members::{OF_CALL, Seen};
use crate::request::{Call, RequestError};

pub(in crate::request) fn read(body: &[u8]) -> Result<Call, RequestError> {
    let mut reader = Reader::new(body);
    let read = reader.call();
    reader.finish(read)?;
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

impl Reader<'_> {
    fn call(&mut self) -> Result<(), RequestError> {
        self.open()?;
        let mut seen = Seen::default();
        while let Some(key) = self.walk.key() {
            let name = &*name(self.body, key);
            seen.note(OF_CALL, name)
                .map_err(|(member, fault)| repeated(member.to_owned(), fault))?;
            let start = self.walk.position();
            match name {
                b"input" | b"instructions" | b"messages" | b"prompt" | b"system" => self.parts(),
                b"model" => self.pass(),
                b"output_config" | b"text" | b"tool_choice" | b"tools" => self.definition(),
                _ => self.free(),
            }
            let end = self.walk.passed();
            if matches!(name, b"model" | b"stream" | b"stream_options" | b"user") {
                self.parameter(name, Span { start, end })?;
            }
        }
        Ok(())
    }
}
