//! Names of a document's members, as context of their values.

use std::borrow::Cow;

use crate::json::Span;

/// Longest name given to the scanner before its value.
pub(in super::super) const LABEL_BYTES_MAX: usize = 48;

/// `value` after its name, so that the name counts as context, and the length of that prefix. The
/// name is left out when it holds data itself: it is reported where it stands.
pub(super) fn labelled<'a>(document: &[u8], label: Span, value: &'a str) -> (Cow<'a, str>, usize) {
    let plain = Cow::Borrowed(value);
    let name = label.of(document);
    match std::str::from_utf8(name) {
        Ok(name) if is_label(name.as_bytes()) => {
            let text = format!("{name}: {value}");
            let prefix = text.len() - value.len();
            (Cow::Owned(text), prefix)
        }
        _ => (plain, 0),
    }
}

/// Whether a name may be given to the scanner with its value.
pub(in super::super) fn is_label(name: &[u8]) -> bool {
    let is_odd = |byte: &u8| matches!(byte, b'\\' | b'@' | b'0'..=b'9');
    !name.is_empty() && name.len() <= LABEL_BYTES_MAX && !name.iter().any(is_odd)
}
