//! Canonical keys of the exact cache.
//!
//! Bodies that ask for the same answer have one key: white space, the order of members, the way a
//! string is escaped, and members that cannot change an answer do not count. Everything else does,
//! members unknown to Weir among it: a miss costs money, a wrong hit costs trust.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::digits::hex;
use crate::json::{self, Kind, Span};

/// Part of every key. A change of the canonical form changes it, and so parts old entries from new.
const FORM: &str = "weir exact cache 1";

/// Members of a chat completion request that say who asks, how it is accounted and how it travels, not what is
/// answered (OpenAI API reference, "Create chat completion").
pub const WITHOUT_INFLUENCE: &[&str] = &[
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "stream_options",
    "user",
];

/// The key of the request that is the object `root` of `body`: hexadecimal SHA-256. Answers are
/// shared within `scope` (form of the call, tenant and key scope) and between requests that
/// `provider` and `model` would answer.
///
/// Members of the request named `without` do not count.
pub fn cache_key(
    scope: &str,
    provider: &str,
    model: &str,
    (body, root): (&[u8], Span),
    without: &[&str],
) -> String {
    let mut canonical = Canonical {
        hash: Sha256::new(),
        body,
    };
    for part in [FORM, scope, provider, model] {
        canonical.token(b'p', part.as_bytes());
    }
    canonical.object(root, without);
    hex(&canonical.hash.finalize())
}

/// SHA-256 of `bytes` in lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Feeds a document to the hash as tokens. Each has a kind and a length before its bytes, and
/// containers have their count, so that no two documents make the same stream of bytes.
struct Canonical<'a> {
    hash: Sha256,
    body: &'a [u8],
}

impl<'a> Canonical<'a> {
    fn token(&mut self, kind: u8, bytes: &[u8]) {
        self.container(kind, bytes.len());
        self.hash.update(bytes);
    }

    fn container(&mut self, kind: u8, count: usize) {
        self.hash.update([kind]);
        self.hash.update((count as u64).to_le_bytes());
    }

    /// Recursion ends at the validated depth of the document.
    fn value(&mut self, value: Span) {
        match json::kind(self.body, value) {
            Some(Kind::Object) => self.object(value, &[]),
            Some(Kind::Array) => {
                self.container(b'a', json::elements(self.body, value).count());
                for element in json::elements(self.body, value) {
                    self.value(element);
                }
            }
            Some(Kind::String) => {
                let (kind, text) = self.text(value.unquoted());
                self.token(kind, &text);
            }
            _ => self.token(b'v', value.of(self.body)),
        }
    }

    /// Members by name; several of one name keep their order, because the last one counts.
    fn object(&mut self, object: Span, without: &[&str]) {
        let mut members: Vec<_> = json::members(self.body, object)
            .map(|member| (self.text(member.key), member.value))
            .filter(|((_, name), _)| !without.iter().any(|known| known.as_bytes() == &**name))
            .collect();
        members.sort_by(|(left, _), (right, _)| left.cmp(right));
        self.container(b'o', members.len());
        for ((kind, name), value) in members {
            self.token(kind, &name);
            self.value(value);
        }
    }

    /// The text of a string's inside. Surrogates without partner all become U+FFFD and would make
    /// different texts one, so such strings keep their escapes.
    fn text(&self, inside: Span) -> (u8, Cow<'a, [u8]>) {
        let raw = inside.of(self.body);
        if raw.contains(&b'\\') {
            let text = json::unescape(raw);
            if !text.contains(char::REPLACEMENT_CHARACTER) {
                return (b's', Cow::Owned(text.into_bytes()));
            }
            return (b'r', Cow::Borrowed(raw));
        }
        (b's', Cow::Borrowed(raw))
    }
}
