//! The exact cache: answers in memory, the least recently used go first.

use std::sync::Arc;

use lru::LruCache;
use serde_json::value::RawValue;

/// Answers kept at most.
pub(crate) const ENTRIES_MAX: usize = 10_000;
/// Bytes of keys and answers kept at most.
pub(crate) const BYTES_MAX: usize = 256 * 1024 * 1024;
/// One answer as JSON; larger ones are not kept.
pub(crate) const ENTRY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Seconds an answer is kept at most.
pub(crate) const TTL_S_MAX: u64 = 30 * 86_400;

struct Entry {
    answer: Arc<RawValue>,
    expires_ms: u64,
}

/// Answers by canonical key.
pub(crate) struct Cache {
    entries: LruCache<String, Entry>,
    bytes: usize,
}

impl Cache {
    pub(crate) fn new() -> Cache {
        Cache {
            entries: LruCache::unbounded(),
            bytes: 0,
        }
    }

    /// The answer under `key`, the JSON of an [`engine::wire::CachedAnswer`].
    pub(crate) fn get(&mut self, key: &str, now_ms: u64) -> Option<Arc<RawValue>> {
        let entry = self.entries.get(key)?;
        if entry.expires_ms > now_ms {
            return Some(Arc::clone(&entry.answer));
        }
        self.remove(key);
        None
    }

    /// Keeps `answer` for `ttl_s`; it replaces an older one.
    pub(crate) fn put(&mut self, key: String, answer: Arc<RawValue>, ttl_s: u64, now_ms: u64) {
        self.remove(&key);
        let size = size(&key, &answer);
        if answer.get().len() > ENTRY_BYTES_MAX || ttl_s == 0 {
            return;
        }
        let expires_ms = now_ms.saturating_add(ttl_s.min(TTL_S_MAX).saturating_mul(1_000));
        self.bytes = self.bytes.saturating_add(size);
        self.entries.put(key, Entry { answer, expires_ms });
        while self.entries.len() > ENTRIES_MAX || self.bytes > BYTES_MAX {
            let Some((key, entry)) = self.entries.pop_lru() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(self::size(&key, &entry.answer));
        }
    }

    /// Takes over what another cache has under `key`, for the look that follows.
    pub(crate) fn show(&mut self, key: &str, kept: Option<String>, now_ms: u64) {
        let kept = kept.and_then(|text| RawValue::from_string(text).ok());
        match kept {
            Some(answer) => self.put(key.to_owned(), answer.into(), 1, now_ms),
            None => self.remove(key),
        }
    }

    /// Answers kept, expired ones that nobody asked for included.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of keys and answers.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets an answer.
    pub(crate) fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.pop(key) {
            self.bytes = self.bytes.saturating_sub(size(key, &entry.answer));
        }
    }
}

fn size(key: &str, answer: &RawValue) -> usize {
    key.len().saturating_add(answer.get().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Arc<RawValue> {
        RawValue::from_string(format!("\"{text}\"")).unwrap().into()
    }

    #[test]
    fn answers_live_for_their_time_and_are_bounded() {
        let mut cache = Cache::new();
        cache.put("a".into(), answer("one"), 10, 1_000);
        cache.put("a".into(), answer("two"), 10, 1_000);
        assert_eq!(cache.get("a", 10_999).unwrap().get(), "\"two\"");
        assert_eq!((cache.len(), cache.bytes()), (1, 6));
        assert!(cache.get("a", 11_000).is_none());
        assert_eq!((cache.len(), cache.bytes()), (0, 0));

        for count in 0..=ENTRIES_MAX {
            cache.put(count.to_string(), answer("x"), 10, 0);
        }
        assert_eq!(cache.len(), ENTRIES_MAX);
        assert!(cache.get("0", 0).is_none());

        let large = answer(&"x".repeat(ENTRY_BYTES_MAX - 2));
        for count in 0..BYTES_MAX / ENTRY_BYTES_MAX + 1 {
            cache.put(count.to_string(), Arc::clone(&large), 10, 0);
        }
        assert!(cache.bytes() <= BYTES_MAX);
        let larger = answer(&"x".repeat(ENTRY_BYTES_MAX - 1));
        cache.put("larger".into(), larger, 10, 0);
        assert!(cache.get("larger", 0).is_none());
    }
}
