//! What a client can call: the table of paths.

use serde::{Deserialize, Serialize};

use crate::ingress::Ingress;
use crate::reply::Code;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A chat completion.
    Chat,
    /// An answer in another form of conversation.
    Conversation(Ingress),
    /// How many tokens a conversation in Anthropic's form has.
    CountTokens,
    /// Embeddings.
    Embeddings,
    /// The models there are, or one of them.
    Models,
    /// A call that goes on as it came.
    Through(Through),
}

/// Calls that only OpenAI's format has: they pass to a provider that takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Through {
    /// `/v1/audio/*`.
    Audio,
    /// `/v1/batches*`.
    Batches,
    /// `/v1/files*` and `/v1/uploads*`.
    Files,
    /// `/v1/images/*`.
    Images,
    /// `/v1/moderations`.
    Moderations,
    /// `/v1/responses/*`: responses that the provider has stored.
    StoredResponses,
}

const GET: &[&str] = &["GET"];
const POST: &[&str] = &["POST"];
const GET_POST: &[&str] = &["GET", "POST"];
const ANY: &[&str] = &["GET", "POST", "DELETE"];

/// Paths that are given whole.
#[rustfmt::skip]
const PATHS: &[(&str, &[&str], Endpoint)] = &[
    ("/v1/chat/completions", POST, Endpoint::Chat),
    ("/v1/completions", POST, Endpoint::Conversation(Ingress::Completions)),
    ("/v1/embeddings", POST, Endpoint::Embeddings),
    ("/v1/messages", POST, Endpoint::Conversation(Ingress::Messages)),
    ("/v1/messages/count_tokens", POST, Endpoint::CountTokens),
    ("/v1/models", GET, Endpoint::Models),
    ("/v1/moderations", POST, Endpoint::Through(Through::Moderations)),
    ("/v1/responses", POST, Endpoint::Conversation(Ingress::Responses)),
    ("/v1/batches", GET_POST, Endpoint::Through(Through::Batches)),
    ("/v1/files", GET_POST, Endpoint::Through(Through::Files)),
    ("/v1/uploads", POST, Endpoint::Through(Through::Files)),
];

/// Paths of which more follows.
#[rustfmt::skip]
const PREFIXES: &[(&str, &[&str], Endpoint)] = &[
    ("/v1/models/", GET, Endpoint::Models),
    ("/v1/audio/", ANY, Endpoint::Through(Through::Audio)),
    ("/v1/batches/", GET_POST, Endpoint::Through(Through::Batches)),
    ("/v1/files/", ANY, Endpoint::Through(Through::Files)),
    ("/v1/images/", POST, Endpoint::Through(Through::Images)),
    ("/v1/responses/", ANY, Endpoint::Through(Through::StoredResponses)),
    ("/v1/uploads/", POST, Endpoint::Through(Through::Files)),
];

impl Endpoint {
    /// The endpoint at `path`, whose query does not count.
    ///
    /// # Errors
    /// [`Code::NotFound`], [`Code::MethodNotAllowed`].
    pub fn of(method: &[u8], path: &[u8]) -> Result<Endpoint, Code> {
        let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
        let whole = PATHS.iter().find(|(known, ..)| known.as_bytes() == path);
        let found = whole.or_else(|| {
            let mut prefixes = PREFIXES.iter();
            prefixes.find(|(known, ..)| path.starts_with(known.as_bytes()) && is_plain(path))
        });
        let (_, methods, endpoint) = found.ok_or(Code::NotFound)?;
        if methods.iter().any(|known| known.as_bytes() == method) {
            Ok(*endpoint)
        } else {
            Err(Code::MethodNotAllowed)
        }
    }

    /// The form that the client speaks, when it is not Chat Completions.
    pub fn ingress(self) -> Option<Ingress> {
        match self {
            Endpoint::Conversation(ingress) => Some(ingress),
            Endpoint::CountTokens => Some(Ingress::Messages),
            _ => None,
        }
    }

    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Endpoint::Chat => "chat",
            Endpoint::Conversation(Ingress::Completions) => "completions",
            Endpoint::Conversation(Ingress::Messages) => "messages",
            Endpoint::Conversation(Ingress::Responses) => "responses",
            Endpoint::CountTokens => "count_tokens",
            Endpoint::Embeddings => "embeddings",
            Endpoint::Models => "models",
            Endpoint::Through(through) => through.name(),
        }
    }
}

impl Through {
    /// All of them.
    pub const ALL: [Through; 6] = [
        Through::Audio,
        Through::Batches,
        Through::Files,
        Through::Images,
        Through::Moderations,
        Through::StoredResponses,
    ];

    /// Its name in configuration and records.
    pub fn name(self) -> &'static str {
        match self {
            Through::Audio => "audio",
            Through::Batches => "batches",
            Through::Files => "files",
            Through::Images => "images",
            Through::Moderations => "moderations",
            Through::StoredResponses => "stored_responses",
        }
    }
}

/// No segment leads elsewhere: the provider must see a path of the family that was asked for.
fn is_plain(path: &[u8]) -> bool {
    let leads_away = |segment: &[u8]| matches!(segment, b"" | b"." | b"..");
    let rest = path.strip_prefix(b"/").unwrap_or(path);
    !rest.split(|byte| *byte == b'/').any(leads_away)
        && !path.iter().any(|b| matches!(b, b'%' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods() {
        let of = |method: &str, path: &str| Endpoint::of(method.as_bytes(), path.as_bytes());
        assert_eq!(of("POST", "/v1/chat/completions?x=1"), Ok(Endpoint::Chat));
        assert_eq!(of("GET", "/v1/models/gpt-4o"), Ok(Endpoint::Models));
        assert_eq!(
            of("POST", "/v1/messages/count_tokens"),
            Ok(Endpoint::CountTokens)
        );
        let stored = Endpoint::Through(Through::StoredResponses);
        assert_eq!(of("GET", "/v1/responses/resp_1/input_items"), Ok(stored));
        assert_eq!(
            of("DELETE", "/v1/files/file-1"),
            Ok(Endpoint::Through(Through::Files))
        );
        assert_eq!(
            of("GET", "/v1/chat/completions"),
            Err(Code::MethodNotAllowed)
        );
        assert_eq!(of("PUT", "/v1/files/file-1"), Err(Code::MethodNotAllowed));
        for path in [
            "/v1/chat",
            "/v2/models",
            "/v1/files/../models",
            "/v1/files/%2e%2e/models",
            "/v1/files//x",
            "/v1/files/",
            "/v1/messages/batches",
            "/v1/images/.\\x",
        ] {
            assert_eq!(of("POST", path), Err(Code::NotFound), "{path}");
        }
    }
}
