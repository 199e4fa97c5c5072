//! Golden files in `testdata/ingress/responses`, and laws that hold for any input.
//!
//! `UPDATE_EXPECT=1 cargo test -p weir-engine ingress::responses` writes the expected files anew.
//! `tests/python/judge_responses.py` reads them with the official client's own types.

use std::fs;
use std::path::{Path, PathBuf};

use crate::ingress::{Context, Ingress, StreamEncoder, Translated};
use crate::json::{self, Writer};
use crate::request::{ChatRequest, RequestError};

mod laws;

const CREATED_S: u64 = 1_700_000_000;
/// What answers and streams repeat: a request with a custom tool.
const REQUEST: &str = r#"{"model":"gpt-4o","input":"a","instructions":"Be \"brief\"","metadata":{"team":"a"},
    "temperature":0.5,"tools":[{"type":"function","name":"weather","parameters":{"type":"object"},"strict":true},
    {"type":"custom","name":"patch"}]}"#;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/ingress/responses")
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

/// Compares with golden files, or writes them.
fn expect(name: &str, extension: &str, mut seen: impl FnMut(&str, &[u8]) -> Vec<u8>) {
    let mut wrong = Vec::new();
    for (stem, input) in inputs(name) {
        let seen = seen(&stem, &input);
        let path = folder(name).join(format!("{stem}.{extension}"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(path, seen).unwrap();
        } else if fs::read(&path).unwrap_or_default() != seen {
            let seen = String::from_utf8_lossy(&seen);
            eprintln!("--- {}\n{seen}\n", path.display());
            wrong.push(stem);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn translated(body: &[u8]) -> Result<Translated, RequestError> {
    Ingress::Responses.to_chat(body, json::document(body).unwrap())
}

fn context(echo: &[u8]) -> Context<'_> {
    Context {
        exchange: "x-1",
        created_s: CREATED_S,
        model: "model-asked",
        tokens_in: 7,
        echo,
    }
}

fn replay(chunks: &[&[u8]], echo: &[u8]) -> Vec<u8> {
    let mut encoder = StreamEncoder::new(Ingress::Responses, &context(echo));
    let mut out = Vec::new();
    for chunk in chunks {
        encoder.push(chunk, &mut out);
    }
    out
}

#[test]
fn requests() {
    expect("requests", "chat.json", |name, body| {
        let mut seen = Vec::new();
        match translated(body) {
            Ok(Translated {
                body,
                dropped,
                echo,
            }) => {
                ChatRequest::parse(&body).unwrap_or_else(|error| panic!("{name}: {error}"));
                Writer::new(&mut seen).object(|out| {
                    out.key("dropped")
                        .array(|out| dropped.iter().for_each(|name| out.string(name)));
                    out.key("chat").raw(&body);
                    out.key("echo").raw(&echo);
                });
            }
            Err(refused) => Writer::new(&mut seen).object(|out| {
                out.key("refused").string(&refused.message);
                out.key("param")
                    .string(refused.param.as_deref().unwrap_or_default());
            }),
        }
        pretty(&seen)
    });
}

#[test]
fn answers() {
    let echo = translated(REQUEST.as_bytes()).unwrap().echo;
    expect("answers", "response.json", |_, chat| {
        pretty(&Ingress::Responses.answer(chat, &context(&echo)))
    });
}

#[test]
fn streams() {
    let echo = translated(REQUEST.as_bytes()).unwrap().echo;
    expect("streams", "events.sse", |name, stream| {
        let seen = replay(&[stream], &echo);
        for size in [1, 7, 64] {
            let chunks: Vec<&[u8]> = stream.chunks(size).collect();
            assert_eq!(
                String::from_utf8_lossy(&replay(&chunks, &echo)),
                String::from_utf8_lossy(&seen),
                "{name} in pieces of {size}"
            );
        }
        seen
    });
}

/// JSON with a line per value, so that a change shows as a change of lines. Numbers and strings
/// stay as they are written.
fn pretty(json: &[u8]) -> Vec<u8> {
    json::document(json).expect("what is written is JSON");
    let (mut out, mut depth, mut in_string, mut escaped) = (Vec::new(), 0, false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', depth * 2));
    };
    for &byte in json {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => {
                depth += 1;
                out.push(byte);
                line(&mut out, depth);
            }
            b'}' | b']' => {
                depth -= 1;
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend(b": "),
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out.push(b'\n');
    out
}
