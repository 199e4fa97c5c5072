//! One request on its way to an answer, and the faults on that way.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use e2e::behaviour::{Behaviour, Ending, Recorded, Split};
use hyper::Response;
use serde_json::Value;

use crate::call::{Asked, Call, Complaint, Content, Pieces, Request};
use crate::chat::Dialect;
use crate::delivery::{self, Breaker, Feed, Gone, Paced};
use crate::state::State;
use crate::{openai, words};

/// One request on its way to an answer.
pub(crate) struct Exchange {
    pub(crate) state: Arc<State>,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) request: Recorded,
    pub(crate) body: Bytes,
}

impl Exchange {
    pub(crate) async fn answer(self) -> io::Result<Response<Paced>> {
        let path = self.request.path.split('?').next().unwrap_or_default();
        if self.request.method == "GET" && path.ends_with("/models") {
            return Ok(whole(200, openai::models().to_string()));
        }
        let Some(call) = Call::of(&self.request.method, path) else {
            return Ok(whole(
                404,
                openai::error_body(404, "Invalid URL").to_string(),
            ));
        };
        let request = Request {
            recorded: &self.request,
            bytes: &self.body,
            json: self.request.json(),
        };
        let (dialect, asked) = (call.dialect, call.read(&request));
        let model = match &asked {
            Ok(asked) => asked.model.clone(),
            Err(_) => request.json["model"].as_str().map(str::to_owned),
        };
        let behaviour = self
            .state
            .scripted(&self.request, model.as_deref())
            .or_else(|| Behaviour::of_prompt(&asked.as_ref().ok()?.text))
            .or_else(|| Behaviour::of_model(model.as_deref()?))
            .unwrap_or_default();
        match asked {
            Err(complaint) => Ok(self.refusal(dialect, &complaint, &behaviour)),
            Ok(asked) => self.perform(dialect, asked, behaviour).await,
        }
    }

    fn refusal(
        &self,
        dialect: Dialect,
        complaint: &Complaint,
        behaviour: &Behaviour,
    ) -> Response<Paced> {
        let Complaint { status, message } = complaint;
        let body = behaviour
            .body
            .clone()
            .unwrap_or_else(|| words::error_body(dialect, *status, message).to_string());
        self.state
            .record(self.request.id, |recorded| recorded.answered = true);
        with_headers(whole(*status, body), behaviour)
    }

    async fn perform(
        self,
        dialect: Dialect,
        asked: Asked,
        behaviour: Behaviour,
    ) -> io::Result<Response<Paced>> {
        match behaviour.ending {
            Ending::ResetBeforeHead => {
                self.breaker.arm();
                return Err(io::Error::other("told to reset"));
            }
            Ending::Hang => {
                // Dropped when the client closes the connection.
                let id = self.request.id;
                let _mark = AbortMark {
                    state: Some(Arc::clone(&self.state)),
                    id,
                };
                return std::future::pending().await;
            }
            _ => {}
        }
        {
            let mark = AbortMark {
                state: Some(Arc::clone(&self.state)),
                id: self.request.id,
            };
            tokio::time::sleep(std::time::Duration::from_millis(behaviour.first_byte_ms)).await;
            mark.disarm();
        }
        if let Some(status) = behaviour.status.filter(|status| *status >= 400) {
            let complaint = Complaint {
                status,
                message: "The fake provider was told to fail".to_owned(),
            };
            return Ok(self.refusal(dialect, &complaint, &behaviour));
        }
        if let Some(body) = &behaviour.body {
            self.state
                .record(self.request.id, |recorded| recorded.answered = true);
            return Ok(with_headers(
                whole(behaviour.status.unwrap_or(200), body.clone()),
                &behaviour,
            ));
        }
        let reply = match (asked.reply)(&behaviour, &self.state.shelf) {
            Ok(reply) => reply,
            Err(complaint) => return Ok(self.refusal(dialect, &complaint, &behaviour)),
        };
        let mut response = match reply.content {
            Content::Json(value) => self.json(&value, behaviour),
            Content::Pieces(pieces) => self.stream(pieces, behaviour),
        };
        for (name, value) in reply.headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        Ok(response)
    }

    /// A JSON answer, printed as OpenAI prints it.
    fn json(self, value: &Value, behaviour: Behaviour) -> Response<Paced> {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        let length = text.len();
        let (feed, body) = delivery::body(behaviour.split, Some(length as u64));
        let response = head(200, "application/json", body);
        let response = with_headers(response, &behaviour);
        tokio::spawn(async move {
            let sent = match behaviour.ending {
                Ending::Complete => feed.send(text).await,
                _ => feed.send(text[..length / 2].to_owned()).await,
            };
            self.finish(feed, sent, behaviour.ending).await;
        });
        response
    }

    fn stream(self, pieces: Pieces, behaviour: Behaviour) -> Response<Paced> {
        let (feed, body) = delivery::body(behaviour.split, None);
        let response = head(200, pieces.kind, body);
        let response = with_headers(response, &behaviour);
        tokio::spawn(async move {
            let sent = self.feed_pieces(&feed, pieces, &behaviour).await;
            let ending = if behaviour.empty {
                Ending::Complete
            } else {
                behaviour.ending
            };
            self.finish(feed, sent, ending).await;
        });
        response
    }

    async fn feed_pieces(
        &self,
        feed: &Feed,
        pieces: Pieces,
        behaviour: &Behaviour,
    ) -> Result<(), Gone> {
        let Pieces {
            events,
            encode,
            error,
            ..
        } = pieces;
        let word = |event: &str| {
            let noise = if behaviour.comments {
                ": keep-alive\n\n"
            } else {
                ""
            };
            let text = format!("{noise}{event}");
            if behaviour.crlf {
                encode(&text.replace('\n', "\r\n"))
            } else {
                encode(&text)
            }
        };
        if behaviour.empty {
            return Ok(());
        }
        if behaviour.error_after == Some(0) {
            return feed.send(word(&error)).await;
        }
        if behaviour.split == Split::Whole {
            let all = events.head.iter().chain(&events.pieces).chain(&events.tail);
            return feed
                .send(all.flat_map(|event| word(event)).collect::<Vec<u8>>())
                .await;
        }
        let broken = behaviour.ending != Ending::Complete;
        if !(broken && behaviour.after_chunks == 0) {
            for event in &events.head {
                feed.send(word(event)).await?;
            }
        }
        for (index, event) in events.pieces.iter().enumerate() {
            if broken && index >= behaviour.after_chunks as usize {
                return Ok(());
            }
            if behaviour
                .error_after
                .is_some_and(|after| index >= after as usize)
            {
                return feed.send(word(&error)).await;
            }
            feed.pause(behaviour.chunk_ms).await?;
            feed.send(word(event)).await?;
            self.state
                .record(self.request.id, |recorded| recorded.chunks_sent += 1);
        }
        if broken {
            return Ok(());
        }
        for event in &events.tail {
            feed.send(word(event)).await?;
        }
        Ok(())
    }

    async fn finish(&self, feed: Feed, sent: Result<(), Gone>, ending: Ending) {
        let id = self.request.id;
        match sent {
            Err(Gone) => self.state.record(id, |recorded| recorded.aborted = true),
            Ok(()) if matches!(ending, Ending::Hang | Ending::Stall) => {
                feed.end(ending, &self.breaker).await;
                self.state.record(id, |recorded| recorded.aborted = true);
            }
            Ok(()) => {
                self.state.record(id, |recorded| {
                    recorded.answered = ending == Ending::Complete
                });
                feed.end(ending, &self.breaker).await;
            }
        }
    }
}

/// Marks a request as aborted when the connection drops its future.
struct AbortMark {
    state: Option<Arc<State>>,
    id: usize,
}

impl AbortMark {
    fn disarm(mut self) {
        self.state = None;
    }
}

impl Drop for AbortMark {
    fn drop(&mut self) {
        if let Some(state) = &self.state {
            state.record(self.id, |recorded| recorded.aborted = true);
        }
    }
}

fn head(status: u16, content_type: &'static str, body: Paced) -> Response<Paced> {
    let mut response = Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(
        "content-type",
        hyper::header::HeaderValue::from_static(content_type),
    );
    headers.insert(
        "x-request-id",
        hyper::header::HeaderValue::from_static("req_fake1"),
    );
    response
}

/// A complete JSON response.
pub(crate) fn whole(status: u16, body: String) -> Response<Paced> {
    let (feed, paced) = delivery::body(Split::Whole, Some(body.len() as u64));
    tokio::spawn(async move { feed.send(body).await.ok() });
    head(status, "application/json", paced)
}

fn with_headers(mut response: Response<Paced>, behaviour: &Behaviour) -> Response<Paced> {
    for (name, value) in &behaviour.headers {
        let name = hyper::header::HeaderName::from_bytes(name.as_bytes());
        let value = hyper::header::HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
