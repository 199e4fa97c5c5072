//! How an answer is read: as what the call to the provider was, for what the client speaks.

use super::native::Native;
use super::stream::{AnswerStream, Decoded, Encoded};
use super::{Endpoint, Exchange};
use crate::dialect::{self, DecodeError, FirstEvent, Form, StreamDecoder};
use crate::ingress::{self, Ingress, StreamEncoder};
use crate::json;
use crate::usage::Usage;
use crate::wire::Dialect;

impl Exchange {
    /// Reads a complete answer of the current target as what the call to it was.
    pub(super) fn read_answer(
        &self,
        created_s: u64,
        body: Vec<u8>,
    ) -> Result<dialect::Answer, DecodeError> {
        let target = self.target().ok_or(DecodeError::Invalid)?;
        let (dialect, model) = (target.provider.dialect, target.model.as_str());
        match self.form(target) {
            Form::Chat => dialect::decode_answer(dialect, model, created_s, body),
            Form::Embeddings => {
                let context = dialect::embeddings::Context {
                    request: &self.body,
                    model,
                    tokens_in: self.tokens_in,
                };
                dialect::embeddings::decode_answer(dialect, &context, body)
            }
            Form::Native(_) if self.endpoint == Some(Endpoint::CountTokens) => count(body),
            Form::Native(Ingress::Messages) => {
                let read = dialect::decode_answer(dialect, model, created_s, body.clone())?;
                Ok(dialect::Answer {
                    body,
                    bare_root: None,
                    ..read
                })
            }
            Form::Native(Ingress::Responses) => dialect::responses::decode_answer(body),
            Form::Native(_) => dialect::decode_answer(Dialect::Openai, model, created_s, body),
            Form::Through(_) => Ok(dialect::Answer {
                body,
                usage: None,
                text: String::new(),
                bare_root: None,
            }),
        }
    }

    /// The form that the provider's answer has to be turned into.
    pub(super) fn translation(&self) -> Option<Ingress> {
        let ingress = self.endpoint.and_then(Endpoint::ingress)?;
        let form = self.target().map(|target| self.form(target));
        (form == Some(Form::Chat)).then_some(ingress)
    }

    pub(super) fn context<'a>(&'a self, created_s: u64) -> ingress::Context<'a> {
        ingress::Context {
            exchange: &self.id,
            created_s,
            model: self.model_asked(),
            tokens_in: self.tokens_in,
            echo: self
                .translated
                .as_ref()
                .map(|translated| translated.echo.as_slice())
                .unwrap_or_default(),
        }
    }

    /// Judges a stream by its beginning, as what the call was.
    pub(super) fn first_event(&self, so_far: &[u8], end: bool) -> Option<FirstEvent> {
        let target = self.target()?;
        Some(match self.form(target) {
            Form::Native(Ingress::Responses) => dialect::responses::first_event(so_far, end),
            Form::Native(Ingress::Completions) => {
                dialect::first_event(Dialect::Openai, so_far, end)
            }
            _ => dialect::first_event(target.provider.dialect, so_far, end),
        })
    }

    /// What decodes the stream, and what becomes of it.
    pub(super) fn open(&self, created_s: u64) -> Option<AnswerStream> {
        let target = self.target()?;
        let (dialect, model) = (target.provider.dialect, target.model.as_str());
        let decoder =
            |dialect, usage| StreamDecoder::new(dialect, model, created_s, &self.id, usage);
        Some(match (self.form(target), self.translation()) {
            (Form::Native(Ingress::Completions), _) => {
                let decoder = decoder(Dialect::Openai, self.shows_usage());
                AnswerStream::Decoded(Box::new(Decoded::new(decoder, self.answer_guard())))
            }
            (Form::Native(ingress), _) => {
                let decoder = decoder(dialect, false);
                AnswerStream::Native(Native::new(ingress, decoder, self.answer_guard()))
            }
            (_, Some(ingress)) => {
                let encoder = StreamEncoder::new(ingress, &self.context(created_s));
                let decoded = Decoded::new(decoder(dialect, true), self.answer_guard());
                AnswerStream::Encoded(Box::new(Encoded::new(ingress, decoded, encoder)))
            }
            _ => {
                let decoder = decoder(dialect, self.shows_usage());
                AnswerStream::Decoded(Box::new(Decoded::new(decoder, self.answer_guard())))
            }
        })
    }

    /// Whether the client asked for a chunk with the usage.
    pub(super) fn shows_usage(&self) -> bool {
        match (&self.call, &self.request) {
            (Some(call), _) => call.include_usage,
            (None, Some(request)) => request.include_usage,
            (None, None) => false,
        }
    }
}

/// The answer to a question for a count: it costs nothing.
fn count(body: Vec<u8>) -> Result<dialect::Answer, DecodeError> {
    let root = json::document(&body).map_err(|_| DecodeError::Invalid)?;
    let tokens = json::member(&body, root, "input_tokens");
    let tokens = tokens.and_then(|tokens| json::number_u64(&body, tokens));
    tokens.ok_or(DecodeError::Invalid)?;
    Ok(dialect::Answer {
        body,
        usage: Some(Usage::default()),
        text: String::new(),
        bare_root: None,
    })
}
