//! Bodies of type `multipart/form-data` (RFC 7578), as far as a call's model is concerned.

use memchr::memmem;

use super::Call;
use crate::json::Span;

/// Parts that are looked at. A model named in a later one is not seen.
const PARTS_MAX: usize = 64;
/// Headers of one part.
const PART_HEAD_BYTES_MAX: usize = 4096;

impl Call {
    /// What a form names; `None` for a body of another type.
    pub fn of_form(content_type: &str, body: &[u8]) -> Option<Call> {
        let boundary = boundary(content_type)?;
        let mut call = Call::default();
        if let Some(span) = field(&boundary, body, "model")
            && let Ok(model) = std::str::from_utf8(span.of(body))
        {
            call.model = model.to_owned();
            call.model_span = Some(span).filter(|span| !span.is_empty());
        }
        Some(call)
    }
}

/// What stands in front of each part.
fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case("boundary");
        named.then(|| value.trim().trim_matches('"'))
    })?;
    (!boundary.is_empty()).then(|| format!("--{boundary}"))
}

/// The content of the field called `name`.
fn field(boundary: &str, body: &[u8], name: &str) -> Option<Span> {
    let finder = memmem::Finder::new(boundary);
    let wanted = format!("name=\"{name}\"");
    let mut at = finder.find(body)?;
    for _ in 0..PARTS_MAX {
        let part = at.checked_add(boundary.len())?;
        let rest = body.get(part..)?.strip_prefix(b"\r\n")?;
        let start = part.checked_add(2)?;
        let head_max = rest.get(..PART_HEAD_BYTES_MAX).unwrap_or(rest);
        let head_len = memmem::find(head_max, b"\r\n\r\n")?;
        let content = start.checked_add(head_len)?.checked_add(4)?;
        let next = content.checked_add(finder.find(body.get(content..)?)?)?;
        let head = rest.get(..head_len).unwrap_or_default();
        if is_named(head, &wanted) {
            let end = next.checked_sub(2)?;
            return (content <= end).then_some(Span {
                start: content,
                end,
            });
        }
        at = next;
    }
    None
}

fn is_named(head: &[u8], wanted: &str) -> bool {
    let head = String::from_utf8_lossy(head);
    head.lines().any(|line| {
        let Some((name, value)) = line.split_once(':') else {
            return false;
        };
        let parameters = value.split(';').map(str::trim);
        name.trim().eq_ignore_ascii_case("content-disposition")
            && parameters.into_iter().any(|parameter| parameter == wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"name=\"model\"\"\r\n\
        Content-Type: audio/mpeg\r\n\r\n\u{0}\u{1}--X\r\n--XX\r\n\
        content-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--XX--\r\n";

    #[test]
    fn a_form_names_its_model() {
        let call = Call::of_form("multipart/form-data; boundary=XX", BODY.as_bytes()).unwrap();
        assert_eq!(call.model, "whisper-1");
        assert_eq!(call.model_span.unwrap().of(BODY.as_bytes()), b"whisper-1");
        let quoted = Call::of_form("Multipart/Form-Data; boundary=\"XX\"", BODY.as_bytes());
        assert_eq!(quoted.unwrap().model, "whisper-1");
    }

    #[test]
    fn other_bodies_have_none() {
        assert!(Call::of_form("application/json", b"{}").is_none());
        assert!(Call::of_form("multipart/form-data", b"--XX").is_none());
        for end in 0..BODY.len() {
            let body = BODY.as_bytes().get(..end).unwrap();
            let call = Call::of_form("multipart/form-data; boundary=XX", body).unwrap();
            assert!(call.model.is_empty() || end >= BODY.len() - 8, "{end}");
        }
    }
}
