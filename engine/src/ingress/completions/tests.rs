//! Golden files in `testdata/ingress/completions`, and laws that hold for any input.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::golden::{self, differs, pretty};
use crate::ingress::{Ingress, StreamEncoder};
use crate::request::ChatRequest;

const CREATED_S: u64 = 1_700_000_000;
/// A client that asked for nothing, and one that asked for all.
const ECHOES: [(&str, &str); 2] = [
    ("plain", r#"{"logprobs":false,"usage":false}"#),
    (
        "all",
        r#"{"prompt":"Say \"hế\":\n","logprobs":true,"usage":true}"#,
    ),
];

fn folder(name: &str) -> PathBuf {
    golden::folder("ingress/completions").join(name)
}

fn context(echo: &str) -> Context<'_> {
    Context {
        exchange: "x1",
        created_s: CREATED_S,
        model: "model-asked",
        tokens_in: 9,
        echo: echo.as_bytes(),
    }
}

fn translated(body: &[u8]) -> Result<Translated, RequestError> {
    let root = json::document(body).map_err(|_| RequestError::invalid("", "no JSON"))?;
    Ingress::Completions.to_chat(body, root)
}

#[test]
fn requests() {
    let mut wrong = Vec::new();
    for (name, body) in golden::inputs(&folder("requests"), 10) {
        let mut seen = Vec::new();
        Writer::new(&mut seen).object(|out| match translated(&body) {
            Ok(chat) => {
                assert!(ChatRequest::parse(&chat.body).is_ok(), "{name}");
                out.key("body").raw(&chat.body);
                out.key("dropped")
                    .array(|out| chat.dropped.iter().for_each(|it| out.string(it)));
                out.key("echo").raw(&chat.echo);
            }
            Err(refused) => {
                out.key("refused").string(&refused.message);
                out.key("param")
                    .string(refused.param.as_deref().unwrap_or_default());
            }
        });
        let path = folder("requests").join(format!("{name}.expected.json"));
        if differs(&path, &pretty(&seen)) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn answers() {
    let mut wrong = Vec::new();
    for (name, chat) in golden::inputs(&folder("answers"), 5) {
        let mut seen = Vec::new();
        Writer::new(&mut seen).object(|out| {
            for (wish, echo) in ECHOES {
                out.key(wish)
                    .raw(&Ingress::Completions.answer(&chat, &context(echo)));
            }
        });
        let path = folder("answers").join(format!("{name}.expected.json"));
        if differs(&path, &pretty(&seen)) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn encoded(echo: &str, pieces: &[&[u8]]) -> Vec<u8> {
    let mut encoder = StreamEncoder::new(Ingress::Completions, &context(echo));
    let mut out = Vec::new();
    for piece in pieces {
        encoder.push(piece, &mut out);
    }
    out
}

#[test]
fn streams() {
    let mut wrong = Vec::new();
    for (name, stream) in golden::inputs(&folder("streams"), 5) {
        for (wish, echo) in ECHOES {
            let seen = encoded(echo, &[&stream]);
            let path = folder("streams").join(format!("{name}.{wish}.sse"));
            if differs(&path, &seen) {
                wrong.push(format!("{name}.{wish}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// The answer of a chat of one event, `content` being JSON.
fn chunk(content: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{content}}}}}]}}\n\n")
}

#[test]
fn choices_that_no_client_asked_for_take_no_memory() {
    let far = format!(
        "data: {{\"choices\":[{{\"index\":{},\"delta\":{{\"content\":\"a\"}}}}]}}\n\n",
        u64::MAX
    );
    assert_eq!(encoded(ECHOES[0].1, &[far.as_bytes()]), b"");
}

#[test]
fn an_event_that_says_nothing_does_not_reach_the_client() {
    let stream = b"data: \n\"id\":1}\n\n: still here\n\nevent: ping\n\n";
    let seen = encoded(ECHOES[0].1, &[stream]);
    assert_eq!(String::from_utf8_lossy(&seen), ": still here\n\n");
}

proptest! {
    #[test]
    fn any_split_of_a_stream_gives_the_same(
        pick in 0usize..1000, all in any::<bool>(),
        cuts in prop::collection::vec(0usize..5000, 0..8),
    ) {
        let streams = golden::inputs(&folder("streams"), 5);
        let stream = &streams[pick % streams.len()].1;
        let echo = ECHOES[usize::from(all)].1;
        let whole = encoded(echo, &[stream]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (stream.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(stream.len());
        let mut start = 0;
        let pieces: Vec<&[u8]> = cuts
            .into_iter()
            .map(|cut| &stream[std::mem::replace(&mut start, cut)..cut])
            .collect();
        prop_assert_eq!(&encoded(echo, &pieces), &whole);
        prop_assert_eq!(&encoded(echo, &stream.chunks(1).collect::<Vec<_>>()), &whole);
    }

    #[test]
    fn every_character_arrives(pieces in prop::collection::vec(any::<String>(), 0..8)) {
        let quoted = |text: &String| serde_json::to_string(text).unwrap();
        let stream: String = pieces.iter().map(|piece| chunk(&quoted(piece))).collect();
        let seen = String::from_utf8(encoded(ECHOES[1].1, &[stream.as_bytes()])).unwrap();
        let mut text = String::new();
        for event in seen.split("\n\n").filter_map(|event| event.strip_prefix("data: ")) {
            let chunk: serde_json::Value = serde_json::from_str(event).unwrap();
            text += chunk["choices"][0]["text"].as_str().unwrap();
        }
        let mut expect = pieces.concat();
        if !pieces.is_empty() {
            expect.insert_str(0, "Say \"hế\":\n");
        }
        prop_assert_eq!(text, expect);
    }

    /// Mutilated golden requests: what is not refused is a chat's request, or refused as one.
    #[test]
    fn what_is_translated_is_a_request(pick in 0usize..1000, at in 0usize..5000, byte in any::<u8>()) {
        let inputs = golden::inputs(&folder("requests"), 10);
        let mut body = inputs[pick % inputs.len()].1.clone();
        let at = at % body.len();
        body[at] = byte;
        if let Ok(chat) = translated(&body) {
            prop_assert!(json::document(&chat.body).is_ok());
            prop_assert!(json::document(&chat.echo).is_ok());
            if let Err(refused) = ChatRequest::parse(&chat.body) {
                prop_assert!(refused.param.is_some(), "{refused}");
            }
        }
    }

    /// Mutilated golden answers and streams.
    #[test]
    fn what_is_answered_is_json(
        pick in 0usize..1000, at in 0usize..5000, byte in any::<u8>(), all in any::<bool>(),
    ) {
        let echo = ECHOES[usize::from(all)].1;
        let mutilated = |name: &str| {
            let inputs = golden::inputs(&folder(name), 5);
            let mut body = inputs[pick % inputs.len()].1.clone();
            let at = at % body.len();
            body[at] = byte;
            body
        };
        let chat = mutilated("answers");
        if json::document(&chat).is_ok() {
            let answer = Ingress::Completions.answer(&chat, &context(echo));
            prop_assert!(json::document(&answer).is_ok(), "{}", String::from_utf8_lossy(&answer));
        }
        let stream = mutilated("streams");
        let seen = encoded(echo, &[&stream]);
        for line in seen.split(|byte| *byte == b'\n') {
            if let Some(data) = line.strip_prefix(b"data: ") {
                prop_assert!(data == b"[DONE]" || json::document(data).is_ok());
            }
        }
    }
}
