//! Golden files in `testdata/dialect`, and laws that hold for any input.
//!
//! `UPDATE_EXPECT=1 cargo test -p weir-engine dialect` writes the expected files anew.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::golden::{self, differs, pretty};
use crate::json;

mod edges;
mod errors;
mod laws;
mod parameters;
mod plain;

const CREATED_S: u64 = 1_700_000_000;
const METADATA: &str = r#"{"cache_hit":false}"#;

fn folder(name: &str) -> PathBuf {
    golden::folder("dialect").join(name)
}

fn inputs(name: &str) -> Vec<(String, Vec<u8>)> {
    golden::inputs(&folder(name), 16)
}

/// A column of the matrix: requests become `NAME.<column>.json`, and answers and streams called
/// `<column>-NAME` are decoded by it.
struct Column {
    name: &'static str,
    dialect: Dialect,
    /// How its own models' names begin: a request for one keeps it.
    own: &'static str,
    /// The model of all other requests, which are fallbacks.
    model: &'static str,
    api_version: &'static str,
}

const COLUMNS: [Column; 8] = [
    column("openai", Dialect::Openai, "gpt", "gpt-4o"),
    column(
        "anthropic",
        Dialect::Anthropic,
        "claude",
        "claude-sonnet-4-5",
    ),
    Column {
        api_version: "2024-10-21",
        ..column("azure", Dialect::Azure, "gpt", "my deployment")
    },
    column(
        "bedrock",
        Dialect::Bedrock,
        "us.",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ),
    column("gemini", Dialect::Gemini, "gemini", "gemini-2.5-flash"),
    column(
        "mistral",
        Dialect::Mistral,
        "mistral",
        "mistral-large-latest",
    ),
    column("ollama", Dialect::Ollama, "llama", "llama3:8b"),
    column("perplexity", Dialect::Perplexity, "sonar", "sonar-pro"),
];

const fn column(
    name: &'static str,
    dialect: Dialect,
    own: &'static str,
    model: &'static str,
) -> Column {
    Column {
        name,
        dialect,
        own,
        model,
        api_version: "",
    }
}

impl Column {
    /// The column of an answer or stream, by the first word of its name.
    fn of(name: &str) -> &'static Column {
        let first = name.split('-').next().unwrap_or_default();
        let found = COLUMNS.iter().find(|column| column.name == first);
        found.unwrap_or_else(|| panic!("{name} belongs to no column"))
    }
}

fn encoded<'a>(column: &Column, body: &'a [u8]) -> Result<Encoded<'a>, RequestError> {
    let request = ChatRequest::parse(body)?;
    let (dialect, api_version) = (column.dialect, column.api_version);
    let model = if request.model.starts_with(column.own) {
        request.model.clone()
    } else {
        column.model.into()
    };
    let target = Target {
        output_max: 64_000,
        api_version,
        ..Target::new(dialect, &model)
    };
    encode(&target, &request, body, Edits::default())
}

#[test]
fn requests() {
    let mut wrong = Vec::new();
    for (name, body) in inputs("requests") {
        for column in &COLUMNS {
            let result = encoded(column, &body);
            let path = folder("requests").join(format!("{name}.{}.json", column.name));
            let changed = match result {
                // Spliced, and so compared byte for byte.
                Ok(sent) if column.dialect == Dialect::Openai => differs(&path, &sent.body),
                result => differs(&path, &pretty(&described(result))),
            };
            if changed {
                wrong.push(format!("{name}.{}", column.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn described(result: Result<Encoded<'_>, RequestError>) -> Vec<u8> {
    let mut seen = Vec::new();
    json::Writer::new(&mut seen).object(|out| match result {
        Ok(sent) => {
            out.key("path").string(&sent.path);
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
    seen
}

#[test]
fn a_derived_cap_goes_under_the_name_that_the_model_takes() {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#;
    let capped = br#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"}]}"#;
    for (dialect, model, body, sent) in [
        (
            Dialect::Openai,
            "gpt-4o",
            body.as_slice(),
            r#""max_completion_tokens":7"#,
        ),
        (
            Dialect::Openai,
            "openai/o3-mini",
            body,
            r#""max_completion_tokens":7"#,
        ),
        (
            Dialect::Openai,
            "openai/gpt-oss-120b",
            body,
            r#""max_tokens":7"#,
        ),
        (Dialect::Openai, "llama3:8b", body, r#""max_tokens":7"#),
        (Dialect::Openai, "gpt-4o", capped, r#""max_tokens":9"#),
        (
            Dialect::Openai,
            "o3",
            capped,
            r#""max_completion_tokens":9"#,
        ),
        (
            Dialect::Anthropic,
            "claude-3-haiku",
            body,
            r#""max_tokens":7"#,
        ),
    ] {
        let request = ChatRequest::parse(body).unwrap();
        let target = Target {
            output_cap: Some(7),
            output_max: 4096,
            ..Target::new(dialect, model)
        };
        let encoded = encode(&target, &request, body, Edits::default()).unwrap();
        let text = String::from_utf8(encoded.body.into_owned()).unwrap();
        assert!(text.contains(sent), "{model}: {text}");
        assert_eq!(text.matches("_tokens").count(), 1, "{text}");
    }
    let request = ChatRequest::parse(body).unwrap();
    for (output_max, sent) in [(0, r#""max_tokens":4096"#), (500, r#""max_tokens":500"#)] {
        let target = Target {
            output_max,
            ..Target::new(Dialect::Anthropic, "claude")
        };
        let encoded = encode(&target, &request, body, Edits::default()).unwrap();
        assert!(String::from_utf8_lossy(&encoded.body).contains(sent));
    }
}

#[test]
fn a_request_that_fits_is_not_copied() {
    let body = br#"{"model":"m", "messages":[{"role":"user","content":"a"}]}"#;
    let request = ChatRequest::parse(body).unwrap();
    let target = Target::new(Dialect::Openai, "m");
    let encoded = encode(&target, &request, body, Edits::default()).unwrap();
    assert!(matches!(encoded.body, Cow::Borrowed(_)));
}

#[test]
fn edits_are_made_along_with_the_formats_own() {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"a@b.vn"}]}"#;
    let request = ChatRequest::parse(body).unwrap();
    for dialect in COLUMNS.map(|column| column.dialect) {
        let mut edits = Edits::default();
        edits.replace(request.texts[0].span, "[EMAIL_REDACTED]");
        let target = Target::new(dialect, "other");
        let encoded = encode(&target, &request, body, edits).unwrap();
        let text = String::from_utf8_lossy(&encoded.body);
        assert!(
            text.contains("\"[EMAIL_REDACTED]\"")
                && (text.contains("\"other\"") || encoded.path.contains("/other")),
            "{text}"
        );
    }
}

#[test]
fn a_count_of_our_own_goes_into_the_usage_chunk() {
    let mut decoder = StreamDecoder::new(Dialect::Openai, "m", 5, "x1", true);
    let mut out = Vec::new();
    let last = r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    decoder.push(format!("{last}\n\n").as_bytes(), &mut out);
    decoder.end(&mut out);
    out.clear();
    decoder.set_usage(Usage {
        input: 1,
        output: 2,
        ..Usage::default()
    });
    decoder.tail("{}", &mut out);
    let expect = concat!(
        r#"data: {"id":"chatcmpl-x1","object":"chat.completion.chunk","created":5,"model":"m","#,
        r#""choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"#,
        r#""prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"#,
        r#""completion_tokens_details":{"reasoning_tokens":0}},"metadata":{}}"#,
        "\n\ndata: [DONE]\n\n",
    );
    assert_eq!(String::from_utf8_lossy(&out), expect);
}

#[test]
fn an_event_over_the_cap_ends_the_stream_with_an_error() {
    let mut decoder = StreamDecoder::new(Dialect::Openai, "m", 5, "x1", true);
    let mut out = Vec::new();
    decoder.push(&vec![b'x'; crate::limits::EVENT_BYTES_MAX + 1], &mut out);
    assert!(decoder.failed());
    let once = out.clone();
    assert!(once.starts_with(b"data: {\"error\":"));
    decoder.push(b"data: {\"choices\":[]}\n\n", &mut out);
    decoder.end(&mut out);
    decoder.tail("{}", &mut out);
    assert_eq!(out, once);
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
        let dialect = Column::of(&name).dialect;
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
        json::Writer::new(&mut out).object(|out| {
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
        Column::of(name).dialect,
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
    let first = match first_event(Column::of(name).dialect, &whole, true) {
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
