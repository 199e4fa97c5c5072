//! Clients that stream, and leave when they like.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::behaviour::{Behaviour, Ending};
use e2e::fleet::Fleet;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::plan::Dice;

/// The longest that a client waits for an answer's end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one client asked for, and what came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted {
    /// In the prompt, and the trace id.
    pub(super) mark: String,
    /// Index of the key.
    pub(super) key: usize,
    pub(super) place: usize,
    pub(super) sent: Duration,
    pub(super) ended: Duration,
    /// Until there was a status.
    pub(super) waited: Duration,
    pub(super) status: Option<u16>,
    pub(super) code: String,
    pub(super) exchange: String,
    /// Words of the provider that arrived.
    pub(super) words: u64,
    /// The answer's proper end arrived.
    pub(super) complete: bool,
    /// The client left before the end.
    pub(super) left: bool,
    /// What broke, when the connection did.
    pub(super) broken: String,
    /// What the answer said that it cost.
    pub(super) cost_nano: Option<i64>,
}

/// One client.
pub(super) struct Client {
    pub(super) fleet: Arc<Fleet>,
    pub(super) number: u64,
    /// Its key, and that key's index.
    pub(super) key: (String, usize),
    pub(super) dice: Dice,
    pub(super) began: Instant,
    pub(super) until: Duration,
    pub(super) manner: Manner,
}

/// How a client asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    /// For anything anywhere, with so many milliseconds between two words of the provider, at least and at most.
    Slow { pace_ms: (u64, u64) },
    /// For something short at one place so often: keys of such clients get leases.
    Busy { place: usize, every: Duration },
}

/// The longest answer that a busy client asks for, in words.
const SHORT_WORDS: u64 = 10;
/// Tokens of a word as Weir counts them, at most.
const WORD_TOKENS: u64 = 3;

/// When a client leaves.
enum Leave {
    Never,
    AfterBytes(usize),
    After(Duration),
}

impl Client {
    /// Asks one thing after the other until the time is over.
    pub(super) async fn run(mut self) -> Vec<Noted> {
        let http = reqwest::Client::new();
        let mut noted = Vec::new();
        while self.began.elapsed() < self.until {
            let one = self.ask(&http, noted.len()).await;
            let (served, took) = (one.status == Some(200), one.ended.saturating_sub(one.sent));
            noted.push(one);
            let pause = match (served, self.manner) {
                (false, _) => Duration::from_millis(self.dice.between(200, 1_200)),
                (true, Manner::Slow { .. }) => Duration::from_millis(self.dice.roll(40)),
                (true, Manner::Busy { every, .. }) => every.saturating_sub(took),
            };
            tokio::time::sleep(pause).await;
        }
        noted
    }

    async fn ask(&mut self, http: &reqwest::Client, count: usize) -> Noted {
        let dice = &mut self.dice;
        let mark = format!("soak-{}-{count}-", self.number);
        let place = match self.manner {
            Manner::Busy { place, .. } => place,
            Manner::Slow { .. } => {
                usize::try_from(dice.roll(self.fleet.places.len() as u64)).unwrap_or(0)
            }
        };
        let (path, body) = match self.manner {
            Manner::Busy { .. } => short_request(dice, &mark),
            Manner::Slow { pace_ms } => request(dice, &mark, pace_ms),
        };
        let leave = match dice.roll(100) {
            0..20 => Leave::AfterBytes(usize::try_from(dice.roll(8_000)).unwrap_or(0)),
            20..26 => Leave::After(Duration::from_millis(dice.roll(400))),
            _ => Leave::Never,
        };
        let (key, index) = &self.key;
        let mut noted = Noted {
            mark: mark.clone(),
            key: *index,
            place,
            sent: self.began.elapsed(),
            ..Noted::default()
        };
        let mut text = Vec::new();
        let sent = http
            .post(self.fleet.url(place, path))
            .header("x-weir-trace-id", &mark)
            .bearer_auth(key)
            .json(&body)
            .timeout(PATIENCE)
            .send();
        let (began, bytes) = (self.began, usize::MAX);
        let left = match leave {
            Leave::Never => receive(&mut noted, &mut text, sent, began, bytes).await,
            Leave::AfterBytes(bytes) => receive(&mut noted, &mut text, sent, began, bytes).await,
            Leave::After(time) => {
                let received = receive(&mut noted, &mut text, sent, began, bytes);
                tokio::time::timeout(time, received).await.unwrap_or(true)
            }
        };
        noted.ended = began.elapsed();
        noted.read(&String::from_utf8_lossy(&text));
        noted.left = left && !noted.complete;
        noted
    }
}

/// Reads an answer up to its end, or up to `most` bytes: whether these came first.
async fn receive(
    noted: &mut Noted,
    text: &mut Vec<u8>,
    sent: impl Future<Output = reqwest::Result<reqwest::Response>>,
    began: Instant,
    most: usize,
) -> bool {
    let response = match sent.await {
        Ok(response) => response,
        Err(error) => {
            noted.waited = began.elapsed().saturating_sub(noted.sent);
            noted.broken = format!("{error:?}");
            return false;
        }
    };
    noted.waited = began.elapsed().saturating_sub(noted.sent);
    noted.status = Some(response.status().as_u16());
    let exchange = response.headers().get("x-weir-request-id");
    let exchange = exchange.and_then(|id| id.to_str().ok()).unwrap_or_default();
    noted.exchange = exchange.to_owned();
    let mut body = response.bytes_stream();
    while text.len() < most {
        match body.next().await {
            Some(Ok(piece)) => text.extend_from_slice(&piece),
            Some(Err(error)) => {
                noted.broken = format!("{error:?}");
                break;
            }
            None => break,
        }
    }
    text.len() >= most
}

impl Noted {
    fn read(&mut self, text: &str) {
        let words = text.match_indices("tok").filter_map(|(at, _)| {
            let digits = text[at + 3..].split(|c: char| !c.is_ascii_digit()).next()?;
            // A number that was cut is not known yet.
            let whole = text.len() > at + 3 + digits.len();
            digits.parse::<u64>().ok().filter(|_| whole)
        });
        self.words = words.max().map_or(0, |last| last + 1);
        if let Ok(body) = serde_json::from_str::<Value>(text) {
            self.complete = true;
            let code = body["error"]["code"].as_str();
            self.code = code.unwrap_or_default().to_owned();
        }
        let ends = [
            "data: [DONE]",
            "event: message_stop",
            "event: response.completed",
        ];
        let ends = ends.iter().any(|end| text.contains(end));
        self.complete |= ends || text.contains("event: response.incomplete");
        if let Some((_, rest)) = text.rsplit_once("\"cost_usd\":") {
            let end = rest.find([',', '}']);
            self.cost_nano = end.and_then(|end| nano(rest[..end].trim()));
        }
    }
}

/// Nano-dollars of a plain decimal.
fn nano(decimal: &str) -> Option<i64> {
    let (whole, part) = decimal.split_once('.').unwrap_or((decimal, ""));
    let digits = format!("{whole}{part:0<9}");
    digits.parse().ok().filter(|_| part.len() <= 9)
}

/// Path and body of some request, most of them streams.
fn request(dice: &mut Dice, mark: &str, pace_ms: (u64, u64)) -> (&'static str, Value) {
    let words = u32::try_from(dice.between(3, 70)).unwrap_or(3);
    let behaviour = Behaviour {
        chunks: Some(words),
        chunk_ms: dice.between(pace_ms.0, pace_ms.1),
        ..Behaviour::default()
    };
    let model = match dice.roll(10) {
        0 => "claude-3-sonnet",
        _ => "gpt-4o-mini",
    };
    let stream = dice.roll(10) > 0;
    let behaviour = ended(dice, behaviour, stream && model.starts_with("gpt"));
    let mut body = body(
        dice,
        (model, stream),
        &format!("{mark} {}", behaviour.directive()),
    );
    if body.0 == "/v1/messages" {
        body.1["max_tokens"] = json!(4_000);
    }
    body
}

/// The same for something short.
fn short_request(dice: &mut Dice, mark: &str) -> (&'static str, Value) {
    let words = u32::try_from(dice.between(3, SHORT_WORDS)).unwrap_or(3);
    let behaviour = Behaviour {
        chunks: Some(words),
        ..Behaviour::default()
    };
    let stream = dice.roll(2) == 0;
    let behaviour = ended(dice, behaviour, stream);
    let text = format!("{mark} {}", behaviour.directive());
    let (path, mut body) = body(dice, ("gpt-4o-mini", stream), &text);
    let cap = match path {
        "/v1/responses" => "max_output_tokens",
        _ => "max_tokens",
    };
    // Without a cap no lease would reach for what an answer can cost.
    body[cap] = json!(SHORT_WORDS * WORD_TOKENS);
    (path, body)
}

/// The same, or one that goes wrong. Only some may leave out what they used.
fn ended(dice: &mut Dice, behaviour: Behaviour, may_not_tell: bool) -> Behaviour {
    let after_chunks = u32::try_from(dice.roll(20)).unwrap_or(0);
    match dice.roll(25) {
        0 => Behaviour {
            ending: Ending::Cut,
            after_chunks,
            ..behaviour
        },
        1 => Behaviour {
            status: Some(500),
            ..behaviour
        },
        2 => Behaviour {
            error_after: Some(after_chunks),
            ..behaviour
        },
        // Anthropic's format has counts in any case. A word is more than one token as Weir counts, so
        // whole answers would not keep to their caps.
        3 if may_not_tell => Behaviour {
            usage_absent: true,
            ..behaviour
        },
        _ => behaviour,
    }
}

/// A prompt in one of three formats, and where it goes.
fn body(dice: &mut Dice, (model, stream): (&str, bool), text: &str) -> (&'static str, Value) {
    let messages = json!([{"role": "user", "content": text}]);
    let (path, mut body) = match dice.roll(10) {
        0 => (
            "/v1/messages",
            json!({"model": model, "messages": messages}),
        ),
        1 => ("/v1/responses", json!({"model": model, "input": text})),
        _ => (
            "/v1/chat/completions",
            json!({"model": model, "messages": messages}),
        ),
    };
    body["stream"] = json!(stream);
    (path, body)
}
