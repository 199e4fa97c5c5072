//! Files inside of a request: what is text in them, and what nobody here reads.

use std::borrow::Cow;

use base64::Engine;

use crate::json::{self, Span};
use crate::lenient::BASE64;

/// What has fewer characters is no file, but a text that happens to use no others than base64.
const FILE_BYTES_MIN: usize = 24;
/// Where `;base64,` must begin in a data URL at the latest.
const DATA_URL_HEAD_BYTES_MAX: usize = 128;

/// How pictures and sound begin in base64: PNG, JPEG, GIF, RIFF (WebP and WAV), Ogg, FLAC, MP3.
const MEDIA: [&[u8]; 7] = [
    b"iVBORw0KGg",
    b"/9j/",
    b"R0lGOD",
    b"UklGR",
    b"T2dnUw",
    b"ZkxhQ",
    b"SUQz",
];

/// What a file's string turns out to hold.
pub(crate) enum Content<'a> {
    /// Its text, and whether that stood there in base64.
    Text(Cow<'a, str>, bool),
    /// No text in UTF-8.
    Unread,
}

/// What the string of a file at `span` holds.
pub(crate) fn content(body: &[u8], span: Span) -> Option<Content<'_>> {
    let text = json::unescaped(span.of(body))?;
    let tight: Cow<'_, str> = if text.contains(['\n', '\r']) {
        text.chars()
            .filter(|letter| !matches!(letter, '\n' | '\r'))
            .collect()
    } else {
        Cow::Borrowed(&*text)
    };
    let plain = tight.len() < FILE_BYTES_MIN || !tight.bytes().all(is_base64);
    let Some(bytes) = (!plain).then(|| BASE64.decode(&*tight).ok()).flatten() else {
        return Some(Content::Text(text, false));
    };
    Some(match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Content::Text(Cow::Owned(text), true),
        _ => Content::Unread,
    })
}

/// The same text in base64.
pub(crate) fn encoded(text: &str) -> String {
    BASE64.encode(text)
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// A string in base64 that begins as a picture or sound does.
pub(super) fn is_media(inside: &[u8]) -> bool {
    // `\/` is how some write a slash.
    let mut head = [0; 12];
    let letters = inside.iter().filter(|byte| **byte != b'\\');
    head.iter_mut()
        .zip(letters)
        .for_each(|(to, from)| *to = *from);
    MEDIA.iter().any(|media| head.starts_with(media))
}

/// A string that is a data URL: what it is said to be, and where its base64 begins.
pub(super) fn data_url(inside: &[u8]) -> Option<(&[u8], usize)> {
    const MARK: &[u8] = b";base64,";
    let head = inside.get(..DATA_URL_HEAD_BYTES_MAX).unwrap_or(inside);
    let named = head.strip_prefix(b"data:")?;
    let len = named
        .windows(MARK.len())
        .position(|window| window == MARK)?;
    let from = head.len() - named.len() + len + MARK.len();
    Some((named.get(..len)?, from))
}

/// Pictures, sound and films are left alone.
pub(super) fn is_media_type(name: &[u8]) -> bool {
    let kind = name.get(..5).unwrap_or(name).to_ascii_lowercase();
    matches!(&*kind, b"image" | b"audio" | b"video")
}
