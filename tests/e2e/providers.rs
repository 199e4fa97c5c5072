//! Every provider's wire format behind OpenAI's: the same cases for each, through the real Envoy,
//! with and without the adapter. A new provider is a new row.

use std::sync::Arc;

use e2e::behaviour::{Behaviour, Ending, Recorded, Split, Tokens};
use e2e::client::{Answer, marker, prompt, streaming_with_usage};
use e2e::gateway::Gateway;
use e2e::provider::FakeProvider;
use e2e::run_cases;
use e2e::setup::Setup;
use serde_json::{Value, json};

use crate::signatures::assert_signed;

/// A provider of the matrix.
struct Row {
    name: &'static str,
    model: &'static str,
    /// Path and query of a call; `STREAM` of a streaming one where they differ.
    path: &'static str,
    stream_path: &'static str,
    /// The header that lets us in, and its value.
    key: (&'static str, &'static str),
    calls_tools: bool,
}

const AZURE: &str = "/azure/openai/deployments/gpt-deploy/chat/completions?api-version=2024-10-21";
const AZURE_V1: &str = "/azure/openai/v1/chat/completions";
const MISTRAL: &str = "/mistral/v1/chat/completions";
const OLLAMA: &str = "/llama/v1/chat/completions";
const PERPLEXITY: &str = "/perplexity/chat/completions";

const BEDROCK: &str = "/bedrock/model/us.anthropic.claude-sonnet-4-5-v1%3A0/converse";
const BEDROCK_STREAM: &str = "/bedrock/model/us.anthropic.claude-sonnet-4-5-v1%3A0/converse-stream";
const BEDROCK_MODEL: &str = "us.anthropic.claude-sonnet-4-5-v1:0";
const AWS_ID: &str = "AKIAEXAMPLE";
const AWS_SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

const ROWS: [Row; 9] = [
    Row {
        name: "azure",
        model: "gpt-deploy",
        path: AZURE,
        stream_path: AZURE,
        key: ("api-key", "az-key"),
        calls_tools: true,
    },
    Row {
        name: "azure-entra",
        model: "gpt-deploy",
        path: AZURE_V1,
        stream_path: AZURE_V1,
        key: ("authorization", "Bearer az-token"),
        calls_tools: true,
    },
    Row {
        name: "bedrock",
        model: BEDROCK_MODEL,
        path: BEDROCK,
        stream_path: BEDROCK_STREAM,
        key: ("authorization", "Bearer aws-token"),
        calls_tools: true,
    },
    Row {
        name: "bedrock-signed",
        model: BEDROCK_MODEL,
        path: BEDROCK,
        stream_path: BEDROCK_STREAM,
        key: ("authorization", ""),
        calls_tools: true,
    },
    Row {
        name: "gemini",
        model: "gemini-3-pro",
        path: "/gemini/v1beta/models/gemini-3-pro:generateContent",
        stream_path: "/gemini/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse",
        key: ("x-goog-api-key", "gm-key"),
        calls_tools: true,
    },
    Row {
        name: "vertex",
        model: "gemini-2.5-flash",
        path: "/vertex/v1/projects/my-project/locations/global/publishers/google/models/gemini-2.5-flash:generateContent",
        stream_path: "/vertex/v1/projects/my-project/locations/global/publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        key: ("authorization", "Bearer vx-token"),
        calls_tools: true,
    },
    Row {
        name: "mistral",
        model: "mistral-small-latest",
        path: MISTRAL,
        stream_path: MISTRAL,
        key: ("authorization", "Bearer ms-key"),
        calls_tools: true,
    },
    Row {
        name: "llama",
        model: "llama3:8b",
        path: OLLAMA,
        stream_path: OLLAMA,
        key: ("host", ""),
        calls_tools: true,
    },
    Row {
        name: "perplexity",
        model: "sonar",
        path: PERPLEXITY,
        stream_path: PERPLEXITY,
        key: ("authorization", "Bearer px-key"),
        calls_tools: false,
    },
];

pub(crate) fn setup() -> Setup {
    Setup::default().with(|config| {
        let openai = config["providers"][0]["base_url"].as_str().expect("url");
        let fake = openai.trim_end_matches("/v1").to_owned();
        let url = |path: &str| format!("{fake}{path}");
        let providers = config["providers"].as_array_mut().expect("providers");
        let added = json!([
            {"name": "azure", "dialect": "azure", "base_url": url("/azure"),
             "api_version": "2024-10-21", "api_key": "az-key"},
            {"name": "azure-entra", "dialect": "azure", "base_url": url("/azure/openai/v1"),
             "entra_token": "az-token"},
            {"name": "bedrock", "dialect": "bedrock", "base_url": url("/bedrock"),
             "aws": {"region": "us-east-1", "bearer_token": "aws-token"}},
            {"name": "bedrock-signed", "dialect": "bedrock", "base_url": url("/bedrock"),
             "aws": {"region": "us-east-1", "access_key_id": AWS_ID, "secret_access_key": AWS_SECRET}},
            {"name": "gemini", "dialect": "gemini", "base_url": url("/gemini/v1beta"), "api_key": "gm-key"},
            {"name": "vertex", "dialect": "vertex", "base_url": url("/vertex"), "project": "my-project",
             "location": "global", "access_token": "vx-token"},
            {"name": "mistral", "dialect": "mistral", "base_url": url("/mistral/v1"), "api_key": "ms-key"},
            {"name": "strict", "dialect": "mistral", "base_url": url("/mistral/v1"), "api_key": "ms-key",
             "strict_params": true},
            {"name": "llama", "dialect": "ollama", "base_url": url("/llama/v1")},
            {"name": "perplexity", "dialect": "perplexity", "base_url": url("/perplexity"), "api_key": "px-key"},
            {"name": "own", "base_url": url("/own/v1"), "api_key": "own-key",
             "params": {"drop": ["seed"], "refuse": ["logit_bias"],
                        "rename": {"max_completion_tokens": "max_tokens"}}},
        ]);
        for provider in added.as_array().expect("a list") {
            let mut provider = provider.clone();
            provider["price"] = json!("free");
            providers.push(provider);
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_provider_behind_openai() {
    let gateway = Arc::new(Gateway::start(setup()).await);
    run_cases!(
        gateway,
        [
            answers,
            streams,
            tools,
            errors,
            streams_that_fail,
            waiting_time_in_the_body,
            fallback,
            parameters
        ]
    );
}

fn usage() -> Tokens {
    Tokens {
        input: 40,
        output: 9,
        ..Tokens::default()
    }
}

fn model(row: &Row) -> String {
    format!("{}/{}", row.name, row.model)
}

fn assert_arrived(row: &Row, seen: &Recorded, stream: bool) {
    let path = if stream { row.stream_path } else { row.path };
    assert_eq!(seen.path, path, "{}", row.name);
    let (header, value) = row.key;
    if !value.is_empty() {
        assert_eq!(seen.header(header), Some(value), "{}", row.name);
    }
    if row.name == "bedrock-signed" {
        assert_signed(seen, AWS_ID, AWS_SECRET, "us-east-1");
    }
    let all = format!("{:?}", seen.headers);
    assert!(
        !all.contains(e2e::setup::KEY),
        "the client's key went on: {all}"
    );
}

async fn answers(gateway: Arc<Gateway>) {
    for row in &ROWS {
        let mark = marker();
        let behaviour = Behaviour {
            usage: Some(usage()),
            text: Some(format!("Chào bạn {mark}")),
            ..Behaviour::default()
        };
        let body = prompt(&model(row), &behaviour.directive());
        let answer = gateway.chat(&body).send().await;
        answer.good();
        assert_eq!(answer.content(), format!("Chào bạn {mark}"), "{}", row.name);
        let body = answer.json();
        assert_eq!(body["object"], "chat.completion", "{answer}");
        assert_eq!(body["choices"][0]["finish_reason"], "stop", "{answer}");
        assert_eq!(body["usage"]["prompt_tokens"], 40, "{answer}");
        assert_eq!(body["usage"]["completion_tokens"], 9, "{answer}");
        assert_eq!(body["metadata"]["provider"], row.name);
        let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
        assert_arrived(row, &seen, false);
    }
}

async fn streams(gateway: Arc<Gateway>) {
    for (row, split) in ROWS.iter().flat_map(|row| {
        [Split::Event, Split::Byte, Split::Seven, Split::Whole].map(|split| (row, split))
    }) {
        let mark = marker();
        let behaviour = Behaviour {
            usage: Some(usage()),
            text: Some(format!("Chào bb ccc {mark}")),
            split,
            ..Behaviour::default()
        };
        let body = streaming_with_usage(&model(row), &behaviour.directive());
        let answer = gateway.chat(&body).send().await;
        answer.good();
        assert_eq!(
            answer.content(),
            format!("Chào bb ccc {mark}"),
            "{} {split:?}",
            row.name
        );
        assert!(answer.done(), "{answer}");
        assert_well_formed(&answer);
        let chunks = answer.chunks();
        let last = chunks.last().expect("chunks");
        assert_eq!(last["choices"], json!([]), "{answer}");
        assert_eq!(last["usage"]["prompt_tokens"], 40, "{answer}");
        assert_eq!(last["usage"]["completion_tokens"], 9, "{answer}");
        let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
        assert_arrived(row, &seen, true);
        if split == Split::Event {
            // Usage is shown only to those who ask.
            let mut body = prompt(&model(row), &behaviour.directive());
            body["stream"] = json!(true);
            let answer = gateway.chat(&body).send().await;
            answer.good();
            assert!(
                answer.done() && !answer.text().contains("\"usage\":{"),
                "{answer}"
            );
        }
    }
}

#[track_caller]
fn assert_well_formed(answer: &Answer) {
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/event-stream"), "{answer}");
    let chunks = answer.chunks();
    let mut ids: Vec<&Value> = chunks.iter().map(|chunk| &chunk["id"]).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "one id for all chunks: {answer}");
    assert_eq!(
        chunks[0]["choices"][0]["delta"]["role"], "assistant",
        "{answer}"
    );
    let finish: Vec<&Value> = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["finish_reason"])
        .filter(|reason| !reason.is_null())
        .collect();
    assert_eq!(finish.len(), 1, "{answer}");
    for chunk in &chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk", "{answer}");
    }
}

async fn tools(gateway: Arc<Gateway>) {
    for (row, stream) in ROWS.iter().flat_map(|row| [(row, false), (row, true)]) {
        let mut body = prompt(&model(row), &marker());
        body["stream"] = json!(stream);
        body["tools"] = json!([{"type": "function", "function": {
            "name": "weather", "description": "Weather of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        }}]);
        let answer = gateway.chat(&body).send().await;
        if !row.calls_tools {
            answer.refused(400, "invalid_request");
            assert_eq!(answer.json()["error"]["param"], "tools");
            continue;
        }
        answer.good();
        let (message, finish) = message(&answer, stream);
        assert_eq!(finish, "tool_calls", "{} {answer}", row.name);
        let call = &message["tool_calls"][0];
        assert_eq!(call["function"]["name"], "weather", "{answer}");
        let arguments = call["function"]["arguments"].as_str().expect("text");
        let parsed: Value = serde_json::from_str(arguments).expect("arguments are JSON");
        assert_eq!(parsed, json!({"city": "Hà Nội"}), "{answer}");
        let history = body["messages"].as_array_mut().expect("messages");
        history.push(message.clone());
        history.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "sunny"}));
        let answer = gateway.chat(&body).send().await;
        answer.good();
        assert_eq!(answer.content(), "Echo: sunny", "{}", row.name);
    }
}

/// The message as a client has it in the end, and why it ended.
fn message(answer: &Answer, stream: bool) -> (Value, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if !stream {
        let choice = &answer.json()["choices"][0];
        return (choice["message"].clone(), text(&choice["finish_reason"]));
    }
    let (mut calls, mut finish): (Vec<Value>, String) = (Vec::new(), String::new());
    for choice in answer.chunks().iter().map(|chunk| &chunk["choices"][0]) {
        finish.push_str(choice["finish_reason"].as_str().unwrap_or_default());
        for piece in choice["delta"]["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let index = piece["index"].as_u64().expect("an index") as usize;
            if index == calls.len() {
                calls.push(piece.clone());
                continue;
            }
            let arguments = &mut calls[index]["function"]["arguments"];
            *arguments = json!(text(arguments) + &text(&piece["function"]["arguments"]));
        }
    }
    (
        json!({"role": "assistant", "content": null, "tool_calls": calls}),
        finish,
    )
}

async fn errors(gateway: Arc<Gateway>) {
    for (row, stream) in ROWS.iter().flat_map(|row| [(row, false), (row, true)]) {
        for (status, code) in [
            (429, "rate_limit_exceeded"),
            (500, "upstream_error"),
            (401, "upstream_auth"),
        ] {
            let behaviour = Behaviour {
                status: Some(status),
                headers: vec![("retry-after".into(), "7".into())],
                ..Behaviour::default()
            };
            let mut body = prompt(&model(row), &behaviour.directive());
            body["stream"] = json!(stream);
            let answer = gateway.chat(&body).send().await;
            let shown = if status == 401 { 502 } else { status };
            assert_eq!(answer.status, shown, "{} {answer}", row.name);
            let error = &answer.json()["error"];
            let message = error["message"].as_str().unwrap_or_default();
            assert!(
                message.contains("was told to fail"),
                "{} {answer}",
                row.name
            );
            assert_eq!(answer.header("retry-after"), Some("7"), "{answer}");
            // A 500 in OpenAI's own shape has no code.
            assert!(
                answer.code() == code || status == 500,
                "{} {answer}",
                row.name
            );
        }
    }
}

/// Google says in the body how long to wait, and its clients look into a header.
async fn waiting_time_in_the_body(gateway: Arc<Gateway>) {
    let behaviour = Behaviour {
        status: Some(429),
        ..Behaviour::default()
    };
    let body = prompt("gemini/gemini-3-pro", &behaviour.directive());
    let answer = gateway.chat(&body).send().await;
    answer.refused(429, "rate_limit_exceeded");
    assert_eq!(answer.header("retry-after"), Some("7"), "{answer}");
}

async fn streams_that_fail(gateway: Arc<Gateway>) {
    for row in &ROWS {
        let faults = [
            Behaviour {
                error_after: Some(2),
                chunks: Some(4),
                ..Behaviour::default()
            },
            Behaviour {
                ending: Ending::Close,
                after_chunks: 2,
                chunks: Some(4),
                ..Behaviour::default()
            },
            Behaviour {
                ending: Ending::Cut,
                after_chunks: 2,
                chunks: Some(4),
                ..Behaviour::default()
            },
        ];
        for behaviour in faults {
            let body = streaming_with_usage(&model(row), &behaviour.directive());
            let answer = gateway.chat(&body).send().await;
            assert_eq!(answer.status, 200, "{} {answer}", row.name);
            if behaviour.ending == Ending::Cut {
                assert!(
                    answer.broken || answer.error_event().is_some(),
                    "{} {answer}",
                    row.name
                );
            } else {
                assert!(answer.error_event().is_some(), "{} {answer}", row.name);
            }
            assert!(
                !answer.done() && answer.text().contains("tok1"),
                "{} {answer}",
                row.name
            );
            assert!(
                !answer.text().contains("\"finish_reason\":\"stop\""),
                "{} {answer}",
                row.name
            );
        }
    }
}

/// The adapter makes the same of it, and an error in the first event goes on to the next target.
async fn fallback(gateway: Arc<Gateway>) {
    for (row, stream) in ROWS.iter().flat_map(|row| [(row, false), (row, true)]) {
        let mark = marker();
        let config = json!({"strategy": "fallback", "targets": [
            {"provider": "dead", "model": "dead-model"},
            {"provider": row.name, "model": row.model},
        ]});
        let mut body = prompt("gpt-4o-mini", &mark);
        body["stream"] = json!(stream);
        let answer = gateway.chat(&body).config(&config).send().await;
        answer.good();
        assert!(answer.content().contains(&mark), "{} {answer}", row.name);
        assert_eq!(answer.header("x-weir-provider"), Some(row.name));
        let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
        assert_arrived(row, &seen, stream);

        let behaviour = Behaviour {
            error_after: Some(0),
            ..Behaviour::default()
        };
        let mark = marker();
        gateway.provider.next(1, &mark, behaviour).await;
        let config = json!({"strategy": "fallback", "targets": [
            {"provider": row.name, "model": row.model},
            {"provider": "openai", "model": "gpt-4o-mini"},
        ]});
        let mut body = prompt("gpt-4o-mini", &mark);
        body["stream"] = json!(true);
        let answer = gateway.chat(&body).config(&config).send().await;
        answer.good();
        assert!(answer.done(), "{} {answer}", row.name);
        assert_eq!(
            answer.header("x-weir-provider"),
            Some("openai"),
            "{}",
            row.name
        );
    }
}

async fn parameters(gateway: Arc<Gateway>) {
    let mut body = prompt("mistral/mistral-small-latest", &marker());
    body["seed"] = json!(3);
    body["user"] = json!("u-1");
    body["max_completion_tokens"] = json!(9);
    let answer = gateway.chat(&body).send().await;
    answer.good();
    assert_eq!(
        answer.header("x-weir-dropped-params"),
        Some("user"),
        "{answer}"
    );

    body["model"] = json!("strict/mistral-small-latest");
    let answer = gateway.chat(&body).send().await;
    answer.refused(400, "invalid_request");
    assert_eq!(answer.json()["error"]["param"], "user", "{answer}");

    let mark = marker();
    let mut body = prompt("own/anything", &mark);
    body["seed"] = json!(3);
    body["max_completion_tokens"] = json!(9);
    let answer = gateway.chat(&body).send().await;
    answer.good();
    assert_eq!(
        answer.header("x-weir-dropped-params"),
        Some("seed"),
        "{answer}"
    );
    let sent = FakeProvider::only(gateway.provider.requests(&mark).await).json();
    assert_eq!(
        (&sent["seed"], &sent["max_tokens"]),
        (&Value::Null, &json!(9)),
        "{sent}"
    );
    body["logit_bias"] = json!({"5": 1});
    let answer = gateway.chat(&body).send().await;
    answer.refused(400, "invalid_request");
    assert_eq!(answer.json()["error"]["param"], "logit_bias", "{answer}");
}
