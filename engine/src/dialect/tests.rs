//! Golden files in `testdata/dialect`, and laws that hold for any input.
//!
//! `UPDATE_GOLDEN=1 cargo test -p weir-engine dialect` writes the expected files anew.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::json::{self, Span};

mod errors;
mod laws;

const CREATED_S: u64 = 1_700_000_000;
const METADATA: &str = r#"{"cache_hit":false}"#;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/dialect")
        .join(name)
}

/// Inputs of a folder by name: files with only one dot.
fn inputs(name: &str) -> Vec<(String, Vec<u8>)> {
    let mut inputs: Vec<_> = fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let stem = path.file_stem()?.to_str()?.to_owned();
            (!stem.contains('.')).then(|| (stem, fs::read(path).unwrap()))
        })
        .collect();
    inputs.sort();
    assert!(inputs.len() > 15, "{name} has lost its files");
    inputs
}

/// Compares with a golden file, or writes it; answers whether they differ.
fn differs(path: &Path, seen: &[u8]) -> bool {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, seen).unwrap();
        return false;
    }
    let expected = fs::read(path).unwrap_or_default();
    if expected != seen {
        eprintln!(
            "--- {}\n{}\n",
            path.display(),
            String::from_utf8_lossy(seen)
        );
    }
    expected != seen
}

/// JSON with a line per member, so that a change shows as a change of lines. Numbers and strings
/// stay as they are written.
fn pretty(compact: &[u8]) -> Vec<u8> {
    let root = json::document(compact).expect("what is written is JSON");
    let mut out = Vec::new();
    indent(compact, root, 0, &mut out);
    out.push(b'\n');
    out
}

fn indent(body: &[u8], value: Span, depth: usize, out: &mut Vec<u8>) {
    let (open, close) = match json::kind(body, value) {
        Some(json::Kind::Object) => (b'{', b'}'),
        Some(json::Kind::Array) => (b'[', b']'),
        _ => return out.extend_from_slice(value.of(body)),
    };
    let items: Vec<(Option<Span>, Span)> = if open == b'{' {
        json::members(body, value)
            .map(|member| (Some(member.key), member.value))
            .collect()
    } else {
        json::elements(body, value)
            .map(|element| (None, element))
            .collect()
    };
    out.push(open);
    for (index, (key, item)) in items.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
        out.extend(std::iter::repeat_n(b' ', (depth + 1) * 2));
        if let Some(key) = key {
            out.extend_from_slice(
                format!("\"{}\": ", String::from_utf8_lossy(key.of(body))).as_bytes(),
            );
        }
        indent(body, *item, depth + 1, out);
    }
    if !items.is_empty() {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', depth * 2));
    }
    out.push(close);
}

fn encoded(dialect: Dialect, body: &[u8]) -> Result<Encoded<'_>, RequestError> {
    let request = ChatRequest::parse(body)?;
    // A request that names the maker's own model keeps it; the others are fallbacks.
    let (own, other) = match dialect {
        Dialect::Openai => ("gpt", "gpt-4o"),
        Dialect::Anthropic => ("claude", "claude-sonnet-4-5"),
    };
    let model = if request.model.starts_with(own) {
        request.model.clone()
    } else {
        other.into()
    };
    let target = Target {
        dialect,
        model: &model,
        output_cap: None,
        output_max: 64_000,
    };
    encode(&target, &request, body, Edits::default())
}

#[test]
fn requests() {
    let mut wrong = Vec::new();
    for (name, body) in inputs("requests") {
        let sent = encoded(Dialect::Openai, &body).unwrap();
        if differs(
            &folder("requests").join(format!("{name}.openai.json")),
            &sent.body,
        ) {
            wrong.push(format!("{name}.openai"));
        }
        let mut seen = Vec::new();
        writer::Writer::new(&mut seen).object(|out| match encoded(Dialect::Anthropic, &body) {
            Ok(sent) => {
                out.key("path").string(sent.path);
                for (header, value) in &sent.headers {
                    out.key(header).string(value);
                }
                out.key("dropped")
                    .array(|out| sent.dropped.iter().for_each(|it| out.string(it)));
                out.key("body").raw(&sent.body);
            }
            Err(refused) => {
                out.key("refused").string(&refused.message);
                out.key("param")
                    .string(refused.param.as_deref().unwrap_or_default());
            }
        });
        let path = folder("requests").join(format!("{name}.anthropic.json"));
        if differs(&path, &pretty(&seen)) {
            wrong.push(format!("{name}.anthropic"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn dialect_of(name: &str) -> Dialect {
    if name.starts_with("anthropic-") {
        Dialect::Anthropic
    } else {
        Dialect::Openai
    }
}

fn summary(usage: Option<Usage>, text: &str) -> String {
    let usage = usage.map_or("none".to_owned(), |usage| {
        let Usage { input, cached_input, cache_write, output, reasoning } = usage;
        format!("{input} in ({cached_input} cached, {cache_write} written), {output} out ({reasoning} reasoning)")
    });
    format!("usage {usage}; text {text:?}")
}

#[test]
fn answers() {
    let mut wrong = Vec::new();
    for (name, body) in inputs("answers") {
        let dialect = dialect_of(&name);
        let seen = match decode_answer(dialect, "model-asked", CREATED_S, body.clone()) {
            Ok(answer) => {
                let faithful = answer.body == body;
                assert_eq!(faithful, dialect == Dialect::Openai, "{name}");
                let body = if faithful {
                    b"\"unchanged\"".to_vec()
                } else {
                    answer.body
                };
                (body, summary(answer.usage, &answer.text))
            }
            Err(DecodeError::Invalid) => (b"null".to_vec(), "invalid".to_owned()),
            Err(DecodeError::Reported(error)) => (error.body, format!("status {}", error.status)),
        };
        let mut out = Vec::new();
        writer::Writer::new(&mut out).object(|out| {
            out.key("seen").string(&seen.1);
            out.key("body").raw(&seen.0);
        });
        if differs(
            &folder("answers").join(format!("{name}.expected.json")),
            &pretty(&out),
        ) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// What a client gets of a stream, and in comments what the gateway learns.
fn replay(name: &str, chunks: &[&[u8]], include_usage: bool) -> Vec<u8> {
    let mut decoder = StreamDecoder::new(
        dialect_of(name),
        "model-asked",
        CREATED_S,
        "x1",
        include_usage,
    );
    let (mut out, mut text) = (Vec::new(), String::new());
    for chunk in chunks {
        decoder.push(chunk, &mut out);
        text.extend(decoder.take_text());
    }
    decoder.end(&mut out);
    text.extend(decoder.take_text());
    let before_tail = out.len();
    decoder.tail(METADATA, &mut out);
    assert_eq!(
        decoder.failed(),
        before_tail == out.len(),
        "{name}: no end after a failure"
    );
    assert_ne!(decoder.failed(), decoder.finished(), "{name}");
    let whole = chunks.concat();
    let first = match first_event(dialect_of(name), &whole, true) {
        FirstEvent::Good => "good".to_owned(),
        FirstEvent::NeedMore => "undecided".to_owned(),
        FirstEvent::Failed { status, body } => {
            format!("failed {status} {}", String::from_utf8_lossy(&body))
        }
    };
    let end = if decoder.failed() {
        "failed"
    } else {
        "finished"
    };
    let learned = format!(
        "first event {first}\n{end}; {}\n",
        summary(decoder.usage(), &text)
    );
    [learned.as_bytes(), b"-----\n", &out].concat()
}

#[test]
fn streams() {
    let mut wrong = Vec::new();
    for (name, stream) in inputs("streams") {
        for (suffix, include_usage) in [("plain", false), ("usage", true)] {
            let seen = replay(&name, &[&stream], include_usage);
            for size in [1, 7, 64] {
                let chunks: Vec<&[u8]> = stream.chunks(size).collect();
                let split = replay(&name, &chunks, include_usage);
                assert_eq!(
                    String::from_utf8_lossy(&split),
                    String::from_utf8_lossy(&seen),
                    "{name} in pieces of {size}"
                );
            }
            if differs(
                &folder("streams").join(format!("{name}.{suffix}.sse")),
                &seen,
            ) {
                wrong.push(format!("{name}.{suffix}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
