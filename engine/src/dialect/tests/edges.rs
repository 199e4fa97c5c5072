//! Where providers differ in ways that lose calls, money or the end of an answer.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

/// Every stream that arrives whole, cut after every third of its bytes.
#[test]
fn a_stream_that_broke_off_never_looks_finished() {
    for (name, stream) in inputs("streams") {
        let dialect = Column::of(&name).dialect;
        if decoded(dialect, &stream).failed {
            continue;
        }
        for cut in (0..stream.len()).step_by(3) {
            let Decoded { out, failed } = decoded(dialect, &stream[..cut]);
            let finished = out
                .split("\n\n")
                .filter_map(|event| event.strip_prefix("data: {"))
                .filter_map(|event| serde_json::from_str::<Value>(&format!("{{{event}")).ok())
                .any(|chunk| chunk["choices"][0]["finish_reason"].is_string());
            assert!(!(failed && finished), "{name} after {cut} bytes: {out}");
            assert_eq!(
                failed,
                !out.ends_with("data: [DONE]\n\n"),
                "{name} after {cut} bytes"
            );
        }
    }
}

struct Decoded {
    out: String,
    failed: bool,
}

fn decoded(dialect: Dialect, stream: &[u8]) -> Decoded {
    let mut decoder = StreamDecoder::new(dialect, "m", 0, "x", true);
    let mut out = Vec::new();
    decoder.push(stream, &mut out);
    decoder.end(&mut out);
    decoder.tail("{}", &mut out);
    Decoded {
        out: String::from_utf8_lossy(&out).into_owned(),
        failed: decoder.failed(),
    }
}

fn sent(dialect: Dialect, model: &str, body: &Value) -> Value {
    let body = body.to_string();
    let request = ChatRequest::parse(body.as_bytes()).unwrap();
    let target = Target::new(dialect, model);
    let sent = encode(&target, &request, body.as_bytes(), Edits::default()).unwrap();
    serde_json::from_slice(&sent.body).unwrap()
}

/// A history with these calls, and their results in another order.
fn history(ids: &[String], order: &[usize]) -> Value {
    let calls: Vec<Value> = ids
        .iter()
        .enumerate()
        .map(|(index, id)| {
            json!({"id": id, "type": "function",
                   "function": {"name": format!("f{index}"), "arguments": "{}"}})
        })
        .collect();
    let results = order.iter().map(|index| {
        json!({"role": "tool", "tool_call_id": ids[*index], "content": format!("r{index}")})
    });
    let mut messages = vec![
        json!({"role": "user", "content": "a"}),
        json!({"role": "assistant", "content": null, "tool_calls": calls}),
    ];
    messages.extend(results);
    messages.push(json!({"role": "user", "content": "b"}));
    let tools: Vec<Value> = (0..ids.len())
        .map(|index| json!({"type": "function", "function": {"name": format!("f{index}")}}))
        .collect();
    json!({"model": "m", "messages": messages, "tools": tools})
}

fn ids_and_order() -> impl Strategy<Value = (Vec<String>, Vec<usize>)> {
    let id = prop_oneof!["[a-zA-Z0-9]{9}", "call_[a-zA-Z0-9]{4,90}", "\\PC{1,20}"];
    prop::collection::btree_set(id, 1..5).prop_flat_map(|ids| {
        let order: Vec<usize> = (0..ids.len()).collect();
        (
            Just(ids.into_iter().collect::<Vec<_>>()).prop_shuffle(),
            Just(order).prop_shuffle(),
        )
    })
}

/// The values at `pointer` of each element of a list.
fn each<'a>(list: &'a Value, pointer: &'a str) -> Vec<&'a str> {
    let found = list.as_array().into_iter().flatten();
    found
        .filter_map(|one| one.pointer(pointer)?.as_str())
        .collect()
}

fn sorted<'a>(ids: &[&'a str]) -> BTreeSet<&'a str> {
    ids.iter().copied().collect()
}

proptest! {
    /// Whatever a client calls its calls: a provider gets ids in its own letters, each result
    /// under the id of its call, and all results in the one turn after the calls.
    #[test]
    fn results_reach_their_calls((ids, order) in ids_and_order()) {
        let body = history(&ids, &order);
        let count = ids.len();
        let plain = |id: &str, others: &str| {
            id.chars().all(|it| it.is_ascii_alphanumeric() || others.contains(it))
        };

        let body_sent = sent(Dialect::Anthropic, "claude-sonnet-4-5", &body);
        let turns = &body_sent["messages"];
        let calls = each(&turns[1]["content"], "/id");
        let results = each(&turns[2]["content"], "/tool_use_id");
        prop_assert_eq!(sorted(&calls).len(), count);
        prop_assert_eq!(sorted(&calls), sorted(&results));
        prop_assert!(calls.iter().all(|id| !id.is_empty() && plain(id, "_-")), "{:?}", calls);
        prop_assert!(turns[2]["content"][count]["text"] == "b", "results come first: {}", turns);

        let body_sent = sent(Dialect::Bedrock, "us.anthropic.claude-sonnet-4-5-v1:0", &body);
        let turns = &body_sent["messages"];
        let calls = each(&turns[1]["content"], "/toolUse/toolUseId");
        let results = each(&turns[2]["content"], "/toolResult/toolUseId");
        prop_assert_eq!(sorted(&calls).len(), count);
        prop_assert_eq!(sorted(&calls), sorted(&results));
        let fits = |id: &&str| (1..=64).contains(&id.len()) && plain(id, "_.:-");
        prop_assert!(calls.iter().all(fits), "{:?}", calls);

        let body_sent = sent(Dialect::Mistral, "mistral-large-latest", &body);
        let calls = each(&body_sent["messages"][1]["tool_calls"], "/id");
        let results = each(&body_sent["messages"], "/tool_call_id");
        prop_assert_eq!(sorted(&calls).len(), count);
        prop_assert_eq!(sorted(&calls), sorted(&results));
        prop_assert!(calls.iter().all(|id| id.len() == 9 && plain(id, "")), "{:?}", calls);

        let body_sent = sent(Dialect::Gemini, "gemini-2.5-flash", &body);
        let turns = &body_sent["contents"];
        let calls = each(&turns[1]["parts"], "/functionCall/name");
        let results = each(&turns[2]["parts"], "/functionResponse/name");
        prop_assert_eq!(calls.len(), count);
        prop_assert_eq!(sorted(&calls), sorted(&results));
        prop_assert_eq!(results.len(), count);
        for part in turns[2]["parts"].as_array().into_iter().flatten() {
            if let Some(name) = part["functionResponse"]["name"].as_str() {
                let said = &part["functionResponse"]["response"]["output"];
                prop_assert_eq!(said.as_str(), Some(&*name.replace('f', "r")));
            }
        }
    }

    /// Every provider counts in its own way, and all mean the same figures.
    #[test]
    fn figures_mean_the_same_whoever_counts(
        fresh in 0u64..1 << 40, cached in 0u64..1 << 30, written in 0u64..1 << 30,
        said in 1u64..1 << 30, thought in 0u64..1 << 30,
    ) {
        let (input, output) = (fresh + cached + written, said + thought);
        let usage = |dialect, answer: &Value| {
            let answer = decode_answer(dialect, "m", 0, answer.to_string().into_bytes());
            answer.unwrap().usage.unwrap()
        };
        let all = Usage {
            input, cached_input: cached, cache_write: written, output, reasoning: thought,
        };
        let message = json!({"type": "message", "role": "assistant", "content": [], "usage": {
            "input_tokens": fresh, "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": written, "output_tokens": output,
            "output_tokens_details": {"thinking_tokens": thought}}});
        prop_assert_eq!(usage(Dialect::Anthropic, &message), all);

        let converse = json!({"output": {"message": {"role": "assistant", "content": []}},
            "additionalModelResponseFields": {"usage": {"output_tokens_details": {"thinking_tokens": thought}}},
            "usage": {"inputTokens": fresh, "cacheReadInputTokens": cached,
                "cacheWriteInputTokens": written, "outputTokens": output,
                "totalTokens": input + output}});
        let seen = usage(Dialect::Bedrock, &converse);
        prop_assert_eq!(Usage { reasoning: thought, ..seen }, all);

        let chat = json!({"choices": [{"message": {"content": ""}}], "usage": {
            "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
            "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
            "completion_tokens_details": {"reasoning_tokens": thought}}});
        for dialect in [Dialect::Openai, Dialect::Azure, Dialect::Mistral, Dialect::Ollama] {
            prop_assert_eq!(usage(dialect, &chat), all);
        }

        let unwritten = Usage { cache_write: 0, ..all };
        let generated = json!({"candidates": [{"content": {"parts": [{"text": "a"}]}}],
            "usageMetadata": {"promptTokenCount": input, "cachedContentTokenCount": cached,
                "candidatesTokenCount": said, "thoughtsTokenCount": thought,
                "totalTokenCount": input + output}});
        prop_assert_eq!(usage(Dialect::Gemini, &generated), unwritten);

        let searched = json!({"choices": [{"message": {"content": ""}}], "usage": {
            "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
            "reasoning_tokens": thought}});
        let seen = usage(Dialect::Perplexity, &searched);
        prop_assert_eq!(Usage { cached_input: cached, ..seen }, unwritten);
    }
}

/// Good answers lack a member now and then: what is not refused is still an answer.
#[test]
fn an_answer_without_one_of_its_members_is_an_answer_or_an_error() {
    for (name, body) in inputs("answers") {
        let dialect = Column::of(&name).dialect;
        let Ok(whole) = serde_json::from_slice::<Value>(&body) else {
            continue;
        };
        if dialect == Dialect::Openai || decode_answer(dialect, "m", 0, body).is_err() {
            continue;
        }
        for less in without_one(&whole) {
            let Ok(answer) = decode_answer(dialect, "m", 0, less.to_string().into_bytes()) else {
                continue;
            };
            let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
            let choices = answer["choices"].as_array().expect("choices");
            assert!(!choices.is_empty(), "{name}: {less}");
            for choice in choices {
                let reason = choice["finish_reason"].as_str();
                let known = ["stop", "length", "tool_calls", "content_filter"];
                assert!(
                    reason.is_some_and(|it| known.contains(&it)),
                    "{name}: {less}"
                );
                assert_eq!(choice["message"]["role"], "assistant", "{name}: {less}");
                let content = &choice["message"]["content"];
                assert!(content.is_null() || content.is_string(), "{name}: {less}");
            }
        }
    }
}

/// The value without one of its members, for each of them, at any depth.
fn without_one(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(members) => {
            let mut all = Vec::new();
            for (name, inside) in members {
                let mut less = members.clone();
                less.remove(name);
                all.push(Value::Object(less));
                for inside in without_one(inside) {
                    let mut less = members.clone();
                    less.insert(name.clone(), inside);
                    all.push(Value::Object(less));
                }
            }
            all
        }
        Value::Array(list) => {
            let mut all = Vec::new();
            for (index, inside) in list.iter().enumerate() {
                for inside in without_one(inside) {
                    let mut less = list.clone();
                    less[index] = inside;
                    all.push(Value::Array(less));
                }
            }
            all
        }
        _ => Vec::new(),
    }
}
