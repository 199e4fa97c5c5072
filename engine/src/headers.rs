//! HTTP headers as bytes: a client may send what is not UTF-8, and nothing here minds.

/// Header fields in order, in one buffer. Names are lower case, as Envoy delivers them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    buffer: Vec<u8>,
    fields: Vec<Field>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    start: usize,
    name_end: usize,
    end: usize,
}

impl Headers {
    /// Room for `count` fields of `bytes` bytes together.
    pub fn with_capacity(count: usize, bytes: usize) -> Headers {
        Headers {
            buffer: Vec::with_capacity(bytes),
            fields: Vec::with_capacity(count),
        }
    }

    /// Appends a field; several of one name are kept.
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(name.as_ref());
        let name_end = self.buffer.len();
        self.buffer.extend_from_slice(value.as_ref());
        self.fields.push(Field {
            start,
            name_end,
            end: self.buffer.len(),
        });
    }

    /// The first value of a field.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(key, _)| *key == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// The first value of a field, when it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| {
            (
                self.buffer
                    .get(field.start..field.name_end)
                    .unwrap_or_default(),
                self.buffer
                    .get(field.name_end..field.end)
                    .unwrap_or_default(),
            )
        })
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Bytes of all names and values.
    pub fn byte_len(&self) -> usize {
        self.buffer.len()
    }

    /// The fields that `keep` accepts, in order.
    pub fn filtered(&self, mut keep: impl FnMut(&[u8]) -> bool) -> Headers {
        let mut kept = Headers::with_capacity(self.fields.len() + 12, self.buffer.len() + 256);
        for (name, value) in self.iter().filter(|(name, _)| keep(name)) {
            kept.push(name, value);
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_order_bytes_and_repeats() {
        let mut headers = Headers::default();
        headers.push("a", b"\xff\xfe");
        headers.push("b", "2");
        headers.push("a", "3");
        assert_eq!(headers.get("a"), Some(b"\xff\xfe".as_slice()));
        assert_eq!(headers.text("a"), None);
        assert_eq!(headers.text("b"), Some("2"));
        let kept = headers.filtered(|name| name == b"a");
        assert_eq!(
            kept.iter().map(|(_, v)| v.len()).collect::<Vec<_>>(),
            [2, 1]
        );
    }
}
