use super::*;

/// A stream of well-formed events, and some that are not.
fn stream(dialect: Dialect) -> impl Strategy<Value = Vec<u8>> {
    let events: Vec<&'static str> = match dialect {
        Dialect::Openai => vec![
            r#"data: {"id":"c1","choices":[{"index":0,"delta":{"content":"ế\n"}}]}"#,
            r#"data:{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
            r#"data: {"error":{"message":"m"}}"#,
            "data: [DONE]",
            ": comment",
            "data: {\"cut",
            "data: 1",
        ],
        Dialect::Azure => vec![
            r#"data: {"id":"","model":"","created":0,"choices":[],"prompt_filter_results":[{"i":1}]}"#,
            r#"data: {"id":"c1","model":"m1","choices":[{"index":0,"delta":{"content":"ế\n"}}]}"#,
            r#"data: {"choices":[{"content_filter_offsets":{"start":1}}]}"#,
            r#"data: {"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f"}}]}}]}"#,
            r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"g","arguments":{"x":1}}}]}}]}"#,
            r#"data: {"choices":[{"delta":{"content":[{"type":"text","text":"ế"}]},"finish_reason":"model_length"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
            r#"data: {"choices":[{"finish_reason":"error"}]}"#,
            r#"data: {"error":{"message":"m"}}"#,
            "data: [DONE]",
            "data: {\"cut",
        ],
        Dialect::Gemini => vec![
            r#"data: {"responseId":"r1","modelVersion":"g","candidates":[{"content":{"parts":[{"text":"ế\n"}]}}],"usageMetadata":{"promptTokenCount":3}}"#,
            r#"data: {"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"functionCall":{"name":"f","args":{"x":1}}}]}}]}"#,
            r#"data: {"candidates":[{"index":1,"content":{"parts":[{"text":"ế"}]},"finishReason":"STOP"}]}"#,
            r#"data: {"candidates":[{"finishReason":"MAX_TOKENS"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4,"thoughtsTokenCount":5}}"#,
            r#"data: {"promptFeedback":{"blockReason":"SAFETY"}}"#,
            r#"data: {"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}"#,
            "data: {\"cut",
        ],
        Dialect::Anthropic => vec![
            r#"data: {"type":"message_start","message":{"id":"m1","usage":{"input_tokens":3}}}"#,
            r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"ế"}}"#,
            r#"data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"f"}}"#,
            r#"data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
            r#"data: {"type":"content_block_stop","index":1}"#,
            r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}"#,
            r#"data: {"type":"message_stop"}"#,
            r#"data: {"type":"error","error":{"type":"api_error","message":"m"}}"#,
            r#"data: {"type":"ping"}"#,
            "data: {\"cut",
        ],
        other => panic!("{other:?} has no events here"),
    };
    let end = prop::sample::select(vec!["\n\n", "\r\n\r\n", "\n"]);
    prop::collection::vec((prop::sample::select(events), end), 0..12).prop_map(|lines| {
        lines
            .into_iter()
            .map(|(line, end)| format!("{line}{end}"))
            .collect::<String>()
            .into_bytes()
    })
}

fn bedrock_message(pick: usize) -> Vec<u8> {
    let event = |kind, payload: &str| {
        let headers = [(":message-type", "event"), (":event-type", kind)];
        crate::event_stream::write(&headers, payload.as_bytes())
    };
    let delta = |delta: &str| {
        event(
            "contentBlockDelta",
            &format!("{{\"contentBlockIndex\":1,\"delta\":{delta}}}"),
        )
    };
    match pick {
        0 => event("messageStart", r#"{"role":"assistant"}"#),
        1..=3 => delta(r#"{"text":"ế"}"#),
        4 => event(
            "contentBlockStart",
            r#"{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}"#,
        ),
        5 => delta(r#"{"toolUse":{"input":"{}"}}"#),
        6 => delta(r#"{"reasoningContent":{"text":"hm"}}"#),
        7 => event("contentBlockStop", r#"{"contentBlockIndex":1}"#),
        8 => event("messageStop", r#"{"stopReason":"end_turn"}"#),
        9 => event(
            "metadata",
            r#"{"usage":{"inputTokens":1,"outputTokens":2}}"#,
        ),
        10 => event("contentBlockDelta", "{cut"),
        _ => {
            let headers = [
                (":message-type", "exception"),
                (":exception-type", "throttlingException"),
            ];
            crate::event_stream::write(&headers, br#"{"message":"m"}"#)
        }
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    out: String,
    text: String,
    usage: Option<Usage>,
    failed: bool,
}

fn decode(dialect: Dialect, chunks: &[&[u8]]) -> Outcome {
    let mut decoder = StreamDecoder::new(dialect, "m", 0, "x", true);
    let (mut out, mut text) = (Vec::new(), String::new());
    for chunk in chunks {
        decoder.push(chunk, &mut out);
        text.extend(decoder.take_text());
    }
    decoder.end(&mut out);
    text.extend(decoder.take_text());
    decoder.tail("{}", &mut out);
    Outcome {
        out: String::from_utf8(out).expect("characters stay whole"),
        text,
        usage: decoder.usage(),
        failed: decoder.failed(),
    }
}

fn check(dialect: Dialect, stream: &[u8], cuts: Vec<usize>) -> Result<(), TestCaseError> {
    let whole = decode(dialect, &[stream]);
    let mut cuts: Vec<usize> = cuts
        .into_iter()
        .map(|cut| cut % (stream.len() + 1))
        .collect();
    cuts.sort_unstable();
    cuts.push(stream.len());
    let mut start = 0;
    let chunks: Vec<&[u8]> = cuts
        .into_iter()
        .map(|cut| &stream[std::mem::replace(&mut start, cut)..cut])
        .collect();
    prop_assert_eq!(&decode(dialect, &chunks), &whole);
    prop_assert_eq!(
        &decode(dialect, &stream.chunks(1).collect::<Vec<_>>()),
        &whole
    );
    // An end is either whole or an error, and never both.
    prop_assert_eq!(whole.out.ends_with("data: [DONE]\n\n"), !whole.failed);
    let out = whole.out.replace('\r', "");
    let errors = out
        .split("\n\n")
        .filter(|event| event.starts_with("data: {\"error\":{"));
    prop_assert_eq!(errors.count(), usize::from(whole.failed));
    Ok(())
}

proptest! {
    #[test]
    fn any_split_of_an_openai_stream_gives_the_same(
        stream in stream(Dialect::Openai), cuts in prop::collection::vec(0usize..2000, 0..8),
    ) {
        check(Dialect::Openai, &stream, cuts)?;
    }

    #[test]
    fn any_split_of_an_imitated_stream_gives_the_same(
        stream in stream(Dialect::Azure), cuts in prop::collection::vec(0usize..2000, 0..8),
    ) {
        check(Dialect::Azure, &stream, cuts)?;
    }

    #[test]
    fn any_split_of_a_gemini_stream_gives_the_same(
        stream in stream(Dialect::Gemini), cuts in prop::collection::vec(0usize..2000, 0..8),
    ) {
        check(Dialect::Gemini, &stream, cuts)?;
    }

    #[test]
    fn any_split_of_a_bedrock_stream_gives_the_same(
        picks in prop::collection::vec(0usize..12, 0..12),
        flip in prop::option::of(0usize..4000),
        cuts in prop::collection::vec(0usize..4000, 0..8),
    ) {
        let mut stream: Vec<u8> = picks.into_iter().flat_map(bedrock_message).collect();
        if let Some(at) = flip.filter(|at| *at < stream.len()) {
            stream[at] ^= 4;
        }
        check(Dialect::Bedrock, &stream, cuts)?;
    }

    #[test]
    fn any_split_of_an_anthropic_stream_gives_the_same(
        stream in stream(Dialect::Anthropic), cuts in prop::collection::vec(0usize..2000, 0..8),
    ) {
        check(Dialect::Anthropic, &stream, cuts)?;
    }

    /// The short cuts for chunks like the one before must not lose or invent a character.
    #[test]
    fn every_text_arrives_whatever_its_characters(
        pieces in prop::collection::vec((any::<String>(), "[a-z\\\\\"]{0,4}", 0u8..3), 0..12),
    ) {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let (mut openai, mut anthropic, mut text) = (String::new(), String::new(), String::new());
        for (piece, tail, kind) in &pieces {
            let piece = format!("{piece}{tail}");
            let name = ["content", "reasoning_content", "refusal"][usize::from(*kind)];
            openai += &format!(
                "data: {{\"choices\":[{{\"delta\":{{\"{name}\":{}}}}}],\"obfuscation\":{}}}\n\n",
                quoted(&piece), quoted(tail),
            );
            let (kind, name) = [("text_delta", "text"), ("thinking_delta", "thinking")][usize::from(*kind % 2)];
            anthropic += &format!(
                "data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"{kind}\",\"{name}\":{}}}}}\n\n",
                quoted(&piece),
            );
            text += &piece;
        }
        let seen = decode(Dialect::Openai, &[openai.as_bytes()]);
        prop_assert_eq!(&seen.text, &text);
        prop_assert!(seen.out.starts_with(&openai));

        let seen = decode(Dialect::Anthropic, &[anthropic.as_bytes()]);
        prop_assert_eq!(&seen.text, &text);
        // What the client reads out of our chunks is the same text again.
        let mut read = String::new();
        for chunk in seen.out.split("\n\n").filter_map(|event| event.strip_prefix("data: ")) {
            let chunk: serde_json::Value = serde_json::from_str(chunk).unwrap();
            let delta = &chunk["choices"][0]["delta"];
            for name in ["content", "reasoning_content"] {
                read += delta[name].as_str().unwrap_or_default();
            }
        }
        prop_assert_eq!(&read, &text);
    }

    #[test]
    fn no_bytes_can_break_a_decoder(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for dialect in COLUMNS.map(|column| column.dialect) {
            let mut decoder = StreamDecoder::new(dialect, "m", 0, "x", true);
            let mut out = Vec::new();
            decoder.push(&bytes, &mut out);
            decoder.end(&mut out);
            let _ = decode_error(dialect, 500, &bytes);
            let _ = decode_answer(dialect, "m", 0, bytes.clone());
            let _ = first_event(dialect, &bytes, true);
        }
    }

    /// Mutilated golden requests: what still parses is either refused or becomes JSON.
    #[test]
    fn what_is_sent_is_json(pick in 0usize..1000, at in 0usize..5000, byte in any::<u8>()) {
        let inputs = inputs("requests");
        let mut body = inputs[pick % inputs.len()].1.clone();
        let at = at % body.len();
        body[at] = byte;
        for column in &COLUMNS {
            if let Ok(sent) = encoded(column, &body) {
                prop_assert!(json::document(&sent.body).is_ok(), "{}", column.name);
            }
        }
    }
}
