//! The packages that people install, as scripts in their own languages, with providers that speak
//! another format than the client does.

use std::process::Command;
use std::sync::Arc;

use e2e::artefact;
use e2e::cases::{self, Case};
use e2e::gateway::Gateway;
use e2e::process::run;
use e2e::run_cases;
use e2e::setup::KEY;
use serde_json::json;

/// One for each package: the same cases with any model.
const SCRIPTS: [&str; 4] = [
    "openai.mjs",
    "vercel.mjs",
    "langchain_chat.py",
    "anthropic_messages.py",
];

/// Providers with formats of their own.
const MODELS: [&str; 3] = ["gpt-4o-mini", "claude-3-sonnet", "gemini/gemini-3-pro"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_work_with_every_format() {
    let gateway = Arc::new(Gateway::start(crate::providers::setup()).await);
    let cases = SCRIPTS.map(|script| Case::new(script, ended(script_with(script, &gateway))));
    cases::run(cases.into(), SCRIPTS.len()).await;
    gateway.assert_sound().await;
}

fn script_with(script: &str, gateway: &Gateway) -> Command {
    let mut command = if script.ends_with(".mjs") {
        of_node(script)
    } else {
        of_python(script)
    };
    command.args([&gateway.url(""), KEY, &gateway.provider.url("")]);
    command.args(MODELS);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_of_openai_works_with_its_package() {
    let setup = crate::providers::setup().with(|config| {
        let free = json!({"audio": "free", "batches": "free", "files": "free", "images": "free",
                          "moderations": "free"});
        config["providers"][0]["calls"] = free;
        config["providers"][0]["serves"] = json!(["completions", "responses"]);
        let models = config["models"].as_array_mut().expect("models");
        for name in ["text-embedding-3-small", "gpt-3.5-turbo-instruct"] {
            models.push(json!({"id": name, "provider": "openai", "price": "free"}));
        }
    });
    let gateway = Arc::new(Gateway::start(setup).await);
    run_cases!(
        gateway,
        [calls_to_openai, calls_to_others, calls_to_the_fake]
    );
}

async fn calls_to_openai(gateway: Arc<Gateway>) {
    openai_calls(gateway.url("/v1"), &[]).await;
}

async fn calls_to_others(gateway: Arc<Gateway>) {
    let calls = [
        "embeddings=gemini/gemini-embedding-001",
        "embeddings=mistral/mistral-embed",
        "completions=claude-3-sonnet",
        "completions=gemini/gemini-3-pro",
        "responses=claude-3-sonnet",
        "response_streams=claude-3-sonnet",
        "responses=gemini/gemini-3-pro",
        "response_streams=gemini/gemini-3-pro",
    ];
    openai_calls(gateway.url("/v1"), &calls).await;
}

/// What the cases ask for is what OpenAI's own package asks for, not what Weir makes of it.
async fn calls_to_the_fake(gateway: Arc<Gateway>) {
    openai_calls(gateway.provider.url("/v1"), &[]).await;
}

async fn openai_calls(base_url: String, calls: &[&str]) {
    let arguments = [base_url, KEY.to_owned()];
    let calls = calls.iter().map(|call| (*call).to_owned());
    python("openai_calls.py", arguments.into_iter().chain(calls)).await;
}

/// Runs a script of `tests/python`.
pub(crate) async fn python(script: &str, arguments: impl IntoIterator<Item = String>) {
    let mut command = of_python(script);
    command.args(arguments);
    ended(command).await;
}

/// Runs a script of `tests/node` with any model.
pub(crate) async fn node(script: &str, gateway: &Gateway, models: &[&str]) {
    let mut command = of_node(script);
    command.args([&gateway.url(""), KEY, &gateway.provider.url("")]);
    command.args(models);
    ended(command).await;
}

fn of_node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(artefact::node().join(script));
    command
}

fn of_python(script: &str) -> Command {
    let mut command = Command::new(artefact::python());
    command.arg(artefact::root().join("tests/python").join(script));
    command
}

async fn ended(mut command: Command) {
    let ended = tokio::task::spawn_blocking(move || run(&mut command)).await;
    let (status, stdout, stderr) = ended.expect("a command");
    println!("{stdout}");
    assert!(status.success(), "{stdout}\n{stderr}");
}

/// Who installs the tests reaches the registry that is theirs, not ours.
#[test]
fn the_lock_file_names_no_registry() {
    let lock = std::fs::read_to_string(artefact::root().join("tests/node/package-lock.json"));
    assert!(!lock.expect("a lock file").contains("\"resolved\""));
}
