//! Golden files in `testdata/embeddings`, and laws that hold for any input.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::golden::{self, differs, pretty};
use crate::json::Writer;
use crate::limits::EMBEDDING_INPUTS_MAX;
use crate::wire::ParameterRules;

/// Targets that every request is written for.
const TARGETS: [(&str, Dialect, &str, &str); 13] = [
    ("openai", Dialect::Openai, "text-embedding-3-small", ""),
    ("azure", Dialect::Azure, "my deployment", "2024-10-21"),
    ("azure-v1", Dialect::Azure, "my-deployment", ""),
    ("mistral", Dialect::Mistral, "codestral-embed", ""),
    ("ollama", Dialect::Ollama, "nomic-embed-text", ""),
    ("gemini", Dialect::Gemini, "gemini-embedding-001", ""),
    ("vertex", Dialect::Vertex, "text-embedding-005", ""),
    ("vertex-2", Dialect::Vertex, "gemini-embedding-2", ""),
    (
        "titan",
        Dialect::Bedrock,
        "amazon.titan-embed-text-v2:0",
        "",
    ),
    (
        "titan-1",
        Dialect::Bedrock,
        "amazon.titan-embed-text-v1",
        "",
    ),
    (
        "titan-image",
        Dialect::Bedrock,
        "amazon.titan-embed-image-v1",
        "",
    ),
    ("cohere", Dialect::Bedrock, "us.cohere.embed-v4:0", ""),
    ("anthropic", Dialect::Anthropic, "claude-sonnet-4-5", ""),
];

fn folder(name: &str) -> PathBuf {
    golden::folder("embeddings").join(name)
}

fn target(dialect: Dialect, model: &'static str, api_version: &'static str) -> Target<'static> {
    Target {
        api_version,
        ..Target::new(dialect, model)
    }
}

fn sent<'a>(target: &Target<'_>, body: &'a [u8]) -> Result<Encoded<'a>, RequestError> {
    encode(target, &Call::parse(body)?, body)
}

#[test]
fn requests() {
    let mut wrong = Vec::new();
    for (name, body) in golden::inputs(&folder("requests"), 10) {
        // Targets that take it alike share an entry.
        let mut outcomes: Vec<(String, Vec<u8>)> = Vec::new();
        for (column, dialect, model, api_version) in TARGETS {
            let outcome = described(sent(&target(dialect, model, api_version), &body));
            match outcomes.iter_mut().find(|(_, other)| *other == outcome) {
                Some((columns, _)) => *columns = format!("{columns}, {column}"),
                None => outcomes.push((column.to_owned(), outcome)),
            }
        }
        let mut seen = Vec::new();
        Writer::new(&mut seen).object(|out| {
            for (columns, outcome) in &outcomes {
                out.key(columns).raw(outcome);
            }
        });
        let path = folder("requests").join(format!("{name}.expected.json"));
        if differs(&path, &pretty(&seen)) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn described(result: Result<Encoded<'_>, RequestError>) -> Vec<u8> {
    let mut seen = Vec::new();
    Writer::new(&mut seen).object(|out| match result {
        Ok(sent) => {
            out.key("path").string(&sent.path);
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

fn decoded(dialect: Dialect, encoding: &str, body: &[u8]) -> Result<Answer, DecodeError> {
    let request = format!(r#"{{"input":"a","encoding_format":"{encoding}"}}"#);
    let context = Context {
        request: request.as_bytes(),
        model: "model-asked",
        tokens_in: 7,
    };
    decode_answer(dialect, &context, body.to_vec())
}

fn dialect_of(name: &str) -> Dialect {
    match name.split('-').next().unwrap_or_default() {
        "azure" => Dialect::Azure,
        "bedrock" => Dialect::Bedrock,
        "gemini" => Dialect::Gemini,
        "mistral" => Dialect::Mistral,
        "ollama" => Dialect::Ollama,
        "openai" => Dialect::Openai,
        "vertex" => Dialect::Vertex,
        other => panic!("{other} has no answers here"),
    }
}

#[test]
fn answers() {
    let mut wrong = Vec::new();
    for (name, body) in golden::inputs(&folder("answers"), 10) {
        let mut seen = Vec::new();
        Writer::new(&mut seen).object(|out| {
            for encoding in ["float", "base64"] {
                out.key(encoding)
                    .object(|out| match decoded(dialect_of(&name), encoding, &body) {
                        Ok(answer) => {
                            out.key("tokens");
                            match answer.usage {
                                Some(usage) => out.number(usage.input),
                                None => out.null(),
                            }
                            assert_eq!(answer.text, "");
                            out.key("body");
                            if answer.body == body {
                                out.string("unchanged");
                            } else {
                                out.raw(&answer.body);
                            }
                        }
                        Err(DecodeError::Invalid) => out.key("invalid").boolean(true),
                        Err(DecodeError::Reported(error)) => {
                            out.key("status").number(error.status.into());
                            out.key("body").raw(&error.body);
                        }
                    });
            }
        });
        let path = folder("answers").join(format!("{name}.expected.json"));
        if differs(&path, &pretty(&seen)) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_request_that_fits_is_not_copied() {
    let body = br#"{"model":"m", "input":"a","encoding_format":"base64","dimensions":3}"#;
    let encoded = sent(&Target::new(Dialect::Openai, "m"), body).unwrap();
    assert!(matches!(encoded.body, Cow::Borrowed(_)));
}

#[test]
fn inputs_are_counted() {
    let request = |count: usize| {
        let inputs = vec!["\"a\""; count].join(",");
        format!(r#"{{"model":"m","input":[{inputs}]}}"#).into_bytes()
    };
    let target = Target::new(Dialect::Openai, "m");
    assert!(sent(&target, &request(EMBEDDING_INPUTS_MAX)).is_ok());
    let refused = sent(&target, &request(EMBEDDING_INPUTS_MAX + 1)).unwrap_err();
    assert_eq!(refused.message, "'input' must hold at most 2048 inputs");
}

#[test]
fn an_operators_rules_hold_here_too() {
    let rules = ParameterRules {
        drop: vec!["user".into()],
        refuse: vec!["seed".into()],
        rename: vec![("size".into(), "dimensions".into())],
    };
    let body = br#"{"model":"m","input":"a","user":"u","size":8}"#;
    for dialect in [Dialect::Openai, Dialect::Gemini] {
        let target = Target {
            rules: Some(&rules),
            ..Target::new(dialect, "m")
        };
        let encoded = sent(&target, body).unwrap();
        assert_eq!(encoded.dropped, ["user"]);
        let text = String::from_utf8_lossy(&encoded.body);
        let renamed = [r#""dimensions":8"#, r#""outputDimensionality":8"#];
        assert!(renamed.iter().any(|it| text.contains(it)), "{text}");
        let refused = sent(&target, br#"{"model":"m","input":"a","seed":1}"#).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("seed"));
        let strict = Target {
            strict: true,
            ..target
        };
        assert_eq!(
            sent(&strict, body).unwrap_err().message,
            "this provider does not take user"
        );
    }
}

#[test]
fn token_ids_are_counted_in_lists_of_either_depth() {
    for (input, ids) in [
        (r#""text""#, 0),
        (r#"["a","b"]"#, 0),
        ("[1,2,3]", 3),
        ("[[1,2],[3],[4,5,6]]", 6),
        ("null", 0),
        ("7", 0),
    ] {
        let body = format!(r#"{{"input":{input}}}"#);
        let root = json::document(body.as_bytes()).unwrap();
        assert_eq!(token_ids(body.as_bytes(), root), ids, "{input}");
    }
}

/// The vectors of an answer in OpenAI's format.
fn vectors(body: &[u8]) -> Vec<serde_json::Value> {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap();
    let data = answer["data"].as_array().unwrap();
    data.iter().map(|it| it["embedding"].clone()).collect()
}

fn openai_answer(vector: &str) -> Vec<u8> {
    format!(r#"{{"data":[{{"embedding":{vector}}}],"usage":{{"prompt_tokens":1}}}}"#).into_bytes()
}

proptest! {
    /// Numbers to base64 and back, and base64 to numbers and back: the same 32 bits each.
    #[test]
    fn a_vector_survives_both_encodings(bits in prop::collection::vec(any::<u32>(), 0..40)) {
        let floats: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        let finite = floats.iter().all(|float| float.is_finite());
        let bytes: Vec<u8> = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
        let base64 = {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD.encode(&bytes)
        };
        let as_numbers = decoded(Dialect::Openai, "float", &openai_answer(&format!("\"{base64}\"")));
        prop_assert_eq!(as_numbers.is_ok(), finite);
        if let Ok(numbers) = as_numbers {
            prop_assert!(json::document(&numbers.body).is_ok());
            let back = decoded(Dialect::Openai, "base64", &numbers.body).unwrap();
            prop_assert_eq!(vectors(&back.body), vec![serde_json::Value::from(base64)]);
        }
    }

    /// Numbers of any length become the nearest 32-bit float, as numpy's would.
    #[test]
    fn numbers_become_the_nearest_float(number in any::<f64>(), digits in 0usize..20) {
        prop_assume!(number.is_finite() && number.abs() < 1e38);
        let text = format!("{number:.digits$e}");
        let answer = openai_answer(&format!("[ {text} ,\n0]"));
        let answer = decoded(Dialect::Ollama, "base64", &answer).unwrap();
        let text: f32 = text.parse().unwrap();
        let expect = {
            use base64::Engine;
            let bytes = [text.to_le_bytes(), [0; 4]].concat();
            base64::engine::general_purpose::STANDARD.encode(bytes)
        };
        prop_assert_eq!(vectors(&answer.body), vec![serde_json::Value::from(expect)]);
    }

    #[test]
    fn any_answer_is_an_answer_or_an_error(
        pick in 0usize..1000, at in 0usize..5000, byte in any::<u8>(), base64 in any::<bool>(),
    ) {
        let inputs = golden::inputs(&folder("answers"), 10);
        let (name, mut body) = inputs[pick % inputs.len()].clone();
        let at = at % body.len();
        body[at] = byte;
        for dialect in [dialect_of(&name), Dialect::Openai, Dialect::Vertex, Dialect::Bedrock] {
            if let Ok(answer) = decoded(dialect, if base64 { "base64" } else { "float" }, &body) {
                let root = json::document(&answer.body);
                prop_assert!(root.is_ok());
                // A number may be beyond what a reader can hold: it is the provider's.
                let data = json::member(&answer.body, root.unwrap(), "data").unwrap();
                for it in json::elements(&answer.body, data) {
                    let vector = json::member(&answer.body, it, "embedding");
                    let kind = vector.and_then(|vector| json::kind(&answer.body, vector));
                    prop_assert!(kind.is_some_and(|kind| kind != json::Kind::Null));
                }
            }
        }
    }

    #[test]
    fn any_request_is_refused_or_becomes_json(
        pick in 0usize..1000, at in 0usize..5000, byte in any::<u8>(),
    ) {
        let inputs = golden::inputs(&folder("requests"), 10);
        let mut body = inputs[pick % inputs.len()].1.clone();
        let at = at % body.len();
        body[at] = byte;
        for (column, dialect, model, api_version) in TARGETS {
            if let Ok(sent) = sent(&target(dialect, model, api_version), &body) {
                prop_assert!(json::document(&sent.body).is_ok(), "{}", column);
            }
        }
    }

    #[test]
    fn no_bytes_can_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for (_, dialect, ..) in TARGETS {
            let _ = decoded(dialect, "base64", &bytes);
        }
    }
}
