//! The older completions: as they are where the model is one, over chats everywhere else.

use std::sync::Arc;
use std::time::Duration;

use e2e::behaviour::{Behaviour, Split, Tokens};
use e2e::client::{Answer, marker};
use e2e::gateway::Gateway;
use e2e::provider::FakeProvider;
use e2e::run_cases;
use e2e::setup::KEY;
use serde_json::{Value, json};

use crate::clients::packages::python;
use crate::ledger;

/// Models and the paths they are asked at: of chats, then of the older form.
const CHATS: [(&str, &str); 4] = [
    ("gpt-4o-mini", "/v1/chat/completions"),
    ("claude-3-sonnet", "/anthropic/v1/messages"),
    (
        "mistral/mistral-small-latest",
        "/mistral/v1/chat/completions",
    ),
    (
        "bedrock/us.anthropic.claude-sonnet-4-5-v1:0",
        "/bedrock/model/us.anthropic.claude-sonnet-4-5-v1%3A0/converse",
    ),
];
const NATIVE: (&str, &str) = ("gpt-3.5-turbo-instruct", "/v1/completions");
const PATH: &str = "/v1/completions";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_completions_over_every_provider() {
    let setup = crate::providers::setup().with(|config| {
        let models = config["models"].as_array_mut().expect("models");
        let price = json!({"input": 1.5, "output": 2});
        models.push(json!({"id": NATIVE.0, "provider": "openai", "price": price}));
    });
    let gateway = Arc::new(Gateway::start(setup).await);
    run_cases!(
        gateway,
        [
            texts,
            streams,
            echo,
            parameters,
            likelihoods,
            what_cannot_be_said,
            errors,
            streams_that_fail,
            fallback,
            redaction,
            money,
            cache,
            openais_own_package
        ]
    );
}

async fn ask(gateway: &Gateway, body: &Value) -> Answer {
    gateway.post(PATH, body).send().await
}

fn models() -> impl Iterator<Item = (&'static str, &'static str)> {
    CHATS.into_iter().chain([NATIVE])
}

fn told(mark: &str) -> String {
    let behaviour = Behaviour {
        usage: Some(Tokens {
            input: 40,
            output: 9,
            ..Tokens::default()
        }),
        text: Some(format!("Chào bb {mark}")),
        ..Behaviour::default()
    };
    behaviour.directive()
}

/// The text of the first choice, of an answer or a stream.
fn text(answer: &Answer) -> String {
    let is_stream = answer
        .header("content-type")
        .is_some_and(|kind| kind.contains("event-stream"));
    let documents = if is_stream {
        answer.chunks()
    } else {
        vec![answer.json()]
    };
    let choices = documents.iter().map(|it| &it["choices"][0]);
    choices
        .filter_map(|choice| choice["text"].as_str())
        .collect()
}

async fn texts(gateway: Arc<Gateway>) {
    for (model, path) in models() {
        let mark = marker();
        let answer = ask(&gateway, &json!({"model": model, "prompt": told(&mark)})).await;
        answer.good();
        let body = answer.json();
        assert_eq!(text(&answer), format!("Chào bb {mark}"), "{answer}");
        assert_eq!(body["object"], "text_completion", "{answer}");
        assert!(
            body["id"]
                .as_str()
                .is_some_and(|id| id.starts_with("cmpl-")),
            "{answer}"
        );
        let choice = &body["choices"][0];
        assert_eq!(choice["index"], 0, "{answer}");
        assert_eq!(choice["finish_reason"], "stop", "{answer}");
        assert!(choice["logprobs"].is_null() && choice.get("message").is_none());
        assert_eq!(body["usage"]["prompt_tokens"], 40, "{answer}");
        assert_eq!(body["usage"]["completion_tokens"], 9, "{answer}");
        assert_eq!(body["metadata"]["cache_hit"], false, "{answer}");
        let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
        assert_eq!(seen.path, path, "{model}");
    }
}

async fn streams(gateway: Arc<Gateway>) {
    for ((model, _), split) in models().flat_map(|row| {
        [Split::Event, Split::Byte, Split::Seven, Split::Whole].map(|split| (row, split))
    }) {
        let mark = marker();
        let mut behaviour = Behaviour::of_prompt(&told(&mark)).expect("a behaviour");
        behaviour.split = split;
        let mut body = json!({"model": model, "prompt": behaviour.directive(), "stream": true});
        for asks in [true, false] {
            body["stream_options"] = json!({"include_usage": asks});
            let answer = ask(&gateway, &body).await;
            answer.good();
            assert!(answer.done(), "{model} {answer}");
            assert_eq!(text(&answer), format!("Chào bb {mark}"), "{model} {answer}");
            let chunks = answer.chunks();
            let mut ids: Vec<&Value> = chunks.iter().map(|chunk| &chunk["id"]).collect();
            ids.dedup();
            assert_eq!(ids.len(), 1, "{answer}");
            let reasons: Vec<&Value> = chunks
                .iter()
                .map(|chunk| &chunk["choices"][0]["finish_reason"])
                .filter(|reason| !reason.is_null())
                .collect();
            assert_eq!(reasons, ["stop"], "{answer}");
            for chunk in &chunks {
                assert_eq!(chunk["object"], "text_completion", "{answer}");
            }
            let last = chunks.last().expect("chunks");
            if asks {
                assert_eq!(last["choices"], json!([]), "{answer}");
                assert_eq!(last["usage"]["prompt_tokens"], 40, "{answer}");
                assert_eq!(last["usage"]["completion_tokens"], 9, "{answer}");
            } else {
                assert!(!answer.text().contains("\"usage\":{"), "{answer}");
            }
            // What it cost is in the usage chunk, else in a comment.
            assert_eq!(answer.metadata()["cache_hit"], false, "{answer}");
        }
    }
}

async fn echo(gateway: Arc<Gateway>) {
    for ((model, _), stream) in models().flat_map(|row| [(row, false), (row, true)]) {
        let prompt = format!("Say \"{}\":\n", marker());
        let body = json!({"model": model, "prompt": prompt, "echo": true, "stream": stream});
        let answer = ask(&gateway, &body).await;
        answer.good();
        assert_eq!(text(&answer), format!("{prompt}Echo: {prompt}"), "{answer}");
    }
}

async fn parameters(gateway: Arc<Gateway>) {
    let mark = marker();
    let body = json!({
        "model": "gpt-4o-mini", "prompt": [mark], "max_tokens": 7, "temperature": 0.5, "top_p": 0.9,
        "n": 2, "best_of": 2, "stop": ["\n"], "seed": 5, "presence_penalty": 0.1,
        "frequency_penalty": -0.1, "logit_bias": {"50256": -100}, "user": "u", "suffix": null,
    });
    let answer = ask(&gateway, &body).await;
    answer.good();
    assert_eq!(answer.json()["choices"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer.header("x-weir-dropped-params"), None, "{answer}");
    let sent = FakeProvider::only(gateway.provider.requests(&mark).await).json();
    let mut expect = body.clone();
    let members = expect.as_object_mut().expect("an object");
    for name in ["prompt", "best_of", "suffix"] {
        members.remove(name);
    }
    members.insert(
        "messages".to_owned(),
        json!([{"role": "user", "content": mark}]),
    );
    assert_eq!(sent, expect);

    let cut = json!({"model": "claude-3-sonnet", "prompt": "một hai ba bốn", "max_tokens": 2});
    let answer = ask(&gateway, &cut).await;
    assert_eq!(
        answer.good().json()["choices"][0]["finish_reason"],
        "length",
        "{answer}"
    );
    let dropped = json!({"model": "claude-3-sonnet", "prompt": "a", "seed": 1, "logprobs": 2});
    let answer = ask(&gateway, &dropped).await;
    let names = answer.good().header("x-weir-dropped-params");
    assert_eq!(names, Some("logprobs,top_logprobs,seed"), "{answer}");
}

async fn likelihoods(gateway: Arc<Gateway>) {
    let token = |text: &str, logprob: f64| {
        json!({"token": text, "logprob": logprob, "bytes": null,
               "top_logprobs": [{"token": text, "logprob": logprob, "bytes": null},
                                {"token": "?", "logprob": -9.5, "bytes": null}]})
    };
    let chat = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hế!"},
                     "logprobs": {"content": [token("hế", -0.25), token("!", -1.5)]},
                     "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    });
    let told = Behaviour {
        body: Some(chat.to_string()),
        ..Behaviour::default()
    };
    let mark = marker();
    let prompt = format!("{mark}{}", told.directive());
    let body = json!({"model": "gpt-4o-mini", "prompt": prompt, "logprobs": 2});
    let answer = ask(&gateway, &body).await;
    answer.good();
    let expect = json!({
        "tokens": ["hế", "!"], "token_logprobs": [-0.25, -1.5],
        "top_logprobs": [{"hế": -0.25, "?": -9.5}, {"!": -1.5, "?": -9.5}], "text_offset": [0, 2],
    });
    assert_eq!(answer.json()["choices"][0]["logprobs"], expect, "{answer}");
    let sent = FakeProvider::only(gateway.provider.requests(&mark).await).json();
    assert_eq!(
        (&sent["logprobs"], &sent["top_logprobs"]),
        (&json!(true), &json!(2))
    );
}

async fn what_cannot_be_said(gateway: Arc<Gateway>) {
    for (member, value) in [
        ("prompt", json!(["a", "b"])),
        ("prompt", json!([1, 2])),
        ("prompt", Value::Null),
        ("suffix", json!("b")),
        ("best_of", json!(3)),
        ("logprobs", json!(true)),
    ] {
        for (model, _) in CHATS {
            let mut body = json!({"model": model, "prompt": "a"});
            body[member] = value.clone();
            let answer = ask(&gateway, &body).await;
            answer.refused(400, "invalid_request");
            assert_eq!(answer.json()["error"]["param"], member, "{answer}");
        }
    }
    // What the older form can say goes to a model of that form.
    let two = json!({"model": NATIVE.0, "prompt": ["a", "b"], "suffix": "c"});
    let answer = ask(&gateway, &two).await;
    assert_eq!(answer.good().json()["choices"][1]["text"], "Echo: b");
    let unknown = ask(&gateway, &json!({"model": "no-such-model", "prompt": "a"})).await;
    unknown.refused(404, "model_not_found");
}

async fn errors(gateway: Arc<Gateway>) {
    for (model, _) in models() {
        for (told, status) in [(429, 429), (500, 500), (401, 502)] {
            let told = Behaviour {
                status: Some(told),
                ..Behaviour::default()
            };
            for stream in [false, true] {
                let body = json!({"model": model, "prompt": told.directive(), "stream": stream});
                let answer = ask(&gateway, &body).await;
                assert_eq!(answer.status, status, "{model} {answer}");
                assert!(answer.json()["error"]["message"].is_string(), "{answer}");
            }
        }
    }
}

async fn streams_that_fail(gateway: Arc<Gateway>) {
    for (model, _) in models() {
        let told = Behaviour {
            error_after: Some(2),
            chunks: Some(5),
            ..Behaviour::default()
        };
        let cut = Behaviour {
            ending: e2e::behaviour::Ending::Close,
            after_chunks: 2,
            chunks: Some(5),
            ..Behaviour::default()
        };
        for behaviour in [told, cut] {
            let body = json!({"model": model, "prompt": behaviour.directive(), "stream": true});
            let answer = ask(&gateway, &body).await;
            answer.good();
            assert!(!text(&answer).is_empty(), "{model} {answer}");
            assert!(answer.error_event().is_some(), "{model} {answer}");
            assert!(!answer.done(), "{model} {answer}");
            let last = answer.chunks().pop().expect("events");
            assert!(last["error"].is_object(), "nothing after it: {answer}");
        }
    }
}

async fn fallback(gateway: Arc<Gateway>) {
    // The same request in three forms: each target gets its own.
    let mark = marker();
    let fails = Behaviour {
        status: Some(503),
        ..Behaviour::default()
    };
    gateway.provider.next(2, &mark, fails).await;
    let config = json!({"strategy": "fallback", "targets": [
        {"provider": "openai", "model": NATIVE.0},
        {"provider": "openai", "model": "gpt-4o-mini"},
        {"provider": "anthropic", "model": "claude-3-sonnet"},
    ]});
    let body = json!({"model": NATIVE.0, "prompt": mark, "stream": true, "echo": true});
    let answer = gateway.post(PATH, &body).config(&config).send().await;
    answer.good();
    assert_eq!(text(&answer), format!("{mark}Echo: {mark}"), "{answer}");
    let seen = gateway.provider.requests(&mark).await;
    let paths: Vec<&str> = seen.iter().map(|seen| seen.path.as_str()).collect();
    assert_eq!(paths, [NATIVE.1, CHATS[0].1, CHATS[1].1]);
}

async fn redaction(gateway: Arc<Gateway>) {
    let rule = json!({"guardrails": {"input": [{"type": "pii_detection", "action": "redact"}]}});
    for (model, _) in models() {
        let mark = marker();
        let prompt = format!("{mark} an.nguyen@example.com");
        let body = json!({"model": model, "prompt": prompt, "echo": true});
        let answer = gateway.post(PATH, &body).config(&rule).send().await;
        let clean = format!("{mark} [EMAIL_REDACTED]");
        answer.good();
        assert_eq!(text(&answer), format!("{clean}Echo: {clean}"), "{answer}");
        let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
        assert!(!seen.body.contains("an.nguyen"), "{seen:#?}");
    }
}

async fn money(gateway: Arc<Gateway>) {
    let (key, record) = gateway.new_key(json!({"provider": "openai"})).await;
    let id = record["id"].as_str().expect("id");
    for (model, stream) in [
        ("gpt-4o-mini", false),
        ("gpt-4o-mini", true),
        ("claude-3-sonnet", true),
    ] {
        let body = json!({"model": model, "prompt": told(&marker()), "stream": stream});
        gateway.post_as(&key, PATH, &body).send().await.good();
    }
    let lines = ledger::settled(&gateway, id, 3).await;
    let mut charged: Vec<i64> = lines.iter().map(|line| line.cost_nano).collect();
    charged.sort_unstable();
    // 40 in and 9 out, at 0.15 and 0.60, and at 3 and 15 dollars per million.
    assert_eq!(charged, [11_400, 11_400, 255_000]);
}

async fn cache(gateway: Arc<Gateway>) {
    let config = json!({"cache": {"mode": "simple", "ttl": 60}});
    let mark = marker();
    let body = json!({"model": "gpt-4o-mini", "prompt": mark});
    let mut found = Vec::new();
    for _ in 0..2 {
        let answer = gateway.post(PATH, &body).config(&config).send().await;
        answer.good();
        assert_eq!(text(&answer), format!("Echo: {mark}"), "{answer}");
        found.push(answer.header("x-weir-cache").unwrap_or_default().to_owned());
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert_eq!(found, ["miss", "hit"]);
    // The same chat is another thing.
    let chat = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": mark}]});
    let answer = gateway.chat(&chat).config(&config).send().await;
    assert_eq!(answer.good().header("x-weir-cache"), Some("miss"));
}

async fn openais_own_package(gateway: Arc<Gateway>) {
    let models = models().map(|(model, _)| model.to_owned());
    let arguments = [gateway.url("/v1"), KEY.to_owned()];
    python("completions.py", arguments.into_iter().chain(models)).await;
    let own = [gateway.url("/v1"), KEY.to_owned(), "completions".to_owned()];
    python("openai_calls.py", own).await;
}
