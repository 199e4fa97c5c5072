//! Answers out of the cache.

use super::result::{metadata, push_result, with_metadata};
use super::stream::write_comment;
use super::{Endpoint, Exchange, Reply, Step};
use crate::dialect::{EVENT_STREAM, StreamDecoder};
use crate::wire::{CacheStatus, CachedAnswer, Dialect, Ending};

impl Exchange {
    /// A cached answer, replayed in the form it was asked for.
    pub(super) fn replay(&mut self, cached: &CachedAnswer) -> Step {
        self.outcome.cache = CacheStatus::Hit;
        self.outcome.usage = Some(cached.usage);
        let usage = cached.stream.then_some(cached.usage);
        let metadata = metadata(true, &cached.provider, 0, usage);
        let is_chat = self.endpoint == Some(Endpoint::Chat);
        let (kind, body) = match cached.stream {
            true if is_chat => (EVENT_STREAM, self.replayed_chat(cached, &metadata)),
            true => {
                let mut body = cached.body.as_bytes().to_vec();
                write_comment(&metadata, &mut body);
                (EVENT_STREAM, body)
            }
            false if self.has_metadata() => {
                let body = with_metadata(cached.body.as_bytes(), &metadata);
                ("application/json", body)
            }
            false => ("application/json", cached.body.as_bytes().to_vec()),
        };
        let mut headers = self.reply_headers(kind);
        push_result(
            &mut headers,
            &cached.provider,
            &cached.model,
            Some((0, cached.usage)),
        );
        let step = self.reply(Reply {
            status: 200,
            headers,
            body,
        });
        self.outcome.code = None;
        self.outcome.ending = Some(Ending::Done);
        self.replayed_from = Some((cached.provider.clone(), cached.model.clone()));
        step
    }

    /// What the cache holds went through a decoder before: this pass changes nothing in it and
    /// learns what the end has to repeat.
    fn replayed_chat(&self, cached: &CachedAnswer, metadata: &str) -> Vec<u8> {
        let mut body = Vec::with_capacity(cached.body.len().saturating_add(512));
        let asked = self.shows_usage();
        let mut decoder = StreamDecoder::new(Dialect::Openai, &cached.model, 0, &self.id, asked);
        decoder.push(cached.body.as_bytes(), &mut body);
        decoder.set_usage(cached.usage);
        decoder.tail(metadata, &mut body);
        body
    }
}
