//! `POST /v1/chat/completions` and `GET /v1/models`: what goes through, goes through unchanged.

use std::sync::Arc;

use e2e::behaviour::{Behaviour, Split};
use e2e::client::{Answer, marker, prompt, streaming, streaming_with_usage};
use e2e::gateway::Gateway;
use e2e::provider::FakeProvider;
use e2e::run_cases;
use e2e::setup::{KEY, Setup};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat_goes_through_unchanged() {
    let gateway = Arc::new(Gateway::start(Setup::default()).await);
    run_cases!(
        gateway,
        [
            plain_answer,
            stream,
            n_choices,
            request_reaches_the_provider_byte_for_byte,
            stream_request_gains_only_the_wish_for_usage,
            stream_options_of_the_client_survive,
            answer_reaches_the_client_byte_for_byte,
            answer_with_its_own_metadata_stays_readable,
            stream_reaches_the_client_byte_for_byte,
            any_split_gives_the_same_stream,
            provider_sees_its_own_credentials_only,
            models_are_listed,
            other_paths_and_methods_are_refused,
            chunked_request_body,
        ]
    );
}

async fn plain_answer(gateway: Arc<Gateway>) {
    let answer = gateway
        .chat(&prompt("gpt-4o-mini", "Xin chào!"))
        .send()
        .await;
    answer.good();
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "gpt-4o-mini");
    assert!(
        body["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("chatcmpl-")),
        "{answer}"
    );
    assert_eq!(body["choices"][0]["message"]["role"], "assistant");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer.content(), "Echo: Xin chào!");
    let usage = &body["usage"];
    let count = |name: &str| {
        usage[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {answer}"))
    };
    assert_eq!(
        count("prompt_tokens") + count("completion_tokens"),
        count("total_tokens")
    );
}

async fn stream(gateway: Arc<Gateway>) {
    let answer = gateway
        .chat(&streaming("gpt-4o-mini", "one two three"))
        .send()
        .await;
    answer.good();
    assert!(
        answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
    );
    assert_eq!(answer.content(), "Echo: one two three");
    assert!(answer.done(), "{answer}");
    let chunks = answer.chunks();
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk"),
        "{answer}"
    );
    // The client did not ask for usage: a chunk without choices would surprise it.
    assert!(
        chunks.iter().all(|chunk| chunk["choices"][0].is_object()),
        "{answer}"
    );
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
}

async fn n_choices(gateway: Arc<Gateway>) {
    let mut body = streaming("gpt-4o-mini", "pair");
    body["n"] = json!(2);
    let answer = gateway.chat(&body).send().await;
    answer.good();
    let text = |index: u64| {
        let chunks = answer.chunks();
        let of_one = chunks
            .iter()
            .filter(|chunk| chunk["choices"][0]["index"] == index);
        of_one
            .filter_map(|chunk| {
                chunk["choices"][0]["delta"]["content"]
                    .as_str()
                    .map(str::to_owned)
            })
            .collect::<String>()
    };
    assert_eq!(
        (text(0).as_str(), text(1).as_str()),
        ("Echo: pair", "Echo: pair")
    );
}

/// A request with everything that a rebuilt document would lose.
fn odd_request(text: &str, more: &str) -> String {
    format!(
        "{{ \"zeta\" : [1e300, -0.0, 12345678901234567890, 0.1000],\r\n\t\"model\":\"gpt-4o-mini\"\
         , \"x_new_parameter\":{{\"b\":null,\"a\":{{}} }},{more}\n\"messages\" : [ \
         {{\"content\":\"caf\\u00e9 \\/ \\ud83d\\ude00 {text}\", \"x\": [ ], \"role\":\"user\"}} ],\
         \"seed\":9007199254740993 }}"
    )
}

async fn request_reaches_the_provider_byte_for_byte(gateway: Arc<Gateway>) {
    let mark = marker();
    let sent = odd_request(&mark, "");
    gateway
        .chat_bytes(sent.clone())
        .key(KEY)
        .send()
        .await
        .good();
    let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
    assert_eq!(seen.body, sent);
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("POST", "/v1/chat/completions")
    );
}

async fn stream_request_gains_only_the_wish_for_usage(gateway: Arc<Gateway>) {
    let mark = marker();
    let sent = odd_request(&mark, "\"stream\": true,");
    gateway
        .chat_bytes(sent.clone())
        .key(KEY)
        .send()
        .await
        .good();
    let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
    assert_eq!(seen.json()["stream_options"]["include_usage"], true);
    let start = seen
        .body
        .find("\"stream_options\"")
        .expect("stream_options");
    let end = start + seen.body[start..].find('}').expect("its end") + 1;
    let (before, after) = (&seen.body[..start], &seen.body[end..]);
    let without = [
        format!(
            "{before}{}",
            after.trim_start().strip_prefix(',').unwrap_or(after)
        ),
        format!(
            "{}{after}",
            before.trim_end().strip_suffix(',').unwrap_or(before)
        ),
    ];
    assert!(without.contains(&sent), "\nsent {sent}\nseen {}", seen.body);
}

async fn stream_options_of_the_client_survive(gateway: Arc<Gateway>) {
    let mark = marker();
    let mut body = streaming("gpt-4o-mini", &mark);
    body["stream_options"] = json!({"include_usage": false, "include_obfuscation": false});
    gateway.chat(&body).send().await.good();
    let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
    let wanted = json!({"include_usage": true, "include_obfuscation": false});
    assert_eq!(seen.json()["stream_options"], wanted);
}

const ODD_ANSWER: &str = "{\n  \"id\": \"chatcmpl-odd\",  \"object\": \"chat.completion\",\n\
    \"created\": 1763700000, \"x_unknown\": {\"n\": 12345678901234567890, \"s\": \"\\u00e9\"},\n\
    \"model\": \"gpt-4o-mini-2099-01-01\", \"choices\": [ {\"index\": 0, \"x\": [ ],\
    \"message\": {\"role\": \"assistant\", \"content\": \"hi \\/ there\", \"reasoning\": \"r\"},\
    \"finish_reason\": \"stop\" } ],\n\
    \"usage\": {\"prompt_tokens\": 10, \"completion_tokens\": 15, \"total_tokens\": 25, \"y\": 1}\n}\n";

/// Takes `"metadata": {...}` and one comma beside it out of an answer.
fn without_metadata(text: &str) -> Vec<String> {
    let start = text.rfind("\"metadata\"").expect("metadata");
    let open = start + text[start..].find('{').expect("its value");
    let mut values = serde_json::Deserializer::from_str(&text[open..]).into_iter::<Value>();
    values.next().expect("its value").expect("its value");
    let end = open + values.byte_offset();
    let (before, after) = (&text[..start], &text[end..]);
    let comma_before = before
        .trim_end()
        .strip_suffix(',')
        .map(|kept| format!("{kept}{after}"));
    let comma_after = after
        .trim_start()
        .strip_prefix(',')
        .map(|kept| format!("{before}{kept}"));
    comma_before.into_iter().chain(comma_after).collect()
}

async fn answer_reaches_the_client_byte_for_byte(gateway: Arc<Gateway>) {
    let mark = marker();
    let behaviour = Behaviour {
        body: Some(ODD_ANSWER.to_owned()),
        ..Behaviour::default()
    };
    gateway.provider.next(1, &mark, behaviour).await;
    let answer = gateway.chat(&prompt("gpt-4o-mini", &mark)).send().await;
    answer.good();
    assert!(answer.metadata()["cost_usd"].is_number(), "{answer}");
    let left = without_metadata(&answer.text());
    assert!(
        left.iter().any(|text| text == ODD_ANSWER),
        "{answer}\nwithout metadata {left:#?}"
    );
}

async fn answer_with_its_own_metadata_stays_readable(gateway: Arc<Gateway>) {
    let mark = marker();
    let extra = json!({"metadata": {"theirs": "kept or replaced"}});
    let behaviour = Behaviour {
        extra: extra.as_object().cloned(),
        ..Behaviour::default()
    };
    gateway.provider.next(1, &mark, behaviour).await;
    let answer = gateway.chat(&prompt("gpt-4o-mini", &mark)).send().await;
    answer.good();
    assert_eq!(answer.metadata()["cache_hit"], false, "{answer}");
    assert_eq!(answer.text().matches("\"metadata\"").count(), 1, "{answer}");
}

/// The same request sent straight to the provider.
async fn direct(gateway: &Gateway, body: &Value) -> Answer {
    let url = gateway.provider.url("/v1/chat/completions");
    e2e::client::Ask {
        builder: gateway.http.post(url).body(body.to_string()),
    }
    .send()
    .await
}

async fn stream_reaches_the_client_byte_for_byte(gateway: Arc<Gateway>) {
    let extra =
        json!({"x_unknown": {"n": 12_345_678_901_234_567_890_u64, "s": "é"}, "obfuscation": "abc"});
    let behaviour = Behaviour {
        extra: extra.as_object().cloned(),
        text: Some("Một hai 🙂 ba".to_owned()),
        ..Behaviour::default()
    };
    let body = streaming_with_usage("gpt-4o-mini", &behaviour.directive());
    let (theirs, ours) = (
        direct(&gateway, &body).await,
        gateway.chat(&body).send().await,
    );
    ours.good();
    let with_choices = |answer: &Answer| {
        let events = answer
            .events()
            .into_iter()
            .filter(|data| !data.contains("\"choices\":[]"));
        events.collect::<Vec<_>>()
    };
    assert_eq!(with_choices(&ours), with_choices(&theirs));
    let usage = |answer: &Answer| {
        answer
            .chunks()
            .into_iter()
            .find(|chunk| chunk["usage"].is_object())
            .expect("usage chunk")
    };
    let (mut our_chunk, their_chunk) = (usage(&ours), usage(&theirs));
    assert!(our_chunk["metadata"]["cost_usd"].is_number(), "{our_chunk}");
    our_chunk
        .as_object_mut()
        .expect("object")
        .remove("metadata");
    assert_eq!(our_chunk, their_chunk);
}

async fn any_split_gives_the_same_stream(gateway: Arc<Gateway>) {
    let text = "Xin chào 👋🏽 Việt Nam, đây là một câu dài hơn. \"quoted\" \\ back";
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        for split in [Split::Event, Split::Byte, Split::Seven, Split::Whole] {
            for (crlf, comments) in [(false, false), (true, true)] {
                let behaviour = Behaviour {
                    split,
                    crlf,
                    comments,
                    text: Some(text.to_owned()),
                    ..Behaviour::default()
                };
                let mark = marker();
                gateway.provider.next(1, &mark, behaviour).await;
                let answer = gateway
                    .chat(&streaming_with_usage(model, &mark))
                    .send()
                    .await;
                answer.good();
                let which = format!("{model} {split:?} crlf {crlf}");
                assert_eq!(answer.content(), text, "{which}\n{answer}");
                assert!(answer.done(), "{which}\n{answer}");
                assert!(
                    answer.metadata()["cost_usd"].as_f64() > Some(0.0),
                    "{which}\n{answer}"
                );
            }
        }
    }
}

async fn provider_sees_its_own_credentials_only(gateway: Arc<Gateway>) {
    let mark = marker();
    let config = json!({"strategy": "fallback", "targets": [
        {"provider": "openai", "model": "fault-500"},
        {"provider": "anthropic", "model": "claude-3-sonnet"},
        {"provider": "ollama", "model": "llama3:8b"},
    ]});
    let ask = gateway.chat(&prompt("gpt-4o-mini", &mark)).config(&config);
    ask.header("cookie", "session=secret")
        .header("x-portkey-trace-id", "trace")
        .send()
        .await
        .good();
    gateway
        .chat(&prompt("llama3:8b", &mark))
        .send()
        .await
        .good();
    for seen in gateway.provider.requests(&mark).await {
        let all = format!("{:?}", seen.headers);
        assert!(
            !all.contains(KEY) && !all.contains("session=secret"),
            "{all}"
        );
        let expected = match seen.path.as_str() {
            "/v1/chat/completions" => (Some("Bearer sk-real-openai"), None),
            "/anthropic/v1/messages" => (None, Some("sk-ant-real-anthropic")),
            "/ollama/v1/chat/completions" => (None, None),
            other => panic!("unexpected path {other}"),
        };
        assert_eq!(
            (seen.header("authorization"), seen.header("x-api-key")),
            expected,
            "{all}"
        );
        for (name, _) in &seen.headers {
            let ours = name.starts_with("x-weir-") || name.starts_with("x-portkey-");
            let internal = name.starts_with("x-envoy-") || name.starts_with("x-forwarded-");
            let allowed = matches!(
                name.as_str(),
                "x-weir-target" | "x-weir-exchange" | "x-weir-host"
            );
            assert!(
                allowed || !(ours || internal),
                "{name} went to the provider: {all}"
            );
        }
        let host = gateway.provider.url("");
        assert_eq!(seen.header("host"), host.strip_prefix("http://"), "{all}");
    }
}

async fn models_are_listed(gateway: Arc<Gateway>) {
    let answer = gateway.get("/v1/models").key(KEY).send().await;
    answer.good();
    let body = answer.json();
    assert_eq!(body["object"], "list");
    let models = body["data"].as_array().expect("data");
    for wanted in ["gpt-4o-mini", "claude-3-sonnet", "llama3:8b"] {
        let model = models.iter().find(|model| model["id"] == wanted);
        let model = model.unwrap_or_else(|| panic!("{wanted} is missing: {answer}"));
        assert_eq!(model["object"], "model");
        assert!(
            model["created"].is_u64() && model["owned_by"].is_string(),
            "{model}"
        );
    }
    gateway
        .get("/v1/models")
        .send()
        .await
        .refused(401, "missing_api_key");
}

async fn other_paths_and_methods_are_refused(gateway: Arc<Gateway>) {
    gateway
        .get("/v1/nothing")
        .key(KEY)
        .send()
        .await
        .refused(404, "not_found");
    gateway
        .get("/")
        .key(KEY)
        .send()
        .await
        .refused(404, "not_found");
    gateway
        .get("/v1/chat/completions")
        .key(KEY)
        .send()
        .await
        .refused(405, "method_not_allowed");
    let builder = gateway.http.delete(gateway.url("/v1/models"));
    e2e::client::Ask { builder }
        .key(KEY)
        .send()
        .await
        .refused(405, "method_not_allowed");
}

async fn chunked_request_body(gateway: Arc<Gateway>) {
    let mark = marker();
    let body = prompt("gpt-4o-mini", &mark).to_string();
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = body
        .as_bytes()
        .chunks(5)
        .map(|piece| Ok(piece.to_vec()))
        .collect();
    let stream = futures_util::stream::iter(pieces);
    gateway
        .chat_bytes(reqwest::Body::wrap_stream(stream))
        .key(KEY)
        .send()
        .await
        .good();
    assert_eq!(
        FakeProvider::only(gateway.provider.requests(&mark).await).body,
        body
    );
}
