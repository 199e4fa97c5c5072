//! A client that shows everything: statuses, headers, bytes, and how a connection ended.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};

/// An answer with all that can be seen of it.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// The connection broke before the answer's end.
    pub broken: bool,
}

impl Answer {
    /// The first header of that name, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(have, _)| have == name);
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The first header of that name, as a number.
    #[track_caller]
    pub fn number(&self, name: &str) -> f64 {
        let text = self
            .header(name)
            .unwrap_or_else(|| panic!("no header {name}: {self}"));
        text.parse()
            .unwrap_or_else(|_| panic!("{name}: {text} is no number"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// `error.code` of an error body.
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Asserts status and `error.code`, and that the body has OpenAI's error shape.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> &Answer {
        assert_eq!(
            (self.status, self.code().as_str()),
            (status, code),
            "{self}"
        );
        let error = &self.json()["error"];
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{self}"
        );
        assert!(
            error["type"].is_string() && error.get("param").is_some(),
            "{self}"
        );
        assert!(
            self.header("content-type")
                .is_some_and(|kind| kind.starts_with("application/json"))
        );
        self
    }

    /// Asserts status 200 and an unbroken body.
    #[track_caller]
    pub fn good(&self) -> &Answer {
        assert_eq!((self.status, self.broken), (200, false), "{self}");
        self
    }

    /// `data` of each event of a stream, `[DONE]` included.
    pub fn events(&self) -> Vec<String> {
        let text = self.text().replace("\r\n", "\n");
        let data = text.split("\n\n").filter_map(|event| {
            let lines: Vec<&str> = event
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .map(|data| data.strip_prefix(' ').unwrap_or(data))
                .collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        });
        data.collect()
    }

    /// The events of a stream as JSON, without `[DONE]`.
    #[track_caller]
    pub fn chunks(&self) -> Vec<Value> {
        let events = self.events().into_iter().filter(|data| data != "[DONE]");
        events
            .map(|data| {
                serde_json::from_str(&data)
                    .unwrap_or_else(|error| panic!("{error} in {data}: {self}"))
            })
            .collect()
    }

    /// Whether a stream ended with `[DONE]`.
    pub fn done(&self) -> bool {
        self.events().last().is_some_and(|last| last == "[DONE]")
    }

    /// The error of a stream's error event.
    pub fn error_event(&self) -> Option<Value> {
        self.chunks()
            .into_iter()
            .map(|chunk| chunk["error"].clone())
            .find(|error| !error.is_null())
    }

    /// The text of the first choice, of a JSON answer or a stream.
    #[track_caller]
    pub fn content(&self) -> String {
        let stream = self
            .header("content-type")
            .is_some_and(|kind| kind.contains("event-stream"));
        if !stream {
            return self.json()["choices"][0]["message"]["content"]
                .as_str()
                .unwrap_or("")
                .to_owned();
        }
        let chunks = self.chunks();
        let of_first = chunks
            .iter()
            .filter(|chunk| chunk["choices"][0]["index"] == 0);
        of_first
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
            .collect()
    }

    /// What Weir adds: `metadata` of a JSON answer or of the usage chunk, else the trailing
    /// comment of a stream.
    #[track_caller]
    pub fn metadata(&self) -> Value {
        let stream = self
            .header("content-type")
            .is_some_and(|kind| kind.contains("event-stream"));
        if !stream {
            return self.json()["metadata"].clone();
        }
        let in_chunk = self
            .chunks()
            .into_iter()
            .find_map(|chunk| chunk.get("metadata").cloned());
        in_chunk.unwrap_or_else(|| {
            let text = self.text();
            let comment = text.lines().find_map(|line| line.strip_prefix(": weir "));
            comment
                .and_then(|json| serde_json::from_str(json).ok())
                .unwrap_or_default()
        })
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "status {} broken {}", self.status, self.broken)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", String::from_utf8_lossy(value))?;
        }
        let text = self.text();
        let shown: String = text.chars().take(4_000).collect();
        write!(f, "\n{shown}")
    }
}

/// A request in the making.
pub struct Ask {
    pub builder: reqwest::RequestBuilder,
}

impl Ask {
    /// Adds a header.
    #[must_use]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Ask {
        Ask {
            builder: self.builder.header(name, value.as_ref()),
        }
    }

    /// Adds a route configuration.
    #[must_use]
    pub fn config(self, config: &Value) -> Ask {
        self.header("x-portkey-config", config.to_string())
    }

    /// Sets the virtual key.
    #[must_use]
    pub fn key(self, key: &str) -> Ask {
        self.header("authorization", format!("Bearer {key}"))
    }

    /// Sends it and reads the whole answer, up to where it breaks.
    pub async fn send(self) -> Answer {
        let response = match self.builder.timeout(Duration::from_secs(50)).send().await {
            Ok(response) => response,
            Err(error) => panic!("no answer: {error:?}"),
        };
        let mut answer = Answer {
            status: response.status().as_u16(),
            headers: response
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
                .collect(),
            ..Answer::default()
        };
        let mut body = response.bytes_stream();
        while let Some(piece) = body.next().await {
            match piece {
                Ok(bytes) => answer.body.extend_from_slice(&bytes),
                Err(error) => {
                    assert!(!error.is_timeout(), "the answer never ended: {answer}");
                    answer.broken = true;
                    break;
                }
            }
        }
        answer
    }
}

/// A chat request with one user message.
pub fn prompt(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

/// The same as a stream.
pub fn streaming(model: &str, text: &str) -> Value {
    let mut body = prompt(model, text);
    body["stream"] = json!(true);
    body
}

/// The same as a stream that shows its usage.
pub fn streaming_with_usage(model: &str, text: &str) -> Value {
    let mut body = streaming(model, text);
    body["stream_options"] = json!({"include_usage": true});
    body
}

/// A text that no other test uses.
pub fn marker() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut serial =
        u64::from(std::process::id()) << 20 | u64::from(NEXT.fetch_add(1, Ordering::Relaxed));
    let mut letters = String::from("zq");
    // Letters only: digits could look like personal data.
    while serial > 0 {
        letters.push(char::from(b'a' + (serial % 23) as u8));
        serial /= 23;
    }
    letters
}

/// Writes `bytes` on a fresh connection and returns all that comes back within `patience`, or
/// until the other side closes.
pub async fn raw(port: u16, bytes: &[u8], patience: Duration) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("connect");
    stream.write_all(bytes).await.expect("write");
    let mut answer = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    let deadline = tokio::time::Instant::now() + patience;
    while let Ok(Ok(count)) = tokio::time::timeout_at(deadline, stream.read(&mut piece)).await {
        if count == 0 {
            break;
        }
        answer.extend_from_slice(&Bytes::copy_from_slice(&piece[..count]));
    }
    String::from_utf8_lossy(&answer).into_owned()
}
