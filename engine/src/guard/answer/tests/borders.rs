//! Each block of a message and each part of a response is read by itself.

use super::*;

/// An answer of two texts, as a document and as a stream.
fn answers(form: AnswerForm, texts: [&str; 2]) -> [String; 2] {
    let event = |data: Value| format!("data: {data}\n\n");
    let mut stream = String::new();
    let parts = match form {
        AnswerForm::Responses => texts.map(|text| json!({"type": "output_text", "text": text})),
        _ => texts.map(|text| json!({"type": "text", "text": text})),
    };
    for (index, text) in texts.into_iter().enumerate() {
        match form {
            AnswerForm::Responses => {
                stream.push_str(&event(json!({"type": "response.output_text.delta",
                    "output_index": 0, "content_index": index, "delta": text})));
                stream.push_str(&event(json!({"type": "response.output_text.done",
                    "output_index": 0, "content_index": index, "text": text})));
            }
            _ => {
                stream.push_str(&event(
                    json!({"type": "content_block_start", "index": index,
                    "content_block": {"type": "text", "text": ""}}),
                ));
                stream.push_str(&event(
                    json!({"type": "content_block_delta", "index": index,
                    "delta": {"type": "text_delta", "text": text}}),
                ));
                stream.push_str(&event(
                    json!({"type": "content_block_stop", "index": index}),
                ));
            }
        }
    }
    let document = match form {
        AnswerForm::Responses => json!({"output": [{"type": "message", "content": parts}]}),
        _ => json!({"type": "message", "content": parts}),
    };
    [document.to_string(), stream]
}

fn redacting(form: AnswerForm) -> AnswerGuard {
    guard(&all("redact"), Pseudonyms::default()).of_form(form)
}

#[test]
fn a_value_ends_with_its_block() {
    for form in [AnswerForm::Messages, AnswerForm::Responses] {
        for (texts, wanted) in [
            // What follows does not make another number of it,
            (
                ["CMND 123456789", "1 item"],
                ["CMND [CMND_REDACTED]", "1 item"],
            ),
            (
                ["to a@b.com", "x@c.org"],
                ["to [EMAIL_REDACTED]", "[EMAIL_REDACTED]"],
            ),
            // nor does it make one of two parts.
            (["jane.doe@", "example.com"], ["jane.doe@", "example.com"]),
        ] {
            let [document, stream] = answers(form, texts);
            let [wanted_document, wanted_stream] = answers(form, wanted);
            let said = redacting(form).document(document.into_bytes());
            assert_eq!(String::from_utf8(said).expect("UTF-8"), wanted_document);
            let mut guard = redacting(form);
            let mut out = Vec::new();
            for piece in stream.split_inclusive("\n\n") {
                guard.push(piece.as_bytes(), &mut out);
                let is_end = piece.contains("_stop") || piece.contains(".done");
                assert!(!is_end || guard.held() == 0, "{piece}");
            }
            guard.end(&mut out);
            let joined = |stream: &[u8]| {
                let stream = String::from_utf8(stream.to_vec()).expect("UTF-8");
                let mut texts = vec![String::new(); 2];
                for event in stream
                    .split("\n\n")
                    .filter_map(|it| it.strip_prefix("data: "))
                {
                    let event: Value = serde_json::from_str(event).expect("JSON");
                    let at = event["index"].as_u64().or(event["content_index"].as_u64());
                    let delta = &event["delta"];
                    let text = delta
                        .as_str()
                        .or(delta["text"].as_str())
                        .unwrap_or_default();
                    texts[usize::try_from(at.expect("place")).expect("small")].push_str(text);
                }
                texts
            };
            assert_eq!(joined(&out), joined(wanted_stream.as_bytes()), "{form:?}");
        }
    }
}
