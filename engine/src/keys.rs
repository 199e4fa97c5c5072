//! The virtual keys that a worker has looked up.

use std::rc::Rc;

use hashbrown::HashMap;

use crate::headers::Headers;
use crate::limits;
use crate::wire::{KeyAnswer, KeyRecord, Refused};

/// How long a refusal is remembered: long enough to blunt guessing, short enough that nobody
/// notices a key that was just created.
const REFUSAL_MS: u64 = 1_000;

/// Keys by hash. Emptied whenever the sidecar reports that some key changed.
#[derive(Debug, Default)]
pub struct KeyTable {
    version: u64,
    entries: HashMap<String, Entry>,
}

#[derive(Clone, Debug)]
enum Entry {
    Known(Rc<KeyRecord>),
    Refused { refused: Refused, until_ms: u64 },
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It may be used.
    Known(Rc<KeyRecord>),
    /// It may not.
    Refused(Refused),
    /// The sidecar has to be asked.
    Unknown,
}

impl KeyTable {
    /// What is remembered of the key with that hash.
    pub fn standing(&self, hash: &str, now_ms: u64) -> Standing {
        match self.entries.get(hash) {
            // An expired key goes back to the sidecar, whose clock and wording decide.
            Some(Entry::Known(record)) if record.expires_at_ms.is_none_or(|at| now_ms < at) => {
                Standing::Known(record.clone())
            }
            Some(Entry::Refused { refused, until_ms }) if now_ms < *until_ms => {
                Standing::Refused(refused.clone())
            }
            _ => Standing::Unknown,
        }
    }

    /// Remembers an answer.
    pub fn learn(&mut self, hash: &str, answer: KeyAnswer, now_ms: u64) -> Standing {
        if self.entries.len() >= limits::KEYS_REMEMBERED_MAX {
            self.entries.clear();
        }
        match answer {
            KeyAnswer::Known(record) => {
                let record = Rc::new(record);
                self.entries
                    .insert(hash.to_owned(), Entry::Known(record.clone()));
                Standing::Known(record)
            }
            KeyAnswer::Refused(refused) => {
                let until_ms = now_ms.saturating_add(REFUSAL_MS);
                let entry = Entry::Refused {
                    refused: refused.clone(),
                    until_ms,
                };
                self.entries.insert(hash.to_owned(), entry);
                Standing::Refused(refused)
            }
        }
    }

    /// Forgets everything when the sidecar's version moved on, and says whether it did.
    pub fn observe(&mut self, version: u64) -> bool {
        let moved = version != self.version;
        if moved {
            self.version = version;
            self.entries.clear();
        }
        moved
    }
}

/// The key a client sent, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    /// A usable text.
    Key(&'a str),
    /// Something that cannot be a key.
    Malformed,
    /// Nothing.
    Missing,
}

/// Headers that may carry a key. Portkey's SDK sends the provider's key as `authorization` beside
/// its own, so its own comes first.
pub const KEY_HEADERS: [&str; 4] = ["x-portkey-api-key", "authorization", "api-key", "x-api-key"];

/// Finds the key in a request's head: the first that looks like one of ours, else the first.
pub fn presented(headers: &Headers) -> Presented<'_> {
    let mut first = Presented::Missing;
    for name in KEY_HEADERS {
        let Some(value) = headers.get(name) else {
            continue;
        };
        let Some(key) = std::str::from_utf8(value)
            .ok()
            .map(bare)
            .filter(|key| plausible(key))
        else {
            if first == Presented::Missing {
                first = Presented::Malformed;
            }
            continue;
        };
        if key.starts_with("vk-") {
            return Presented::Key(key);
        }
        if first == Presented::Missing {
            first = Presented::Key(key);
        }
    }
    first
}

fn bare(value: &str) -> &str {
    let value = value.trim();
    match value.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim(),
        None if value.eq_ignore_ascii_case("bearer") => "",
        _ => value,
    }
}

fn plausible(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= limits::KEY_BYTES_MAX
        && key.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        fields
            .iter()
            .for_each(|(name, value)| headers.push(name, value));
        headers
    }

    #[test]
    fn our_key_is_found_wherever_it_is() {
        for (fields, expect) in [
            (
                vec![("authorization", "Bearer vk-1")],
                Presented::Key("vk-1"),
            ),
            (
                vec![("authorization", "bearer  vk-1 ")],
                Presented::Key("vk-1"),
            ),
            (vec![("api-key", "vk-2")], Presented::Key("vk-2")),
            (vec![("x-api-key", "other")], Presented::Key("other")),
            (
                vec![
                    ("authorization", "Bearer sk-x"),
                    ("x-portkey-api-key", "vk-3"),
                ],
                Presented::Key("vk-3"),
            ),
            (
                vec![("authorization", "Bearer sk-x"), ("x-api-key", "vk-4")],
                Presented::Key("vk-4"),
            ),
            (vec![("authorization", "Bearer ")], Presented::Malformed),
            (vec![("authorization", "Bearer a b")], Presented::Malformed),
            (vec![], Presented::Missing),
        ] {
            assert_eq!(presented(&head(&fields)), expect, "{fields:?}");
        }
        let mut odd = Headers::default();
        odd.push("authorization", b"Bearer \xff");
        assert_eq!(presented(&odd), Presented::Malformed);
        let long = "x".repeat(limits::KEY_BYTES_MAX + 1);
        assert_eq!(
            presented(&head(&[("api-key", &long)])),
            Presented::Malformed
        );
    }

    #[test]
    fn the_table_forgets_on_change_expiry_and_time() {
        let mut table = KeyTable::default();
        let record = KeyRecord {
            expires_at_ms: Some(50),
            ..KeyRecord::default()
        };
        table.learn("a", KeyAnswer::Known(record), 0);
        assert!(matches!(table.standing("a", 49), Standing::Known(_)));
        assert_eq!(table.standing("a", 50), Standing::Unknown);
        let refused = Refused {
            code: "x".into(),
            message: String::new(),
            retry_after_s: None,
            rate: crate::wire::Rates::default(),
        };
        table.learn("b", KeyAnswer::Refused(refused), 0);
        assert!(matches!(
            table.standing("b", REFUSAL_MS - 1),
            Standing::Refused(_)
        ));
        assert_eq!(table.standing("b", REFUSAL_MS), Standing::Unknown);
        table.observe(1);
        assert_eq!(table.standing("a", 0), Standing::Unknown);
    }
}
