//! How a fake provider answers one request. Tests choose it in three ways: by the model's name
//! ([`Behaviour::of_model`]), by `<<{...}>>` anywhere in the prompt, or by a [`Script`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One answer, right or wrong. The default is a correct answer that echoes the prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Status; from 400 on the dialect's own error body is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Further response headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Exactly this body, whatever was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How the answer ends.
    pub ending: Ending,
    /// Text chunks sent before an unhappy `ending`.
    pub after_chunks: u32,
    /// Milliseconds before the head of the answer.
    pub first_byte_ms: u64,
    /// Milliseconds before each text chunk.
    pub chunk_ms: u64,
    /// Stream: an error event after this many text chunks, and nothing more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_after: Option<u32>,
    /// Stream: `200` and no event at all.
    pub empty: bool,
    /// How bytes are cut into writes.
    pub split: Split,
    /// Lines end in CR LF.
    pub crlf: bool,
    /// Comments and pings between events.
    pub comments: bool,
    /// Answer with this many chunks of text instead of the echo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<u32>,
    /// Go on beyond the output cap.
    pub uncapped: bool,
    /// Answer with this text instead of the echo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Token counts to report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Tokens>,
    /// Report no token counts.
    pub usage_absent: bool,
    /// Members to add to the answer (streams: to each chunk).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra: Option<Map<String, Value>>,
    /// Whether to call the first tool; by default whenever tools are offered and no result is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call: Option<bool>,
    /// Embeddings in base64 when asked for them so; not every provider can.
    pub base64: bool,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// As it should.
    #[default]
    Complete,
    /// TCP reset in place of a head.
    ResetBeforeHead,
    /// TCP reset after `after_chunks` (of a JSON answer: after half of it).
    Reset,
    /// Nothing is ever sent.
    Hang,
    /// Silence after `after_chunks`, with the connection open.
    Stall,
    /// A clean end of the body after `after_chunks`, without the dialect's own end.
    Close,
    /// The connection closes inside the chunked encoding (or short of `content-length`).
    Cut,
}

/// How bytes are cut into writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// One event, one write.
    #[default]
    Event,
    /// One byte, one write.
    Byte,
    /// Seven bytes, one write: cuts multi-byte characters and CR LF.
    Seven,
    /// Everything in one write.
    Whole,
}

/// Token counts in OpenAI's sense: `input` and `output` include the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tokens {
    pub input: u64,
    pub cached: u64,
    pub cache_write: u64,
    pub output: u64,
    pub reasoning: u64,
}

/// What to do with coming requests; the first script that matches is used.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Requests it serves before it is gone; 0 means for ever.
    pub times: u32,
    /// Model that must be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Text that the body must contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// Text that path and query must contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Header that must have this value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<(String, String)>,
    /// The answer.
    pub behaviour: Behaviour,
}

/// A request as it arrived at a fake provider.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Recorded {
    /// Serial number from 0.
    pub id: usize,
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case, in order of arrival.
    pub headers: Vec<(String, String)>,
    /// The body; invalid UTF-8 is replaced.
    pub body: String,
    /// Text chunks handed to the connection.
    pub chunks_sent: u32,
    /// The whole answer was handed to the connection.
    pub answered: bool,
    /// The other side went away before that.
    pub aborted: bool,
}

impl Recorded {
    /// The body as JSON; `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Names that models can have so that a request without state gets a fault. Any prefix is allowed
/// (`claude-fault-500`); tests put them all into `weir.yaml`.
pub const MODEL_NAMES: &[&str] = &[
    "fault-400",
    "fault-401",
    "fault-429",
    "fault-500",
    "fault-502",
    "fault-503",
    "fault-529",
    "fault-html",
    "fault-reset",
    "fault-reset-mid",
    "fault-hang",
    "fault-slow-first",
    "fault-stall",
    "fault-close",
    "fault-cut",
    "fault-malformed",
    "fault-not-chat",
    "fault-error-first",
    "fault-error-mid",
    "fault-empty",
    "fault-wrong-type",
];

impl Behaviour {
    /// The behaviour that a model's name asks for.
    pub fn of_model(model: &str) -> Option<Behaviour> {
        let name = &model[model.find("fault-")? + "fault-".len()..];
        let plain = Behaviour::default();
        let ending = |ending, after_chunks| Behaviour {
            ending,
            after_chunks,
            ..plain.clone()
        };
        let json = |body: &str| Behaviour {
            body: Some(body.to_owned()),
            ..plain.clone()
        };
        Some(match name {
            "html" => Behaviour {
                status: Some(502),
                headers: vec![("content-type".into(), "text/html".into())],
                body: Some("<html><body><h1>502 Bad Gateway</h1></body></html>".into()),
                ..plain
            },
            "429" => Behaviour {
                status: Some(429),
                headers: vec![("retry-after".into(), "7".into())],
                ..plain
            },
            "reset" => ending(Ending::ResetBeforeHead, 0),
            "reset-mid" => ending(Ending::Reset, 2),
            "hang" => ending(Ending::Hang, 0),
            "stall" => ending(Ending::Stall, 2),
            "close" => ending(Ending::Close, 2),
            "cut" => ending(Ending::Cut, 2),
            "slow-first" => Behaviour {
                first_byte_ms: 1500,
                ..plain
            },
            "malformed" => json("{\"id\": \"chatcmpl-1\", \"choices\": [{"),
            "not-chat" => json("[1, 2, 3]"),
            "wrong-type" => Behaviour {
                headers: vec![("content-type".into(), "text/plain".into())],
                body: Some("service is fine".into()),
                ..plain
            },
            "error-first" => Behaviour {
                error_after: Some(0),
                ..plain
            },
            "error-mid" => Behaviour {
                error_after: Some(2),
                ..plain
            },
            "empty" => Behaviour {
                empty: true,
                ..plain
            },
            status => Behaviour {
                status: Some(status.parse().ok()?),
                ..plain
            },
        })
    }

    /// The `<<{...}>>` of a prompt, if it has one.
    pub fn of_prompt(prompt: &str) -> Option<Behaviour> {
        let start = prompt.find("<<{")? + 2;
        let end = start + prompt[start..].find(">>")?;
        serde_json::from_str(&prompt[start..end]).ok()
    }

    /// The text to put into a prompt to get this behaviour.
    pub fn directive(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(members) = value.as_object_mut() {
            let plain = serde_json::to_value(Behaviour::default()).unwrap_or_default();
            members.retain(|name, value| plain.get(name) != Some(value));
        }
        format!("<<{value}>>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_listed_model_name_is_understood() {
        for name in MODEL_NAMES {
            let behaviour = Behaviour::of_model(&format!("claude-{name}"));
            assert!(
                behaviour.is_some_and(|found| found != Behaviour::default()),
                "{name}"
            );
        }
        assert_eq!(Behaviour::of_model("gpt-4o-mini"), None);
        assert_eq!(Behaviour::of_model("fault-unknown"), None);
    }

    #[test]
    fn a_directive_survives_the_prompt() {
        let wanted = Behaviour {
            chunks: Some(64),
            ending: Ending::Cut,
            usage: Some(Tokens {
                input: 10,
                output: 15,
                ..Tokens::default()
            }),
            ..Behaviour::default()
        };
        let prompt = format!("Hello {} there", wanted.directive());
        assert_eq!(Behaviour::of_prompt(&prompt), Some(wanted));
        assert_eq!(Behaviour::of_prompt("a << b >> c"), None);
    }
}
