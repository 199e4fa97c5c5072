//! Placeholders that stand for values in a request, and get them back in its answer.

use super::digest::hmac;

/// Characters of the tag that ends every placeholder of a request.
const TAG_CHARS: usize = 4;
/// Letters and digits that are not taken for each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Tags tried before one is taken that the request already has in it.
const TRIES: u8 = 8;
/// Backslashes that may stand in a placeholder: models escape its marks where they write Markdown.
const ESCAPES_MAX: usize = 4;

/// The values of one request that were replaced, each with its placeholder.
///
/// Placeholders are numbered through the whole request; the same value has the same one. All end
/// with a tag that the tenant's key and the values make, so that nobody else can foretell one, and
/// the same request reads the same each time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pseudonyms {
    values: Vec<Value>,
    tag: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    /// Name of its type.
    kind: String,
    text: String,
    /// Empty until the tag is known.
    placeholder: String,
}

/// What stands at a place of an answer.
enum Found<'a> {
    /// A placeholder of that many bytes, for that value.
    Placeholder(usize, &'a str),
    /// Perhaps the beginning of one.
    Beginning,
    Nothing,
}

impl Pseudonyms {
    /// Whether nothing was replaced.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Number of the value, which is added unless it is there.
    pub(super) fn add(&mut self, kind: String, text: &str) -> usize {
        let same = |value: &Value| value.kind == kind && value.text == text;
        self.values.iter().position(same).unwrap_or_else(|| {
            self.values.push(Value {
                kind,
                text: text.to_owned(),
                placeholder: String::new(),
            });
            self.values.len() - 1
        })
    }

    /// Gives every value its placeholder; none of them stands in `body` already.
    pub(super) fn name_all(&mut self, key: &[u8], body: &[u8]) {
        for attempt in 0..TRIES {
            self.tag = self.make_tag(key, attempt);
            let marked = format!("_{}]", self.tag);
            if memchr::memmem::find(body, marked.as_bytes()).is_none() {
                break;
            }
        }
        let mut counts: Vec<(&str, u32)> = Vec::new();
        for value in &mut self.values {
            let (kind, tag) = (value.kind.as_str(), &self.tag);
            let number = match counts.iter_mut().find(|(counted, _)| *counted == kind) {
                Some((_, count)) => {
                    *count += 1;
                    *count
                }
                None => {
                    counts.push((kind, 1));
                    1
                }
            };
            value.placeholder = format!("[{kind}_{number}_{tag}]");
        }
    }

    fn make_tag(&self, key: &[u8], attempt: u8) -> String {
        let attempt = [attempt];
        let mut parts: Vec<&[u8]> = vec![b"placeholders\0", &attempt];
        for value in &self.values {
            parts.extend([value.kind.as_bytes(), b"\0", value.text.as_bytes(), b"\0"]);
        }
        let code = hmac(key, &parts);
        let letters = code.iter().take(TAG_CHARS);
        letters
            .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)))
            .map(|letter| char::from(*letter))
            .collect()
    }

    /// The placeholder of a value by its number.
    pub(super) fn placeholder(&self, number: usize) -> &str {
        self.values
            .get(number)
            .map_or("", |value| value.placeholder.as_str())
    }

    /// Appends `text` to `out` with the values in place of their placeholders, and says how many
    /// bytes of it were read: all, unless more of the text is to come and its end may be the
    /// beginning of a placeholder. `in_json` escapes the values for the inside of a JSON string.
    pub fn restore(&self, text: &str, more: bool, in_json: bool, out: &mut String) -> usize {
        let bytes = text.as_bytes();
        let (mut copied, mut at) = (0, 0);
        while let Some(next) = memchr::memchr2(b'[', b'\\', bytes.get(at..).unwrap_or_default()) {
            at += next;
            match self.at(bytes.get(at..).unwrap_or_default()) {
                Found::Placeholder(length, value) => {
                    out.push_str(text.get(copied..at).unwrap_or_default());
                    if in_json {
                        push_escaped(value, out);
                    } else {
                        out.push_str(value);
                    }
                    at += length;
                    copied = at;
                }
                Found::Beginning if more => {
                    out.push_str(text.get(copied..at).unwrap_or_default());
                    return at;
                }
                Found::Beginning | Found::Nothing => at += 1,
            }
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        text.len()
    }

    /// The most bytes that [`Pseudonyms::restore`] leaves unread.
    pub fn held_max(&self) -> usize {
        let longest = self
            .values
            .iter()
            .map(|value| value.placeholder.len())
            .max();
        longest.map_or(0, |longest| longest + ESCAPES_MAX)
    }

    fn at(&self, text: &[u8]) -> Found<'_> {
        let mut found = Found::Nothing;
        for value in &self.values {
            match read(value.placeholder.as_bytes(), text) {
                Found::Placeholder(length, _) => return Found::Placeholder(length, &value.text),
                Found::Beginning => found = Found::Beginning,
                Found::Nothing => {}
            }
        }
        found
    }
}

/// Compares letters whatever their case; a backslash may stand before each mark.
fn read(placeholder: &[u8], text: &[u8]) -> Found<'static> {
    let mut rest = text.iter();
    let mut escapes = 0;
    for wanted in placeholder {
        let mut byte = rest.next();
        if byte == Some(&b'\\') && !wanted.is_ascii_alphanumeric() && escapes < ESCAPES_MAX {
            escapes += 1;
            byte = rest.next();
        }
        match byte {
            None => return Found::Beginning,
            Some(byte) if byte.eq_ignore_ascii_case(wanted) => {}
            Some(_) => return Found::Nothing,
        }
    }
    Found::Placeholder(text.len() - rest.len(), "")
}

fn push_escaped(value: &str, out: &mut String) {
    let mut escaped = Vec::with_capacity(value.len());
    crate::json::escape_into(value, &mut escaped);
    out.push_str(&String::from_utf8_lossy(&escaped));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Pseudonyms {
        let mut pseudonyms = Pseudonyms::default();
        assert_eq!(pseudonyms.add("EMAIL".into(), "a@example.com"), 0);
        assert_eq!(pseudonyms.add("NAME".into(), "Ann \"A\" Bee"), 1);
        assert_eq!(pseudonyms.add("EMAIL".into(), "b@example.com"), 2);
        assert_eq!(pseudonyms.add("EMAIL".into(), "a@example.com"), 0);
        pseudonyms.name_all(b"key", b"");
        pseudonyms
    }

    #[test]
    fn placeholders_are_numbered_by_type_and_tagged_by_key_and_values() {
        let (one, other) = (two(), two());
        assert_eq!(one, other);
        let tag = &one.tag;
        assert_eq!(one.placeholder(0), format!("[EMAIL_1_{tag}]"));
        assert_eq!(one.placeholder(1), format!("[NAME_1_{tag}]"));
        assert_eq!(one.placeholder(2), format!("[EMAIL_2_{tag}]"));
        let mut elsewhere = two();
        elsewhere.name_all(b"other", b"");
        assert_ne!(elsewhere.tag, one.tag);
        // What the request holds already is no tag.
        elsewhere.name_all(b"key", one.placeholder(0).as_bytes());
        assert_ne!(elsewhere.tag, one.tag);
    }

    #[test]
    fn a_placeholder_cut_anywhere_gets_its_value_back() {
        let pseudonyms = two();
        let (mail, name) = (pseudonyms.placeholder(0), pseudonyms.placeholder(1));
        let text = format!(
            "[x] {mail}, \\{} [EMAIL_1_zzzz] [{name}] é {} [EMAIL",
            mail.replace('_', "\\_").replace(']', "\\]"),
            name.to_lowercase()
        );
        let wanted = "[x] a@example.com, a@example.com [EMAIL_1_zzzz] [Ann \"A\" Bee] é \
                      Ann \"A\" Bee [EMAIL";
        for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
            let mut out = String::new();
            let first = text.get(..cut).expect("a border");
            let read = pseudonyms.restore(first, true, false, &mut out);
            assert!(cut - read <= pseudonyms.held_max());
            let rest = text.get(read..).expect("a border");
            pseudonyms.restore(rest, false, false, &mut out);
            assert_eq!(out, wanted, "{cut}");
        }
        let mut out = String::new();
        pseudonyms.restore(&format!("{{\"to\":\"{name}\"}}"), false, true, &mut out);
        assert_eq!(out, "{\"to\":\"Ann \\\"A\\\" Bee\"}");
    }
}
