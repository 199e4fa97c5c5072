use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::{self, StreamDecoder, Target};
use crate::json::Edits;
use crate::wire::Dialect;

/// Documents of names and values that the format has, in any arrangement.
fn document() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "user",
        "assistant",
        "system",
        "text",
        "image",
        "document",
        "tool_use",
        "tool_result",
        "thinking",
        "redacted_thinking",
        "base64",
        "url",
        "a",
        "",
        "\u{1f600}\n\"",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0u64..3).prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "model",
        "messages",
        "max_tokens",
        "role",
        "content",
        "type",
        "text",
        "source",
        "data",
        "id",
        "name",
        "input",
        "tool_use_id",
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "signature",
        "metadata",
        "cache_control",
        "is_error",
        "title",
        "output_config",
        "zzz",
    ]);
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(names.clone(), inner, 0..7).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            }),
        ]
    })
}

/// A request that is valid but for what is in `content` and `extra`.
fn framed(content: Value, extra: &Value) -> Value {
    let mut body = json!({"model": "m", "max_tokens": 5, "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": content},
    ]});
    for (name, value) in extra.as_object().into_iter().flatten() {
        body.as_object_mut()
            .unwrap()
            .insert(name.clone(), value.clone());
    }
    body
}

fn holds(body: &[u8]) -> Result<(), TestCaseError> {
    let Ok(root) = json::document(body) else {
        return Ok(());
    };
    if let Ok(chat) = Ingress::Messages.to_chat(body, root) {
        let request = ChatRequest::parse(&chat.body);
        prop_assert!(
            request.is_ok(),
            "{request:?} {}",
            String::from_utf8_lossy(&chat.body)
        );
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.[]?".contains(c);
        prop_assert!(chat.dropped.iter().all(|name| name.chars().all(plain)));
    }
    Ok(())
}

/// Chunks as providers write them, well formed and not.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let call = |rest: &str| {
        format!(r#"data: {{"id":"c","choices":[{{"delta":{{"tool_calls":[{rest}]}}}}]}}"#)
    };
    let delta = |rest: &str| format!(r#"data: {{"choices":[{{"index":0,"delta":{{{rest}}}}}]}}"#);
    let events = vec![
        delta(r#""role":"assistant","content":"""#),
        delta(r#""content":"ế\n""#),
        delta(r#""content":"\ud83d\ude00""#),
        delta(r#""reasoning_content":"hm""#),
        delta(r#""thinking_blocks":[{"type":"thinking","thinking":"hm","signature":"s"}]"#),
        delta(r#""thinking_blocks":[{"type":"redacted_thinking","data":"d"}]"#),
        delta(r#""refusal":"no""#),
        call(r#"{"index":0,"id":"a","function":{"name":"f","arguments":""}}"#),
        call(r#"{"index":1,"id":"b","function":{"name":"g","arguments":"{\"x\":"}}"#),
        call(r#"{"index":0,"function":{"arguments":"{}"}},{"index":1,"function":{"arguments":"1}"}}"#),
        call(r#"{"index":2,"id":"c"}"#),
        call(r#"{"index":2,"function":{"name":"h"}}"#),
        call(r#"{"function":{"name":"i","arguments":{"y":1}}}"#),
        r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#.to_owned(),
        r#"data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2},"metadata":{"a":1}}"#.to_owned(),
        r#"data: {"error":{"message":"m","type":"t"}}"#.to_owned(),
        "data: [DONE]".to_owned(),
        "data: [DONE]".to_owned(),
        ": comment".to_owned(),
        "data: {\"cut".to_owned(),
        "data: 1".to_owned(),
    ];
    prop::collection::vec(prop::sample::select(events), 0..16).prop_map(|events| {
        let events = events.into_iter().map(|event| format!("{event}\n\n"));
        events.collect::<String>().into_bytes()
    })
}

/// What a client makes of events: its blocks, inputs still as text.
fn collected(events: &[u8]) -> Vec<Value> {
    let mut blocks: Vec<Value> = Vec::new();
    for event in String::from_utf8_lossy(events).split("\n\n") {
        let Some((_, data)) = event.split_once("\ndata: ") else {
            continue;
        };
        let data: Value = serde_json::from_str(data).unwrap();
        if data["type"] == "content_block_start" {
            blocks.push(data["content_block"].clone());
            blocks.last_mut().unwrap()["partial_json"] = json!("");
        } else if data["type"] == "content_block_delta" {
            let block = blocks.last_mut().unwrap();
            for name in ["text", "thinking", "signature", "partial_json"] {
                if let Some(piece) = data["delta"][name].as_str() {
                    let so_far = block[name].as_str().unwrap_or_default();
                    block[name] = json!(format!("{so_far}{piece}"));
                }
            }
        }
    }
    blocks
}

/// Messages of a chat that lose nothing on their way through Anthropic's format.
fn conversation() -> impl Strategy<Value = Vec<Value>> {
    let text = "[a-z\u{e9}\"\\\\]{1,8}";
    let turn = (text, text, prop::collection::vec(text, 0..3), any::<bool>());
    prop::collection::vec(turn, 1..5).prop_map(|turns| {
        let mut messages = Vec::new();
        for (turn, (question, answer, calls, says)) in turns.into_iter().enumerate() {
            messages.push(json!({"role": "user", "content": question}));
            if calls.is_empty() {
                messages.push(json!({"role": "assistant", "content": answer}));
                continue;
            }
            let id = |index: usize| format!("call_{turn}_{index}");
            let made: Vec<Value> = calls
                .iter()
                .enumerate()
                .map(|(index, city)| {
                    let arguments = json!({"city": city, "n": [index]}).to_string();
                    json!({"id": id(index), "type": "function",
                    "function": {"name": "weather", "arguments": arguments}})
                })
                .collect();
            let content = if says { json!(answer) } else { Value::Null };
            messages.push(json!({"role": "assistant", "content": content, "tool_calls": made}));
            for (index, city) in calls.iter().enumerate() {
                messages.push(json!({"role": "tool", "tool_call_id": id(index), "content": city}));
            }
            messages.push(json!({"role": "assistant", "content": "done"}));
        }
        messages.push(json!({"role": "user", "content": "thanks"}));
        messages
    })
}

proptest! {
    #[test]
    fn any_document_is_translated_or_refused(content in document(), extra in document()) {
        holds(content.to_string().as_bytes())?;
        holds(framed(content, &extra).to_string().as_bytes())?;
    }

    /// Mutilated golden requests.
    #[test]
    fn what_comes_out_is_a_chat_request(pick in 0usize..1000, at in 0usize..5000, byte in any::<u8>()) {
        let inputs = inputs(&folder("ingress/messages/requests"), 60);
        let mut body = inputs[pick % inputs.len()].1.clone();
        let at = at % body.len();
        body[at] = byte;
        holds(&body)?;
    }

    #[test]
    fn any_split_of_a_stream_gives_the_same(
        stream in stream(), cuts in prop::collection::vec(0usize..2000, 0..8), thinks in any::<bool>(),
    ) {
        let name = if thinks { "thinks-" } else { "" };
        let whole = encode(name, &[&stream]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (stream.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(stream.len());
        let mut start = 0;
        let chunks: Vec<&[u8]> = cuts
            .into_iter()
            .map(|cut| &stream[std::mem::replace(&mut start, cut)..cut])
            .collect();
        prop_assert_eq!(encode(name, &chunks), whole.clone());
        prop_assert_eq!(encode(name, &stream.chunks(1).collect::<Vec<_>>()), whole.clone());
        // A stream that nobody ended is the decoder's to end.
        let seen = grammar::check(&whole);
        prop_assert!(seen.is_ok() || seen == Err("no end".to_owned()), "{:?}", seen);
    }

    /// Pieces of calls in any order, and texts among them, are the same calls and texts in the end.
    #[test]
    fn interleaved_calls_come_out_whole(
        calls in prop::collection::vec((document(), any::<bool>()), 1..5),
        order in prop::collection::vec(0usize..6, 0..60),
        size in 1usize..9,
    ) {
        let spelled: Vec<String> = calls.iter().map(|(value, empty)| match empty {
            true => String::new(),
            false => json!({"whole": value}).to_string(),
        }).collect();
        let mut left: Vec<Vec<char>> = spelled.iter().map(|it| it.chars().collect()).collect();
        let mut begun = vec![false; calls.len()];
        let (mut stream, mut text) = (String::new(), String::new());
        let mut push = |delta: Value| {
            stream += &format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta}]}));
        };
        // Whatever is left after the random part comes in turn.
        let rest = (0..calls.len()).flat_map(|call| std::iter::repeat_n(call, 400));
        for pick in order.into_iter().chain(rest) {
            let Some(left) = left.get_mut(pick) else {
                text += "t";
                push(json!({"content": "t"}));
                continue;
            };
            let first = !std::mem::replace(&mut begun[pick], true);
            if left.is_empty() && !first {
                continue;
            }
            let piece: String = left.drain(..size.min(left.len())).collect();
            let mut call = json!({"index": pick, "function": {"arguments": piece}});
            if first {
                call["id"] = json!(format!("call_{pick}"));
                call["function"]["name"] = json!("f");
            }
            push(json!({"tool_calls": [call]}));
        }
        stream += "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";
        let events = encode("", &[stream.as_bytes()]);
        grammar::check(&events).map_err(TestCaseError::fail)?;
        let (mut seen, mut said) = (BTreeMap::new(), String::new());
        for block in collected(&events) {
            match block["type"].as_str() {
                Some("tool_use") => {
                    let id = block["id"].as_str().unwrap().to_owned();
                    let input = block["partial_json"].as_str().unwrap().to_owned();
                    prop_assert!(seen.insert(id, input).is_none(), "a call came twice");
                }
                _ => said += block["text"].as_str().unwrap(),
            }
        }
        let expect: BTreeMap<_, _> = spelled.into_iter().enumerate()
            .map(|(call, spelled)| (format!("call_{call}"), spelled)).collect();
        prop_assert_eq!(seen, expect);
        prop_assert_eq!(said, text);
    }

    #[test]
    fn any_document_is_answered(document in document()) {
        for chat in [document.clone(), json!({"choices": [{"message": document}]})] {
            let message = Ingress::Messages.answer(chat.to_string().as_bytes(), &context("thinks-"));
            let message: Value = serde_json::from_slice(&message).unwrap();
            prop_assert_eq!(&message["type"], "message");
            for block in message["content"].as_array().unwrap() {
                prop_assert!(block["type"] != "tool_use" || block["input"].is_object());
            }
        }
    }

    #[test]
    fn ids_come_back_as_they_were(id in "[a-z:.-]{0,6}", other in any::<String>()) {
        for id in [id, format!("hex-{other}"), other] {
            let sent = client_id(&id).into_owned();
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            prop_assert!(sent.chars().all(plain), "{}", sent);
            prop_assert_eq!(provider_id(Cow::Owned(sent)), id);
        }
    }

    /// What the egress for Anthropic writes of a chat request is that chat request again.
    #[test]
    fn a_chat_request_survives_anthropics_format(
        messages in conversation(), system in prop::option::of("[a-z]{1,9}"),
        cap in 1u64..4000, stream in any::<bool>(), choice in 0usize..4,
        stop in prop::option::of("[a-z]{1,3}"), user in prop::option::of("[a-z]{1,9}"),
    ) {
        let mut chat = json!({"model": "claude-sonnet-4-5", "max_tokens": cap, "tools": [
            {"type": "function", "function": {"name": "weather", "description": "d",
                "parameters": {"type": "object", "properties": {}}}}]});
        let mut all = messages;
        if let Some(system) = system {
            all.insert(0, json!({"role": "system", "content": system}));
        }
        chat["messages"] = all.into();
        match choice {
            0 => {}
            1 => chat["tool_choice"] = json!("required"),
            2 => {
                chat["tool_choice"] = json!("auto");
                chat["parallel_tool_calls"] = json!(false);
            }
            _ => chat["tool_choice"] = json!({"type": "function", "function": {"name": "weather"}}),
        }
        if stream {
            chat["stream"] = json!(true);
            chat["stream_options"] = json!({"include_usage": true});
        }
        if let Some(stop) = stop {
            chat["stop"] = json!([stop]);
        }
        if let Some(user) = user {
            chat["user"] = json!(user);
        }
        let body = chat.to_string().into_bytes();
        let request = ChatRequest::parse(&body).unwrap();
        let target = Target::new(Dialect::Anthropic, "claude-sonnet-4-5");
        let sent = dialect::encode(&target, &request, &body, Edits::default()).unwrap();
        let back = to_chat(&sent.body).unwrap();
        prop_assert_eq!(back.dropped, Vec::<String>::new());
        let back: Value = serde_json::from_slice(&back.body).unwrap();
        prop_assert_eq!(back, chat);
    }
}

/// Every provider's streams, as a client of Anthropic's gets them.
#[test]
fn streams_of_every_provider_keep_the_order() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder("dialect/streams")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name.contains('.') {
            continue;
        }
        let dialect = match name.split('-').next().unwrap() {
            "anthropic" => Dialect::Anthropic,
            "azure" => Dialect::Azure,
            "bedrock" => Dialect::Bedrock,
            "gemini" => Dialect::Gemini,
            "mistral" => Dialect::Mistral,
            "ollama" => Dialect::Ollama,
            "perplexity" => Dialect::Perplexity,
            _ => Dialect::Openai,
        };
        let mut decoder = StreamDecoder::new(dialect, "model-asked", CREATED_S, "x1", true);
        let mut out = Vec::new();
        decoder.push(&std::fs::read(&path).unwrap(), &mut out);
        decoder.end(&mut out);
        decoder.tail("{}", &mut out);
        for thinks in ["", "thinks-"] {
            let events = encode(thinks, &[&out]);
            grammar::check(&events).unwrap_or_else(|error| panic!("{name}: {error}"));
            let events = String::from_utf8(events).unwrap();
            let failed = events.contains("event: error\n");
            // A stream that ends without any reason is none, whatever the provider thinks.
            assert!(failed || !decoder.failed(), "{name}");
            assert_ne!(failed, events.contains("event: message_stop\n"), "{name}");
        }
        count += 1;
    }
    assert!(count > 40, "{count}");
}
