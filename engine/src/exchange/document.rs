//! An answer that is one document: read, priced, and written in the client's form.

use super::result::{metadata, with_metadata};
use super::{AnswerBody, Endpoint, Env, Exchange};
use crate::dialect::DecodeError;
use crate::ingress::Ingress;
use crate::json;
use crate::limits;
use crate::reply::Code;
use crate::usage::{NanoUsd, Usage};
use crate::wire::{CachePut, CachedAnswer, Ending};

impl Exchange {
    pub(super) fn document(&mut self, env: &mut Env<'_>, body: Vec<u8>) -> AnswerBody {
        let created_s = env.now_ms / 1000;
        let read = self.read_answer(created_s, body);
        if !matches!(&read, Ok(answer) if answer.usage.is_some()) {
            self.count_prompt(env);
        }
        let answer = match read {
            Ok(answer) => answer,
            Err(DecodeError::Reported(error)) => {
                return self.replaced_by_error(error.status, error.body, Code::UpstreamError);
            }
            Err(DecodeError::Invalid) => return self.unreadable(),
        };
        let usage = answer.usage.unwrap_or_else(|| {
            self.outcome.metered_output = self.count(env, &answer.text);
            Usage {
                input: self.tokens_in,
                output: self.outcome.metered_output,
                ..Usage::default()
            }
        });
        self.outcome.usage = answer.usage;
        let cost = self.price(&usage);
        let mut watch = self.answer_guard();
        let Some(mut body) = self.guarded(watch.as_deref_mut(), answer.body) else {
            self.count_prompt(env);
            return self.denied_answer();
        };
        // Where nobody changes the answer, it is not looked through again.
        let mut bare_root = answer.bare_root.filter(|_| watch.is_none());
        if let Some(ingress) = self.translation() {
            bare_root = None;
            body = ingress.answer(&body, &self.context(created_s));
        }
        let put = self.cache_put(&body, false, usage);
        if self.has_metadata() {
            let metadata = self.metadata(false, cost, None);
            body = match bare_root {
                Some(root) => json::with_first_member(&body, root, "metadata", &metadata),
                None => with_metadata(&body, &metadata),
            };
        }
        body = self.reported(body);
        let headers = self.answer_headers(Some((cost, usage)), Some(body.len()));
        self.finish(Ending::Done);
        let step = AnswerBody {
            headers: Some(headers),
            body: Some(body),
            put,
            ..AnswerBody::default()
        };
        match watch {
            Some(mut watch) => self.before_answer(env, &mut watch, step),
            None => step,
        }
    }

    /// Whether an answer has a place for what it cost; elsewhere the headers say it.
    pub(super) fn has_metadata(&self) -> bool {
        matches!(
            self.endpoint,
            Some(Endpoint::Chat | Endpoint::Conversation(Ingress::Completions))
        )
    }

    pub(super) fn cache_put(&self, body: &[u8], stream: bool, usage: Usage) -> Option<CachePut> {
        let key = self.cache_key.clone().filter(|_| self.wishes.cache_store)?;
        if body.len() > limits::CACHED_BODY_BYTES_MAX {
            return None;
        }
        let target = self.target()?;
        let answer = CachedAnswer {
            provider: target.provider.name.clone(),
            model: target.model.clone(),
            body: String::from_utf8(body.to_vec()).ok()?,
            stream,
            usage,
        };
        Some(CachePut {
            key,
            ttl_s: self.plan.cache_ttl_s?,
            answer,
        })
    }

    /// The `metadata` member of an answer, as JSON.
    pub(super) fn metadata(&self, hit: bool, cost: NanoUsd, usage: Option<Usage>) -> String {
        let provider = self
            .target()
            .map(|t| t.provider.name.as_str())
            .unwrap_or_default();
        metadata(hit, provider, cost, usage)
    }
}
