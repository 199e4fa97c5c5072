//! Parts of a call's path.

use std::fmt::Write;

/// Appends `text` as one segment of a path: whatever RFC 3986 does not leave unreserved is
/// percent-encoded, `/` and `:` included.
pub(super) fn push_segment(path: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}
