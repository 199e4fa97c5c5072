//! Embeddings of every provider that has them, as OpenAI's clients ask for them.

use std::sync::Arc;
use std::time::Duration;

use e2e::behaviour::{Behaviour, Tokens};
use e2e::client::{Answer, marker, prompt};
use e2e::gateway::Gateway;
use e2e::provider::FakeProvider;
use e2e::run_cases;
use e2e::setup::KEY;
use e2e::vector::{DIMENSIONS, base64, embedding};
use serde_json::{Value, json};

use crate::clients::packages::python;
use crate::ledger;

/// Models and the paths they are asked at.
const ROWS: [(&str, &str); 10] = [
    ("openai/text-embedding-3-small", "/v1/embeddings"),
    (
        "azure/embed-deploy",
        "/azure/openai/deployments/embed-deploy/embeddings?api-version=2024-10-21",
    ),
    ("azure-entra/embed-deploy", "/azure/openai/v1/embeddings"),
    ("mistral/codestral-embed", "/mistral/v1/embeddings"),
    ("llama/nomic-embed-text", "/llama/v1/embeddings"),
    (
        "gemini/gemini-embedding-001",
        "/gemini/v1beta/models/gemini-embedding-001:batchEmbedContents",
    ),
    (
        "vertex/text-embedding-005",
        "/vertex/v1/projects/my-project/locations/global/publishers/google/models/text-embedding-005:predict",
    ),
    (
        TITAN,
        "/bedrock/model/amazon.titan-embed-text-v2%3A0/invoke",
    ),
    (
        "bedrock-signed/amazon.titan-embed-text-v2:0",
        "/bedrock/model/amazon.titan-embed-text-v2%3A0/invoke",
    ),
    (
        "bedrock/cohere.embed-v4:0",
        "/bedrock/model/cohere.embed-v4%3A0/invoke",
    ),
];
const TITAN: &str = "bedrock/amazon.titan-embed-text-v2:0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embeddings_of_every_provider() {
    let setup = crate::providers::setup().with(|config| {
        let models = config["models"].as_array_mut().expect("models");
        models.push(
            json!({"id": "embedder", "provider": "openai", "price": {"input": 2.0, "output": 0}}),
        );
        models.push(json!({"id": "fallen", "provider": "dead", "price": "free"}));
    });
    let gateway = Arc::new(Gateway::start(setup).await);
    run_cases!(
        gateway,
        [
            vectors,
            dimensions,
            several_inputs,
            openais_own_package,
            token_ids,
            what_cannot_be_said,
            errors,
            fallback,
            redaction,
            money,
            budgets,
            cache
        ]
    );
}

async fn ask(gateway: &Gateway, body: &Value) -> Answer {
    gateway.post("/v1/embeddings", body).send().await
}

fn request(model: &str, text: &str) -> Value {
    json!({"model": model, "input": text})
}

/// The vectors of an answer, after a look at its shape.
#[track_caller]
fn vectors_of(answer: &Answer) -> Vec<Value> {
    answer.good();
    let body = answer.json();
    assert_eq!(body["object"], "list", "{answer}");
    assert!(body["model"].is_string(), "{answer}");
    assert!(body["usage"]["prompt_tokens"].is_u64(), "{answer}");
    assert_eq!(
        body["usage"]["prompt_tokens"], body["usage"]["total_tokens"],
        "{answer}"
    );
    let data = body["data"].as_array().expect("data");
    for (index, item) in data.iter().enumerate() {
        assert_eq!(item["object"], "embedding", "{answer}");
        assert_eq!(item["index"], index, "{answer}");
    }
    data.iter().map(|item| item["embedding"].clone()).collect()
}

fn is_near(vector: &Value, text: &str, dimensions: usize) -> bool {
    let numbers: Vec<f64> = vector
        .as_array()
        .map(|list| list.iter().filter_map(Value::as_f64).collect())
        .unwrap_or_default();
    let expect = embedding(text, dimensions);
    // 1024ths are exact in either.
    numbers == expect.iter().map(|it| f64::from(*it)).collect::<Vec<_>>()
}

async fn vectors(gateway: Arc<Gateway>) {
    for (model, path) in ROWS {
        let mark = marker();
        for encoding in [None, Some("float"), Some("base64")] {
            // Providers that can give base64, and those that cannot.
            for can in [false, true] {
                let told = Behaviour {
                    base64: can,
                    ..Behaviour::default()
                };
                let text = format!("{mark} ế {}", told.directive());
                let mut body = request(model, &text);
                if let Some(encoding) = encoding {
                    body["encoding_format"] = json!(encoding);
                }
                let answer = ask(&gateway, &body).await;
                let [vector] = &vectors_of(&answer)[..] else {
                    panic!("one vector: {answer}")
                };
                if encoding == Some("base64") {
                    assert_eq!(*vector, base64(&embedding(&text, DIMENSIONS)), "{answer}");
                } else {
                    assert!(is_near(vector, &text, DIMENSIONS), "{model} {answer}");
                }
                let provider = model.split('/').next();
                assert_eq!(answer.header("x-weir-provider"), provider, "{answer}");
            }
        }
        let seen = gateway.provider.requests(&mark).await;
        assert_eq!(seen.len(), 6, "{model}");
        assert!(seen.iter().all(|seen| seen.path == path), "{seen:#?}");
        assert!(
            seen.iter()
                .all(|seen| !format!("{:?}", seen.headers).contains(KEY))
        );
    }
}

async fn dimensions(gateway: Arc<Gateway>) {
    for (model, _) in ROWS {
        let mark = marker();
        let mut body = request(model, &mark);
        body["dimensions"] = json!(3);
        body["user"] = json!("u-1");
        let answer = ask(&gateway, &body).await;
        assert!(is_near(&vectors_of(&answer)[0], &mark, 3), "{answer}");
        let takes_user = model.starts_with("openai/") || model.starts_with("azure");
        let dropped = (!takes_user).then_some("user");
        assert_eq!(answer.header("x-weir-dropped-params"), dropped, "{answer}");
    }
}

async fn several_inputs(gateway: Arc<Gateway>) {
    for (model, _) in ROWS {
        let texts: Vec<String> = (0..5)
            .map(|index| format!("{index} {}", marker()))
            .collect();
        let body = json!({"model": model, "input": texts});
        let answer = ask(&gateway, &body).await;
        if model.contains("titan") {
            answer.refused(400, "invalid_request");
            assert!(answer.text().contains("one text per call"), "{answer}");
            assert_eq!(answer.json()["error"]["param"], "input");
            continue;
        }
        let vectors = vectors_of(&answer);
        assert_eq!(vectors.len(), texts.len(), "{answer}");
        for (vector, text) in vectors.iter().zip(&texts) {
            assert!(is_near(vector, text, DIMENSIONS), "{model} {answer}");
        }
    }
}

/// It asks for base64 unless told otherwise, and reads it with numpy's rules.
async fn openais_own_package(gateway: Arc<Gateway>) {
    let models = ROWS.map(|(model, _)| model.to_owned());
    let direct = gateway.provider.url("/v1");
    let arguments = [gateway.url("/v1"), KEY.to_owned(), direct];
    python("embeddings.py", arguments.into_iter().chain(models)).await;
    let own = [gateway.url("/v1"), KEY.to_owned(), "embeddings".to_owned()];
    python("openai_calls.py", own).await;
}

async fn token_ids(gateway: Arc<Gateway>) {
    for (model, _) in ROWS {
        let body = json!({"model": model, "input": [[9906, 1917], [0]]});
        let answer = ask(&gateway, &body).await;
        if model.starts_with("openai/") || model.starts_with("azure") {
            assert_eq!(vectors_of(&answer).len(), 2, "{answer}");
        } else {
            answer.refused(400, "invalid_request");
            assert_eq!(answer.json()["error"]["param"], "input", "{answer}");
        }
    }
}

async fn what_cannot_be_said(gateway: Arc<Gateway>) {
    for (model, input) in [
        ("claude-3-sonnet", json!("a")),
        ("perplexity/sonar", json!("a")),
        ("bedrock/us.anthropic.claude-sonnet-4-5-v1:0", json!("a")),
        ("embedder", json!("")),
        ("embedder", json!([])),
        ("embedder", json!(["a", 1])),
        ("embedder", json!(vec!["a"; 2049])),
        ("embedder", Value::Null),
    ] {
        let answer = ask(&gateway, &json!({"model": model, "input": input})).await;
        answer.refused(400, "invalid_request");
    }
    let mut body = request("embedder", "a");
    body["encoding_format"] = json!("int8");
    let answer = ask(&gateway, &body).await;
    answer.refused(400, "invalid_request");
    assert_eq!(answer.json()["error"]["param"], "encoding_format");
    let unknown = ask(&gateway, &request("no-such-model", "a")).await;
    unknown.refused(404, "model_not_found");
    let nameless = ask(&gateway, &json!({"input": "a"})).await;
    nameless.refused(400, "invalid_request");
    let strict = json!({"model": "strict/codestral-embed", "input": "a", "user": "u"});
    let strict = ask(&gateway, &strict).await;
    strict.refused(400, "invalid_request");
    assert_eq!(strict.json()["error"]["param"], "user");
}

async fn errors(gateway: Arc<Gateway>) {
    for (model, _) in ROWS {
        for (told, status) in [(429, 429), (500, 500), (401, 502)] {
            let told = Behaviour {
                status: Some(told),
                ..Behaviour::default()
            };
            let answer = ask(&gateway, &request(model, &told.directive())).await;
            assert_eq!(answer.status, status, "{model} {answer}");
            let error = &answer.json()["error"];
            assert!(error["message"].is_string(), "{model} {answer}");
        }
        for body in ["{\"data\": [{", "[1, 2, 3]", "{\"object\": \"list\"}"] {
            let told = Behaviour {
                body: Some(body.to_owned()),
                ..Behaviour::default()
            };
            let answer = ask(&gateway, &request(model, &told.directive())).await;
            answer.refused(502, "upstream_invalid_answer");
        }
    }
}

async fn fallback(gateway: Arc<Gateway>) {
    let mark = marker();
    let config = json!({"strategy": "fallback", "targets": [
        {"provider": "dead", "model": "fallen"},
        {"provider": "anthropic", "model": "claude-3-sonnet"},
        {"provider": "mistral", "model": "codestral-embed"},
    ]});
    let mut body = request("embedder", &mark);
    body["encoding_format"] = json!("base64");
    let answer = gateway.post("/v1/embeddings", &body).config(&config);
    let answer = answer.send().await;
    let expect = base64(&embedding(&mark, DIMENSIONS));
    assert_eq!(vectors_of(&answer), [json!(expect)], "{answer}");
    assert_eq!(
        answer.header("x-weir-provider"),
        Some("mistral"),
        "{answer}"
    );
}

async fn redaction(gateway: Arc<Gateway>) {
    let rule = json!({"guardrails": {"input": [{"type": "pii_detection", "action": "redact"}]}});
    for (model, _) in ROWS {
        let mark = marker();
        let body = request(model, &format!("{mark} an.nguyen@example.com"));
        let answer = gateway.post("/v1/embeddings", &body).config(&rule);
        vectors_of(&answer.send().await);
        let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
        assert!(
            seen.body.contains(&format!("{mark} [EMAIL_REDACTED]")),
            "{seen:#?}"
        );
    }
    let mark = marker();
    let body = json!({"model": "embedder", "input": ["fine", format!("{mark} CMND 123456789")]});
    let deny = json!({"guardrails": {"input": [{"type": "pii_detection", "action": "deny"}]}});
    let answer = gateway.post("/v1/embeddings", &body).config(&deny);
    answer.send().await.refused(400, "guardrail_violation");
    assert!(gateway.provider.requests(&mark).await.is_empty());
}

/// 2 USD for a million tokens: what the provider counts, else what we do.
async fn money(gateway: Arc<Gateway>) {
    let (key, record) = gateway.new_key(json!({"provider": "openai"})).await;
    let id = record["id"].as_str().expect("id");
    let as_key = |body: &Value| gateway.post_as(&key, "/v1/embeddings", body);
    let told = Behaviour {
        usage: Some(Tokens {
            input: 1500,
            ..Tokens::default()
        }),
        ..Behaviour::default()
    };
    let answer = as_key(&request("embedder", &told.directive())).send().await;
    assert_eq!(answer.good().json()["usage"]["prompt_tokens"], 1500);
    assert_eq!(answer.header("x-weir-cost-usd"), Some("0.003"), "{answer}");

    let silent = Behaviour {
        usage_absent: true,
        ..Behaviour::default()
    };
    let answer = as_key(&request("embedder", &silent.directive()))
        .send()
        .await;
    let counted = answer.good().json()["usage"]["prompt_tokens"].clone();
    let counted = counted.as_i64().expect("a count");
    assert!(counted > 5, "{answer}");
    let ids = json!({"model": "embedder", "input": [[9906, 1917], [11]]});
    assert_eq!(as_key(&ids).send().await.good().status, 200);

    let lines = ledger::settled(&gateway, id, 3).await;
    let charged: Vec<(i64, i64, i64)> = lines
        .iter()
        .map(|line| (line.prompt_tokens, line.completion_tokens, line.cost_nano))
        .collect();
    assert!(charged.contains(&(1500, 0, 3_000_000)), "{charged:?}");
    assert!(
        charged.contains(&(counted, 0, counted * 2_000)),
        "{charged:?}"
    );
}

async fn budgets(gateway: Arc<Gateway>) {
    let (key, _) = gateway.new_key(json!({"budget_limit_usd": 0.001})).await;
    // Token ids are counted as they are: 600 of them cost 0.0012 USD.
    let ids: Vec<u32> = (0..600).collect();
    let body = json!({"model": "embedder", "input": ids});
    let ask = gateway.post_as(&key, "/v1/embeddings", &body);
    ask.send().await.refused(429, "budget_exceeded");
    let few = json!({"model": "embedder", "input": [1, 2, 3]});
    let ask = gateway.post_as(&key, "/v1/embeddings", &few);
    vectors_of(&ask.send().await);
}

async fn cache(gateway: Arc<Gateway>) {
    let config = json!({"cache": {"mode": "simple", "ttl": 60}});
    for model in ["embedder", "gemini/gemini-embedding-001"] {
        let mark = marker();
        let mut body = request(model, &mark);
        let mut found = Vec::new();
        for encoding in ["float", "float", "base64", "base64"] {
            body["encoding_format"] = json!(encoding);
            let answer = gateway.post("/v1/embeddings", &body).config(&config);
            let answer = answer.send().await;
            let vectors = vectors_of(&answer);
            assert_eq!(vectors[0].is_string(), encoding == "base64", "{answer}");
            let status = answer.header("x-weir-cache").unwrap_or_default().to_owned();
            if status == "hit" {
                assert_eq!(answer.header("x-weir-cost-usd"), Some("0"), "{answer}");
            }
            found.push(status);
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        assert_eq!(found, ["miss", "hit", "miss", "hit"], "{model}");
        assert_eq!(gateway.provider.requests(&mark).await.len(), 2);
        // Another call with the same text is another thing.
        let chat = gateway.chat(&prompt("gpt-4o-mini", &mark)).config(&config);
        assert_eq!(chat.send().await.header("x-weir-cache"), Some("miss"));
    }
}
