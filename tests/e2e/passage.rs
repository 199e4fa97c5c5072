//! Calls that pass to a provider as they came: audio, images, files, batches, moderations, stored
//! responses. What Weir adds is who may call, and what it costs.

use std::sync::Arc;

use e2e::client::{Answer, Ask, marker};
use e2e::gateway::Gateway;
use e2e::provider::FakeProvider;
use e2e::run_cases;
use e2e::setup::{KEY, Setup};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_pass_through() {
    let setup = Setup::default().with(|config| {
        config["providers"][0]["serves"] = json!(["responses"]);
        config["providers"][0]["calls"] = json!({
            "audio": 0.006, "images": 0.04, "files": "free", "batches": 0.5, "moderations": "free",
        });
        let base = config["providers"][0]["base_url"].as_str().unwrap_or_default();
        let base = base.trim_end_matches("/v1").to_owned();
        let azure = json!({"name": "azure", "dialect": "azure", "base_url": format!("{base}/azure"),
            "api_version": "2024-10-21", "api_key": "az-key", "calls": {"audio": 0.01},
            "default_price": "free"});
        let azure_v1 = json!({"name": "azure-v1", "dialect": "azure", "default_price": "free",
            "base_url": format!("{base}/azure/openai/v1"), "api_key": "az-key", "calls": {"audio": 0.01}});
        let mut second = config["providers"][0].clone();
        second["name"] = json!("second");
        let providers = config["providers"].as_array_mut().expect("providers");
        providers.extend([second, azure, azure_v1]);
        let models = config["models"].as_array_mut().expect("models");
        models.push(json!({
            "id": "whisper", "provider": "openai", "model": "whisper-1",
            "price": {"per_call": 0.003},
        }));
        config["defaults"]["guardrails"] =
            json!({"input": [{"type": "pii_detection", "action": "redact"}], "unread": "allow"});
    });
    let gateway = Arc::new(Gateway::start(setup).await);
    run_cases!(
        gateway,
        [
            uploads_that_nobody_reads_are_refused,
            speech_comes_as_bytes_and_costs_what_is_listed,
            an_upload_arrives_whole,
            images_and_moderations,
            files_and_batches,
            stored_responses,
            a_budget_ends_calls,
            what_no_provider_takes_is_not_found,
            calls_fall_over_too,
            azure_has_paths_of_its_own,
            a_cut_answer_is_cut_for_the_client,
        ]
    );
}

fn post(gateway: &Gateway, key: &str, path: &str, body: &Value) -> Ask {
    gateway.post_as(key, path, body)
}

async fn call(gateway: &Gateway, method: &str, path: &str) -> Answer {
    let method = method.parse().expect("method");
    let builder = gateway.http.request(method, gateway.url(path));
    Ask { builder }.key(KEY).send().await
}

async fn speech_comes_as_bytes_and_costs_what_is_listed(gateway: Arc<Gateway>) {
    let (key, record) = gateway.new_key(json!({"budget_limit_usd": 1})).await;
    let mark = marker();
    let text = format!("{mark} for jane.doe@acme.com");
    let body = json!({"model": "tts-1", "input": text, "voice": "alloy"});
    let answer = post(&gateway, &key, "/v1/audio/speech", &body).send().await;
    answer.good();
    assert_eq!(answer.header("content-type"), Some("audio/mpeg"));
    assert!(
        answer.body.starts_with(&[0xff, 0xfb, 0x90, 0x00]),
        "{answer}"
    );
    assert_eq!(answer.header("x-weir-cost-usd"), Some("0.006"));
    assert_eq!(answer.header("x-weir-pii"), Some("EMAIL=1"));
    let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
    assert_eq!(seen.path, "/v1/audio/speech");
    assert_eq!(seen.header("authorization"), Some("Bearer sk-real-openai"));
    assert_eq!(seen.json()["input"], format!("{mark} for [EMAIL_REDACTED]"));
    let id = record["id"].as_str().expect("id");
    let spent = spent(&gateway, id).await;
    assert!((spent - 0.006).abs() < 1e-9, "{spent}");
    assert!(gateway.sidecar_log().contains("\"endpoint\":\"audio\""));
}

/// Dollars that a key has spent, once settlements are through.
async fn spent(gateway: &Gateway, id: &str) -> f64 {
    let mut last = 0.0;
    for _ in 0..100 {
        let answer = gateway
            .admin("GET", &format!("/admin/virtual-keys/{id}"), None)
            .await;
        last = answer.json()["spent_usd"]
            .as_f64()
            .unwrap_or_else(|| panic!("{answer}"));
        if last > 0.0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    last
}

async fn an_upload_arrives_whole(gateway: Arc<Gateway>) {
    let content: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let file = reqwest::multipart::Part::bytes(content).file_name("speech.mp3");
    let form = reqwest::multipart::Form::new()
        .text("model", "whisper")
        .part("file", file);
    let builder = gateway
        .http
        .post(gateway.url("/v1/audio/transcriptions"))
        .multipart(form);
    let answer = Ask { builder }.key(KEY).send().await;
    answer.good();
    let text = answer.json()["text"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(text.contains("speech.mp3 with 300000 bytes"), "{answer}");
    assert_eq!(answer.header("x-weir-cost-usd"), Some("0.003"));
    assert_eq!(answer.header("x-weir-model"), Some("whisper-1"));
    assert_eq!(
        answer.header("x-weir-guardrails-unenforced"),
        Some("pii_detection")
    );
}

async fn uploads_that_nobody_reads_are_refused(gateway: Arc<Gateway>) {
    let rules = json!({"guardrails": {"input": [{"type": "pii_detection", "action": "redact"}]}});
    let file = reqwest::multipart::Part::bytes(vec![0, 159, 146, 150]).file_name("speech.mp3");
    let form = reqwest::multipart::Form::new()
        .text("model", "whisper")
        .part("file", file);
    let builder = gateway
        .http
        .post(gateway.url("/v1/audio/transcriptions"))
        .multipart(form);
    let answer = Ask { builder }.key(KEY).config(&rules).send().await;
    answer.refused(400, "guardrail_violation");
}

async fn images_and_moderations(gateway: Arc<Gateway>) {
    let body = json!({"model": "gpt-image-1", "prompt": "a weir"});
    let answer = post(&gateway, KEY, "/v1/images/generations", &body)
        .send()
        .await;
    answer.good();
    assert!(answer.json()["data"][0].is_object(), "{answer}");
    assert_eq!(answer.header("x-weir-cost-usd"), Some("0.04"));
    let answer = post(&gateway, KEY, "/v1/moderations", &json!({"input": "hello"}))
        .send()
        .await;
    answer.good();
    assert!(answer.json()["results"][0].is_object(), "{answer}");
    assert_eq!(answer.header("x-weir-cost-usd"), Some("0"));
}

async fn files_and_batches(gateway: Arc<Gateway>) {
    let line = r#"{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{}}"#;
    let file = reqwest::multipart::Part::bytes(line.as_bytes().to_vec()).file_name("in.jsonl");
    let form = reqwest::multipart::Form::new()
        .text("purpose", "batch")
        .part("file", file);
    let builder = gateway.http.post(gateway.url("/v1/files")).multipart(form);
    let answer = Ask { builder }.key(KEY).send().await;
    answer.good();
    let id = answer.json()["id"].as_str().expect("id").to_owned();
    let content = call(&gateway, "GET", &format!("/v1/files/{id}/content")).await;
    content.good();
    assert_eq!(content.text(), line);
    let list = call(&gateway, "GET", "/v1/files?purpose=batch").await;
    assert!(list.good().text().contains(&id), "{list}");
    let batch = json!({
        "input_file_id": id, "endpoint": "/v1/chat/completions", "completion_window": "24h",
    });
    let answer = post(&gateway, KEY, "/v1/batches", &batch).send().await;
    answer.good();
    assert_eq!(answer.header("x-weir-cost-usd"), Some("0.5"));
    let batch = answer.json()["id"].as_str().expect("id").to_owned();
    let answer = call(&gateway, "POST", &format!("/v1/batches/{batch}/cancel")).await;
    assert_eq!(answer.good().json()["status"], "cancelling");
    assert_eq!(answer.header("x-weir-cost-usd"), Some("0"));
    let (limited, _) = gateway.new_key(json!({"models": ["gpt-4o-mini"]})).await;
    let refused = post(
        &gateway,
        &limited,
        "/v1/batches",
        &json!({"input_file_id": id}),
    )
    .send()
    .await;
    refused.refused(403, "model_not_allowed");
    let gone = call(&gateway, "DELETE", &format!("/v1/files/{id}")).await;
    assert_eq!(gone.good().json()["deleted"], true);
    let missing = call(&gateway, "GET", &format!("/v1/files/{id}")).await;
    assert_eq!(missing.status, 404, "{missing}");
    assert!(missing.json()["error"]["message"].is_string(), "{missing}");
}

async fn stored_responses(gateway: Arc<Gateway>) {
    let missing = call(&gateway, "GET", "/v1/responses/resp_unknown").await;
    assert_eq!(missing.status, 404, "{missing}");
    let seen = gateway.provider.requests("").await;
    let passed = |path: &str| seen.iter().any(|request| request.path == path);
    assert!(passed("/v1/responses/resp_unknown"), "{missing}");
}

async fn a_budget_ends_calls(gateway: Arc<Gateway>) {
    let (key, _) = gateway.new_key(json!({"budget_limit_usd": 0.1})).await;
    let mark = marker();
    let body = json!({"model": "gpt-image-1", "prompt": mark});
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let answer = post(&gateway, &key, "/v1/images/generations", &body)
            .send()
            .await;
        statuses.push(answer.status);
        if answer.status != 200 {
            answer.refused(429, "budget_exceeded");
        }
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
    assert_eq!(gateway.provider.requests(&mark).await.len(), 2);
}

async fn what_no_provider_takes_is_not_found(gateway: Arc<Gateway>) {
    let config = json!({"provider": "anthropic"}).to_string();
    let builder = gateway
        .http
        .post(gateway.url("/v1/audio/speech"))
        .header("x-weir-config", config)
        .json(&json!({"model": "tts-1", "input": "x", "voice": "alloy"}));
    let answer = Ask { builder }.key(KEY).send().await;
    answer.refused(404, "not_found");
    assert!(
        answer.text().contains("anthropic takes no audio calls"),
        "{answer}"
    );
    let nobody = Ask {
        builder: gateway.http.get(gateway.url("/v1/files")),
    };
    nobody.send().await.refused(401, "missing_api_key");
    let put = call(&gateway, "PUT", "/v1/files").await;
    put.refused(405, "method_not_allowed");
}

async fn calls_fall_over_too(gateway: Arc<Gateway>) {
    let route = json!({"strategy": "fallback", "targets": [
        {"provider": "second", "on_errors": ["500", "503"]}, {"provider": "openai"},
    ]});
    let list = Ask {
        builder: gateway.http.get(gateway.url("/v1/files")),
    };
    let list = list.key(KEY).config(&route).send().await;
    list.good();
    assert_eq!(list.header("x-weir-provider"), Some("second"));
    use e2e::behaviour::Behaviour;
    let mark = marker();
    let broken = Behaviour {
        status: Some(503),
        ..Behaviour::default()
    };
    gateway.provider.next(1, &mark, broken).await;
    let body = json!({"model": "tts-1", "input": mark, "voice": "alloy"});
    let answer = post(&gateway, KEY, "/v1/audio/speech", &body);
    let answer = answer.config(&route).send().await;
    answer.good();
    assert_eq!(answer.header("x-weir-provider"), Some("openai"));
    assert_eq!(gateway.provider.requests(&mark).await.len(), 2);
}

async fn azure_has_paths_of_its_own(gateway: Arc<Gateway>) {
    for (provider, speech, responses) in [
        (
            "azure",
            "/azure/openai/deployments/tts/audio/speech?api-version=2024-10-21",
            "/azure/openai/responses?api-version=2024-10-21",
        ),
        (
            "azure-v1",
            "/azure/openai/v1/audio/speech",
            "/azure/openai/v1/responses",
        ),
    ] {
        let mark = marker();
        let body = json!({"model": format!("{provider}/tts"), "input": mark, "voice": "alloy"});
        let answer = post(&gateway, KEY, "/v1/audio/speech", &body).send().await;
        answer.good();
        assert_eq!(answer.header("x-weir-cost-usd"), Some("0.01"));
        let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
        assert_eq!(
            (seen.path.as_str(), seen.header("api-key")),
            (speech, Some("az-key"))
        );
        let mark = marker();
        let body = json!({"model": format!("{provider}/gpt"), "input": mark, "odd": [1]});
        let answer = post(&gateway, KEY, "/v1/responses", &body).send().await;
        let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
        assert_eq!(seen.path, responses, "{answer}");
        assert_eq!(seen.json()["odd"], json!([1]), "it goes as it came");
    }
}

async fn a_cut_answer_is_cut_for_the_client(gateway: Arc<Gateway>) {
    use e2e::behaviour::{Behaviour, Ending};
    let cut = Behaviour {
        ending: Ending::Cut,
        after_chunks: 1,
        chunks: Some(8),
        ..Behaviour::default()
    };
    let mark = marker();
    let text = format!("{mark} {}", cut.directive());
    let body = json!({"model": "tts-1", "input": text, "voice": "alloy"});
    let answer = post(&gateway, KEY, "/v1/audio/speech", &body).send().await;
    assert!(
        answer.broken,
        "an answer that lacks its end must not look whole: {answer}"
    );
    gateway.assert_sound().await;
}
