//! Connections, the record of requests, and the control interface.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use e2e::behaviour::{Behaviour, Ending, Recorded, Script, Split};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::chat::{Answer, Dialect, Question};
use crate::delivery::{self, Breaker, Feed, Gone, Paced};
use crate::openai::Events;
use crate::{openai, words};

/// What all connections share.
#[derive(Default)]
pub(crate) struct State {
    next_id: AtomicUsize,
    requests: Mutex<Vec<Recorded>>,
    scripts: Mutex<Vec<Script>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl State {
    fn record(&self, id: usize, change: impl FnOnce(&mut Recorded)) {
        if let Some(recorded) = locked(&self.requests)
            .iter_mut()
            .rev()
            .find(|one| one.id == id)
        {
            change(recorded);
        }
    }

    fn scripted(&self, request: &Recorded, model: Option<&str>) -> Option<Behaviour> {
        let mut scripts = locked(&self.scripts);
        let index = scripts.iter().position(|script| {
            script
                .model
                .as_deref()
                .is_none_or(|wanted| Some(wanted) == model)
                && script
                    .contains
                    .as_deref()
                    .is_none_or(|wanted| request.body.contains(wanted))
                && script
                    .header
                    .as_ref()
                    .is_none_or(|(name, value)| request.header(name) == Some(value.as_str()))
        })?;
        let behaviour = scripts[index].behaviour.clone();
        match scripts[index].times {
            0 => {}
            1 => drop(scripts.remove(index)),
            _ => scripts[index].times -= 1,
        }
        Some(behaviour)
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(stream: TcpStream, state: Arc<State>) {
    let (Ok(()), Ok(breaker)) = (stream.set_nodelay(true), Breaker::new(&stream)) else {
        return;
    };
    let breaker = Arc::new(breaker);
    let service = hyper::service::service_fn(move |request| {
        respond(request, Arc::clone(&state), Arc::clone(&breaker))
    });
    // An error here is a client that went away, or a fault we were told to make.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(1 << 20)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(
    request: Request<Incoming>,
    state: Arc<State>,
    breaker: Arc<Breaker>,
) -> io::Result<Response<Paced>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    if path.starts_with("/_") {
        return Ok(control(head.method.as_str(), &path, &body, &state));
    }
    let mut request = Recorded {
        method: head.method.to_string(),
        path,
        headers: head
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        ..Recorded::default()
    };
    {
        let mut requests = locked(&state.requests);
        request.id = state.next_id.fetch_add(1, Ordering::Relaxed);
        requests.push(request.clone());
    }
    Exchange {
        state,
        breaker,
        request,
    }
    .answer()
    .await
}

/// One request on its way to an answer.
struct Exchange {
    state: Arc<State>,
    breaker: Arc<Breaker>,
    request: Recorded,
}

impl Exchange {
    async fn answer(self) -> io::Result<Response<Paced>> {
        let path = self.request.path.split('?').next().unwrap_or_default();
        if self.request.method == "GET" && path.ends_with("/models") {
            return Ok(whole(200, openai::models().to_string()));
        }
        let Some(dialect) = Dialect::of_path(path) else {
            return Ok(whole(
                404,
                openai::error_body(404, "Invalid URL").to_string(),
            ));
        };
        let body = self.request.json();
        let question = words::question(dialect, &self.request, &body);
        let model = question
            .as_ref()
            .map_or_else(|_| body["model"].as_str(), |question| Some(&question.model));
        let model = model.map(str::to_owned);
        let behaviour = self
            .state
            .scripted(&self.request, model.as_deref())
            .or_else(|| Behaviour::of_prompt(&question.as_ref().ok()?.last_text))
            .or_else(|| Behaviour::of_model(model.as_deref()?))
            .unwrap_or_default();
        match question {
            Err(complaint) => {
                let status = words::complaint_status(dialect);
                Ok(self.refusal(dialect, status, &complaint, &behaviour))
            }
            Ok(question) => self.perform(dialect, question, behaviour).await,
        }
    }

    fn refusal(
        &self,
        dialect: Dialect,
        status: u16,
        message: &str,
        behaviour: &Behaviour,
    ) -> Response<Paced> {
        let body = behaviour
            .body
            .clone()
            .unwrap_or_else(|| words::error_body(dialect, status, message).to_string());
        self.state
            .record(self.request.id, |recorded| recorded.answered = true);
        with_headers(whole(status, body), behaviour)
    }

    async fn perform(
        self,
        dialect: Dialect,
        question: Question,
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
            return Ok(self.refusal(
                dialect,
                status,
                "The fake provider was told to fail",
                &behaviour,
            ));
        }
        if let Some(body) = &behaviour.body {
            self.state
                .record(self.request.id, |recorded| recorded.answered = true);
            return Ok(with_headers(
                whole(behaviour.status.unwrap_or(200), body.clone()),
                &behaviour,
            ));
        }
        let answer = Answer::of(&question, &behaviour);
        if question.stream {
            let events = words::events(dialect, &answer, &question, &behaviour);
            Ok(self.stream(dialect, events, behaviour))
        } else {
            let value = words::answer(dialect, &answer, &behaviour);
            Ok(self.json(&value, behaviour))
        }
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

    fn stream(self, dialect: Dialect, events: Events, behaviour: Behaviour) -> Response<Paced> {
        let (feed, body) = delivery::body(behaviour.split, None);
        let response = head(200, words::stream_type(dialect), body);
        let response = with_headers(response, &behaviour);
        tokio::spawn(async move {
            let sent = self.feed_events(&feed, dialect, events, &behaviour).await;
            let ending = if behaviour.empty {
                Ending::Complete
            } else {
                behaviour.ending
            };
            self.finish(feed, sent, ending).await;
        });
        response
    }

    async fn feed_events(
        &self,
        feed: &Feed,
        dialect: Dialect,
        events: Events,
        behaviour: &Behaviour,
    ) -> Result<(), Gone> {
        let word = |event: &str| {
            let noise = if behaviour.comments {
                ": keep-alive\n\n"
            } else {
                ""
            };
            let text = format!("{noise}{event}");
            if behaviour.crlf {
                words::bytes(dialect, &text.replace('\n', "\r\n"))
            } else {
                words::bytes(dialect, &text)
            }
        };
        let error = words::error_event(dialect);
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

fn control(method: &str, path: &str, body: &Bytes, state: &State) -> Response<Paced> {
    match (method, path) {
        ("GET", "/_requests") => whole(
            200,
            serde_json::to_string(&*locked(&state.requests)).unwrap_or_default(),
        ),
        ("DELETE", "/_requests") => {
            locked(&state.requests).clear();
            whole(200, "{}".to_owned())
        }
        ("POST", "/_script") => match serde_json::from_slice::<Script>(body) {
            Ok(script) => {
                locked(&state.scripts).push(script);
                whole(200, "{}".to_owned())
            }
            Err(error) => whole(400, json!({"error": error.to_string()}).to_string()),
        },
        ("DELETE", "/_script") => {
            locked(&state.scripts).clear();
            whole(200, "{}".to_owned())
        }
        _ => whole(404, "{}".to_owned()),
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
fn whole(status: u16, body: String) -> Response<Paced> {
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
