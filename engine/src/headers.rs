//! HTTP headers as bytes: a client may send what is not UTF-8, and nothing here minds.
//!
//! They are kept in the form that a proxy-wasm host gives and takes them in: a count, the lengths of
//! each name and value, then each text with a NUL after it. What came is read in place, and what goes
//! is given away as it is.

use std::fmt;

mod changes;

pub use changes::Change;

/// Bytes of a count or a length.
const NUMBER: usize = size_of::<u32>();
/// Bytes of the lengths of one field.
const LENGTHS: usize = 2 * NUMBER;
/// Fields for which there is room at first.
const ROOM: usize = 40;
/// Bytes of a usual head.
const TEXT_BYTES: usize = 1_024;

/// Header fields in order, in one buffer. Names are lower case, as Envoy delivers them.
#[derive(Clone, Default)]
pub struct Headers {
    /// Room for the count, lengths, room for more lengths, texts.
    buffer: Vec<u8>,
    count: usize,
    /// Where the lengths begin, and where the texts do.
    lengths: usize,
    texts: usize,
}

impl Headers {
    /// Room for `count` fields of `bytes` bytes together.
    pub fn with_capacity(count: usize, bytes: usize) -> Headers {
        let texts = NUMBER.saturating_add(count.saturating_mul(LENGTHS));
        let nuls = count.saturating_mul(2);
        let mut buffer = Vec::with_capacity(texts.saturating_add(bytes).saturating_add(nuls));
        buffer.resize(texts, 0);
        Headers {
            buffer,
            count: 0,
            lengths: NUMBER,
            texts,
        }
    }

    /// Takes over what the host gave; `None` when that is not its form.
    pub fn from_wire(buffer: Vec<u8>) -> Option<Headers> {
        let count = number(&buffer, 0)?;
        let texts = count.checked_mul(LENGTHS)?.checked_add(NUMBER)?;
        let mut at = texts;
        for number in buffer.get(NUMBER..texts)?.as_chunks::<NUMBER>().0 {
            let length = usize::try_from(u32::from_le_bytes(*number)).ok()?;
            at = at.checked_add(length)?.checked_add(1)?;
        }
        (at <= buffer.len()).then_some(Headers {
            buffer,
            count,
            lengths: NUMBER,
            texts,
        })
    }

    /// The host's form.
    pub fn wire(&mut self) -> &[u8] {
        if self.buffer.is_empty() {
            return &[0; NUMBER];
        }
        // The lengths have to end where the texts begin.
        let size = self.count.saturating_mul(LENGTHS);
        let end = self.lengths.saturating_add(size);
        let lengths = self.texts.saturating_sub(size);
        if lengths > self.lengths && self.texts <= self.buffer.len() {
            self.buffer.copy_within(self.lengths..end, lengths);
            self.lengths = lengths;
        }
        let start = self.lengths.saturating_sub(NUMBER);
        let count = bytes_of(self.count);
        if let Some(place) = self.buffer.get_mut(start..self.lengths) {
            place.copy_from_slice(&count);
        }
        self.buffer.get(start..).unwrap_or_default()
    }

    /// Appends a field; several of one name are kept.
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.push_bytes(name.as_ref(), value.as_ref());
    }

    // One copy of it stays in the caches, where one at each place would not.
    #[inline(never)]
    fn push_bytes(&mut self, name: &[u8], value: &[u8]) {
        self.note(name.len(), value.len());
        self.buffer.extend_from_slice(name);
        self.buffer.push(0);
        self.buffer.extend_from_slice(value);
        self.buffer.push(0);
    }

    /// Appends all fields of another head.
    pub fn extend(&mut self, other: &Headers) {
        for field in other.fields() {
            self.append(field);
        }
    }

    /// The first value of a field.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.find(name.as_ref())
    }

    // Requests ask for many: a name of another length is passed without a look at its text.
    #[inline(never)]
    fn find(&self, name: &[u8]) -> Option<&[u8]> {
        let size = self.count.saturating_mul(LENGTHS);
        let end = self.lengths.saturating_add(size);
        let mut at = self.texts;
        for lengths in self.buffer.get(self.lengths..end)?.as_chunks::<LENGTHS>().0 {
            let (of_name, of_value) = lengths_of(lengths);
            let value = at.wrapping_add(of_name).wrapping_add(1);
            if of_name == name.len() && same(self.buffer.get(at..value.wrapping_sub(1))?, name) {
                return self.buffer.get(value..value.wrapping_add(of_value));
            }
            at = value.wrapping_add(of_value).wrapping_add(1);
        }
        None
    }

    /// The first value of a field, when it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields().map(|field| field.parts())
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The fields that `keep` accepts, in order.
    pub fn filtered(&self, mut keep: impl FnMut(&[u8]) -> bool) -> Headers {
        let room = self.count.saturating_add(ROOM / 2);
        let mut kept = Headers::with_capacity(room, self.buffer.len().max(TEXT_BYTES));
        for field in self.fields() {
            if keep(field.parts().0) {
                kept.append(field);
            }
        }
        kept
    }

    fn fields(&self) -> Fields<'_> {
        let size = self.count.saturating_mul(LENGTHS);
        let lengths = self.lengths..self.lengths.saturating_add(size);
        Fields {
            lengths: self.buffer.get(lengths).unwrap_or_default(),
            texts: self.buffer.get(self.texts..).unwrap_or_default(),
        }
    }

    fn append(&mut self, field: Field<'_>) {
        let (name, value) = field.parts();
        self.note(name.len(), value.len());
        self.buffer.extend_from_slice(field.text);
    }

    /// Notes the lengths of a field whose text is to follow.
    fn note(&mut self, name: usize, value: usize) {
        let mut at = self.lengths.saturating_add(self.count * LENGTHS);
        if at.saturating_add(LENGTHS) > self.texts {
            self.widen();
            at = self.lengths.saturating_add(self.count * LENGTHS);
        }
        let place = self.buffer.get_mut(at..at.saturating_add(LENGTHS));
        if let Some((of_name, of_value)) = place.and_then(|it| it.split_at_mut_checked(NUMBER)) {
            of_name.copy_from_slice(&bytes_of(name));
            of_value.copy_from_slice(&bytes_of(value));
            self.count += 1;
        }
    }

    /// Makes room for more lengths.
    fn widen(&mut self) {
        let texts = self.buffer.get(self.texts..).unwrap_or_default();
        let room = self.count.saturating_add(ROOM);
        let mut wider = Headers::with_capacity(room, texts.len().saturating_add(TEXT_BYTES));
        wider.buffer.extend_from_slice(texts);
        wider.count = self.count;
        let size = self.count.saturating_mul(LENGTHS);
        let lengths = self
            .buffer
            .get(self.lengths..self.lengths.saturating_add(size));
        let place = wider.buffer.get_mut(NUMBER..NUMBER.saturating_add(size));
        if let (Some(place), Some(lengths)) = (place, lengths) {
            place.copy_from_slice(lengths);
        }
        *self = wider;
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Headers) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes);
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (text(name), text(value))))
            .finish()
    }
}

struct Fields<'a> {
    lengths: &'a [u8],
    texts: &'a [u8],
}

/// One field.
#[derive(Clone, Copy)]
struct Field<'a> {
    /// Name and value, each with a NUL after it.
    text: &'a [u8],
    name: usize,
}

impl<'a> Field<'a> {
    #[inline]
    fn parts(&self) -> (&'a [u8], &'a [u8]) {
        let (name, value) = self.text.split_at_checked(self.name).unwrap_or_default();
        let value = value.get(1..value.len().saturating_sub(1));
        (name, value.unwrap_or_default())
    }
}

impl PartialEq for Field<'_> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && same(self.text, other.text)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let (lengths, rest) = self.lengths.split_first_chunk::<LENGTHS>()?;
        let (name, value) = lengths_of(lengths);
        let size = name.checked_add(value)?.checked_add(2)?;
        let (text, texts) = self.texts.split_at_checked(size)?;
        (self.lengths, self.texts) = (rest, texts);
        Some(Field { text, name })
    }
}

/// The lengths of a field's name and value.
#[inline]
fn lengths_of(lengths: &[u8; LENGTHS]) -> (usize, usize) {
    let both = u64::from_le_bytes(*lengths);
    let of = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    (of(both & u64::from(u32::MAX)), of(both >> u32::BITS))
}

/// Whether two short texts are equal, eight bytes at a time: the target's own comparison goes byte by
/// byte.
#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    let (words, rest) = one.as_chunks::<8>();
    let (other_words, other_rest) = other.as_chunks::<8>();
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    one.len() == other.len()
        && words.iter().map(word).eq(other_words.iter().map(word))
        && rest.iter().eq(other_rest)
}

#[inline]
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let number = bytes.get(at..)?.first_chunk::<NUMBER>()?;
    usize::try_from(u32::from_le_bytes(*number)).ok()
}

fn bytes_of(number: usize) -> [u8; NUMBER] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut bytes = bytes_of(fields.len()).to_vec();
        for (name, value) in fields {
            bytes.extend(bytes_of(name.len()));
            bytes.extend(bytes_of(value.len()));
        }
        for text in fields.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend_from_slice(text);
            bytes.push(0);
        }
        bytes
    }

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
        headers.extend(&kept);
        assert_eq!(headers.len(), 5);
        assert!(headers.iter().skip(3).eq(kept.iter()));
    }

    #[test]
    fn the_hosts_form_comes_and_goes() {
        let fields: [(&[u8], &[u8]); 3] = [(b":path", b"/"), (b"a", b""), (b"", b"\0\xff")];
        let bytes = wire(&fields);
        let mut headers = Headers::from_wire(bytes.clone()).expect("headers");
        assert!(headers.iter().eq(fields));
        assert_eq!(headers.wire(), bytes);
        headers.push("b", "1");
        assert_eq!(headers.len(), 4);
        assert_eq!(headers.get("b"), Some(b"1".as_slice()));
        assert_eq!(headers.get(":path"), Some(b"/".as_slice()));
        assert_eq!(Headers::default().wire(), wire(&[]));
        assert_eq!(Headers::with_capacity(3, 9).wire(), wire(&[]));
    }

    #[test]
    fn any_number_of_fields_can_be_added_and_sent() {
        let mut headers = Headers::default();
        let mut fields = Vec::new();
        for count in 0..3 * ROOM {
            let name = format!("name-{count}");
            headers.push(&name, "value");
            fields.push(name);
            let fields: Vec<(&[u8], &[u8])> = fields
                .iter()
                .map(|name| (name.as_bytes(), b"value".as_slice()))
                .collect();
            assert!(headers.iter().eq(fields.iter().copied()));
            assert_eq!(headers.wire(), wire(&fields));
        }
    }

    #[test]
    fn what_is_not_the_hosts_form_is_no_header() {
        let whole = wire(&[(b"a", b"b"), (b"c", b"d")]);
        for length in 0..whole.len() {
            assert!(Headers::from_wire(whole[..length].to_vec()).is_none());
        }
        assert!(Headers::from_wire(vec![0xff; 64]).is_none());
    }

    #[test]
    fn the_same_fields_are_equal_wherever_they_lie() {
        let mut pushed = Headers::default();
        pushed.push("a", "b");
        assert_eq!(Headers::from_wire(wire(&[(b"a", b"b")])), Some(pushed));
        assert_eq!(Headers::default(), Headers::with_capacity(4, 4));
    }
}
