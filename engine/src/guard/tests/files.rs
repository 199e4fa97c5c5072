//! Files inside of requests.

use base64::Engine;

use super::inspected;
use crate::request::attached::encoded;
use crate::wire::PiiAction;

#[test]
fn files_are_read_whatever_form_they_come_in() {
    let said = "from ann@example.com\nkind regards";
    let wanted = "from [EMAIL_REDACTED]\nkind regards";
    let url = |text: &str| format!("data:text/csv;base64,{}", encoded(text));
    for (given, wanted) in [
        (encoded(said), encoded(wanted)),
        (url(said), url(wanted)),
        (encoded(said).replace('/', "\\/"), encoded(wanted)),
        (
            encoded(said).trim_end_matches('=').to_owned(),
            encoded(wanted),
        ),
        (said.replace('\n', "\\n"), wanted.replace('\n', "\\n")),
    ] {
        for (before, after) in [
            (r#"{"type":"file","file":{"file_data":""#, r#""}}"#),
            (r#"{"type":"input_file","file_data":""#, r#""}"#),
            (
                r#"{"type":"document","source":{"media_type":"text/plain","data":""#,
                r#""}}"#,
            ),
        ] {
            let body = |data: &str| {
                format!(
                    r#"{{"model":"m","messages":[{{"role":"user","content":[{before}{data}{after}]}}]}}"#
                )
            };
            let (found, redacted) = inspected(body(&given).as_bytes(), PiiAction::Redact);
            assert_eq!((redacted, found.unread), (body(&wanted), 0));
        }
    }
}

#[test]
fn files_without_text_are_told_and_pictures_are_not() {
    let encoded = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);

    let pdf = encoded(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj <<>> endobj");
    let picture = encoded(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01");
    let in_part = |part: &str| {
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#)
    };
    for (part, wanted) in [
        (
            format!(r#"{{"type":"file","file":{{"file_data":"{pdf}"}}}}"#),
            1,
        ),
        (
            format!(r#"{{"type":"file","file":{{"file_data":"data:x;base64,{pdf}"}}}}"#),
            1,
        ),
        (
            format!(r#"{{"type":"image","source":{{"data":"{picture}"}}}}"#),
            0,
        ),
        (
            format!(r#"{{"type":"image_url","image_url":"data:image/png;base64,{pdf}"}}"#),
            0,
        ),
        (
            format!(r#"{{"type":"input_audio","input_audio":{{"data":"{pdf}"}}}}"#),
            0,
        ),
        (
            format!(r#"{{"type":"redacted_thinking","data":"{pdf}"}}"#),
            0,
        ),
    ] {
        let body = in_part(&part);
        let (found, redacted) = inspected(body.as_bytes(), PiiAction::Redact);
        assert_eq!((redacted, found.unread), (body, wanted), "{part}");
    }
}
