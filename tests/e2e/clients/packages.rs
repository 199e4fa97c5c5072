//! The packages that people install, as scripts in their own languages, with providers that speak
//! another format than the client does.

use std::process::Command;
use std::sync::Arc;

use e2e::artefact;
use e2e::gateway::Gateway;
use e2e::process::run;
use e2e::run_cases;
use e2e::setup::KEY;

/// Providers with formats of their own.
const MODELS: [&str; 3] = ["gpt-4o-mini", "claude-3-sonnet", "gemini/gemini-3-pro"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_work_with_every_format() {
    let gateway = Arc::new(Gateway::start(crate::providers::setup()).await);
    run_cases!(gateway, [openai_node, vercel, langchain]);
}

async fn openai_node(gateway: Arc<Gateway>) {
    node("openai.mjs", &gateway).await;
}

async fn vercel(gateway: Arc<Gateway>) {
    node("vercel.mjs", &gateway).await;
}

async fn langchain(gateway: Arc<Gateway>) {
    let arguments = [gateway.url("/v1"), KEY.to_owned()];
    let models = MODELS.map(str::to_owned);
    python("langchain_chat.py", arguments.into_iter().chain(models)).await;
}

async fn node(script: &str, gateway: &Gateway) {
    let mut command = Command::new("node");
    command.arg(artefact::node().join(script));
    command.args([&gateway.url(""), KEY, &gateway.provider.url("")]);
    command.args(MODELS);
    ended(command).await;
}

/// Runs a script of `tests/python`.
pub(crate) async fn python(script: &str, arguments: impl IntoIterator<Item = String>) {
    let mut command = Command::new(artefact::python());
    command.arg(artefact::root().join("tests/python").join(script));
    command.args(arguments);
    ended(command).await;
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
