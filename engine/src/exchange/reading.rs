//! A request's body: read, inspected, and turned into the middle form where it has another.

use super::{Endpoint, Exchange, Reply, Step};
use crate::endpoint::Through;
use crate::ingress::{self, Ingress};
use crate::request::{Call, ChatRequest, RequestError};

impl Exchange {
    /// Reads the body and applies the rules for personal data to it.
    pub(super) fn read(&mut self) -> Result<(), Box<Step>> {
        if self.endpoint == Some(Endpoint::Chat) {
            let mut request = self.parsed(ChatRequest::parse)?;
            if self.inspect(&request.texts)? {
                // The provider sees the redacted name; the operator's own ledger keeps apart who
                // is who.
                let user = request.user.take();
                request = self.parsed(ChatRequest::parse)?;
                request.user = user;
            }
            self.request = Some(request);
            return Ok(());
        }
        let mut call = self.read_call()?;
        if !self.is_json {
            self.unread_input()?;
        } else if self.inspect(&call.texts)? {
            let user = call.user.take();
            call = self.parsed(Call::parse)?;
            call.user = user;
        }
        if let Some(ingress) = self.endpoint.and_then(Endpoint::ingress) {
            self.translate(ingress, &call);
        }
        self.call = Some(call);
        Ok(())
    }

    fn parsed<T>(
        &mut self,
        parse: impl FnOnce(&[u8]) -> Result<T, RequestError>,
    ) -> Result<T, Box<Step>> {
        parse(&self.body).map_err(|error| self.refuse_request(error))
    }

    fn read_call(&mut self) -> Result<Call, Box<Step>> {
        let kind = self.head.text("content-type").unwrap_or_default();
        let form = Call::of_form(kind, &self.body);
        let passes = self.through().is_some();
        if let (Some(call), true) = (form, passes) {
            return Ok(call);
        }
        if passes && self.body.is_empty() {
            return Ok(Call::default());
        }
        let call = self.parsed(Call::parse)?;
        self.is_json = true;
        if call.model.is_empty() && !passes {
            let message = "you must provide a model parameter";
            return Err(self.refuse_request(RequestError::invalid("model", message)));
        }
        Ok(call)
    }

    /// Why it cannot be said in the middle form is told only when a target needs that.
    fn translate(&mut self, ingress: Ingress, call: &Call) {
        let translated = match self.endpoint {
            // A question for a count names no limit, which every other request has to.
            Some(Endpoint::CountTokens) => ingress::messages_count_to_chat(&self.body, call.root),
            _ => ingress.to_chat(&self.body, call.root),
        };
        let read = translated.and_then(|translated| {
            let request = ChatRequest::parse(&translated.body)?;
            Ok((translated, request))
        });
        match read {
            Ok((translated, request)) => {
                self.translated = Some(translated);
                self.request = Some(request);
            }
            Err(error) => self.untranslatable = Some(error),
        }
    }

    /// The body in the middle form.
    pub(super) fn chat_body(&self) -> &[u8] {
        match &self.translated {
            Some(translated) => &translated.body,
            None => &self.body,
        }
    }

    /// The kind of call that passes as it came.
    pub(super) fn through(&self) -> Option<Through> {
        match self.endpoint {
            Some(Endpoint::Through(through)) => Some(through),
            _ => None,
        }
    }

    /// Empty when the call names none.
    pub(super) fn model_asked(&self) -> &str {
        match (&self.call, &self.request) {
            (Some(call), _) => &call.model,
            (None, Some(request)) => &request.model,
            (None, None) => "",
        }
    }

    /// Answers how many tokens a conversation has.
    pub(super) fn counted(&mut self, tokens: u64) -> Step {
        let body = ingress::count_tokens_answer(tokens);
        self.reply(Reply {
            status: 200,
            headers: self.reply_headers("application/json"),
            body,
        })
    }

    /// An error, given as OpenAI's body, in the caller's form.
    pub(super) fn spoken(&self, status: u16, openai: Vec<u8>) -> Vec<u8> {
        match self.client_form() {
            Some(ingress) => ingress.error(status, openai, &self.id),
            None => openai,
        }
    }

    /// What the client speaks, when it is not Chat Completions.
    pub fn client_form(&self) -> Option<Ingress> {
        match self.endpoint? {
            // Both makers' clients ask at one path.
            Endpoint::Models if self.head.get("anthropic-version").is_some() => {
                Some(Ingress::Messages)
            }
            endpoint => endpoint.ingress(),
        }
    }
}
