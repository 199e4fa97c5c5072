//! The examples of README and manual, run as they stand against a real gateway.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use e2e::artefact;
use e2e::client::{marker, prompt};
use e2e::gateway::Gateway;
use e2e::process::run;
use e2e::run_cases;
use e2e::setup::{ADMIN_TOKEN, KEY, Setup};
use serde_json::Value;

/// The address in every example.
const ADDRESS: &str = "http://localhost:8000";
/// The key in the README's Python.
const SHOWN_KEY: &str = "vk-your-virtual-key";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_run_as_they_stand() {
    let gateway = Arc::new(Gateway::start(Setup::default()).await);
    run_cases!(
        gateway,
        [
            readme_python,
            readme_json,
            readme_key,
            route_configurations,
            commands
        ]
    );
}

/// Code blocks of `language`.
fn blocks(path: &str, language: &str) -> Vec<String> {
    let document = std::fs::read_to_string(artefact::root().join(path)).expect(path);
    let fence = format!("```{language}\n");
    let pieces = document.split(fence.as_str()).skip(1);
    let block = |piece: &str| piece.split("```").next().unwrap_or_default().to_owned();
    pieces.map(block).collect()
}

/// The only one of its kind.
fn only(path: &str, language: &str, with: &str) -> String {
    let mut found = blocks(path, language);
    found.retain(|block| block.contains(with));
    assert_eq!(found.len(), 1, "{language} blocks of {path} with {with}");
    found.remove(0)
}

async fn ended(mut command: Command) -> String {
    let (status, stdout, stderr) = tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .expect("a command");
    assert!(status.success(), "{stdout}\n{stderr}");
    stdout
}

async fn readme_python(gateway: Arc<Gateway>) {
    let shown = only("README.md", "python", "OpenAI");
    assert!(
        shown.contains(ADDRESS) && shown.contains(SHOWN_KEY),
        "{shown}"
    );
    let script = shown
        .replace(ADDRESS, &gateway.url(""))
        .replace(SHOWN_KEY, KEY);
    let mut command = Command::new(e2e::artefact::python());
    command.args(["-c", &script]);
    assert_eq!(ended(command).await.trim(), "Echo: Hello!");
}

async fn readme_json(gateway: Arc<Gateway>) {
    let config: Value = serde_json::from_str(&only("README.md", "json", "strategy")).expect("JSON");
    let body = prompt("gpt-4o-mini", &marker());
    for header in ["x-portkey-config", "x-weir-config"] {
        let ask = gateway.chat(&body).header(header, config.to_string());
        let answer = ask.send().await;
        answer.good();
        assert_eq!(answer.json()["metadata"]["provider"], "openai", "{answer}");
        // The answer goes to the cache after the client has it.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let fallback = prompt("gpt-4o-mini", &marker());
    let mut config = config;
    config["targets"][0]["model"] = "fault-429".into();
    config["retry"]["attempts"] = 0.into();
    let answer = gateway.chat(&fallback).config(&config).send().await;
    answer.good();
    let metadata = &answer.json()["metadata"];
    assert_eq!(metadata["provider"], "anthropic", "{answer}");
    let again = gateway.chat(&body).config(&config).send().await;
    assert_eq!(
        again.header("x-weir-cache"),
        Some("miss"),
        "another route: {again}"
    );
}

async fn readme_key(gateway: Arc<Gateway>) {
    let created = shell(&gateway, &only("README.md", "sh", "curl -X")).await;
    let created: Value = serde_json::from_str(&created).expect("JSON");
    let key = created["virtual_key"].as_str().expect("virtual_key");
    assert_eq!(created["budget_limit_usd"], 500, "{created}");
    let answer = gateway
        .chat_as(key, &prompt("gpt-4o-mini", "x"))
        .send()
        .await;
    answer.good();
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("100"));
}

/// Every JSON block of the manual is a route configuration; each answers a request.
async fn route_configurations(gateway: Arc<Gateway>) {
    let mut count = 0;
    for path in ["docs/routing.md", "docs/guardrails.md"] {
        for block in blocks(path, "json") {
            let config: Value = serde_json::from_str(&block).expect("JSON");
            let body = prompt("gpt-4o-mini", &marker());
            let answer = gateway.chat(&body).config(&config).send().await;
            assert_eq!(answer.status, 200, "{path}: {block}\n{answer}");
            count += 1;
        }
    }
    assert!(count >= 7, "{count} blocks");
}

/// Every curl of the manual that speaks to the gateway.
async fn commands(gateway: Arc<Gateway>) {
    let mut count = 0;
    for path in ["docs/budgets.md", "docs/guardrails.md"] {
        for block in blocks(path, "sh") {
            if block.contains(ADDRESS) {
                let output = shell(&gateway, &block).await;
                let (_, body) = output.split_once('{').expect("a JSON body");
                assert!(!body.starts_with("\"error\""), "{path}: {block}\n{output}");
                count += 1;
            }
        }
    }
    assert_eq!(count, 2);
}

async fn shell(gateway: &Gateway, block: &str) -> String {
    // The gateway of the tests has no demo provider.
    let script = block
        .replace(ADDRESS, &gateway.url(""))
        .replace("\"demo\"", "\"gpt-4o-mini\"");
    let mut command = Command::new("bash");
    command.args(["-ec", &script]);
    command.env("ADMIN_TOKEN", ADMIN_TOKEN).env("KEY", KEY);
    ended(command).await
}
