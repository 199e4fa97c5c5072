//! The `weir` program as a person meets it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::artefact;
use e2e::client::{Ask, prompt};
use e2e::gateway::weir;
use e2e::process::{Process, free_port, run};
use e2e::setup::{Ports, Setup};
use serde_json::{Value, json};

fn written(folder: &Path, text: &str) -> std::path::PathBuf {
    let path = folder.join("weir.yaml");
    std::fs::write(&path, text).expect("weir.yaml");
    path
}

fn example() -> String {
    let port = free_port;
    let ports = Ports {
        listen: port(),
        internal: port(),
        admin: port(),
        envoy_admin: port(),
        dead: port(),
    };
    let config = Setup::default().config("http://127.0.0.1:9", &ports, "./data");
    format!("{config:#}")
}

fn check(folder: &Path, text: &str) -> (bool, String) {
    let path = written(folder, text);
    let mut command = weir();
    command
        .current_dir(folder)
        .env("ENVOY_BIN", artefact::envoy());
    command
        .arg("check")
        .arg("--config")
        .arg(path)
        .arg("--wasm")
        .arg(artefact::wasm());
    let (status, stdout, stderr) = run(&mut command);
    (status.success(), stdout + &stderr)
}

#[test]
fn check_accepts_what_works() {
    let folder = tempfile::tempdir().expect("temp dir");
    let (good, output) = check(folder.path(), &example());
    assert!(good, "{output}");
}

#[test]
fn check_names_line_and_likely_member() {
    let folder = tempfile::tempdir().expect("temp dir");
    for (text, line, words) in [
        (
            "listen: 127.0.0.1:8000\nprovders: []\n",
            2,
            ["provders", "providers"],
        ),
        (
            "listen: 127.0.0.1:8000\n\ndefaults:\n  request_timeout: 5\n",
            4,
            ["request_timeout", "request_timeout_ms"],
        ),
        (
            "providers:\n  - {name: a, dialect: opnai, base_url: http://127.0.0.1:9/v1}\n",
            2,
            ["opnai", "openai"],
        ),
        (
            "virtual_keys:\n  - name: ci\n    key: vk-x\n    rate_limt: 5\n",
            4,
            ["rate_limt", "rate_limit"],
        ),
    ] {
        let (good, output) = check(folder.path(), text);
        assert!(!good, "{text} was accepted: {output}");
        assert!(output.contains(&line.to_string()), "line {line}: {output}");
        assert!(
            words.iter().all(|word| output.contains(word)),
            "{words:?}: {output}"
        );
    }
}

#[test]
fn rendering_is_deterministic_and_valid() {
    let folder = tempfile::tempdir().expect("temp dir");
    let config = written(folder.path(), &example());
    let render = || {
        let mut command = weir();
        command
            .arg("render")
            .arg("--config")
            .arg(&config)
            .arg("--wasm")
            .arg(artefact::wasm());
        let (status, stdout, stderr) = run(command.current_dir(folder.path()));
        assert!(status.success(), "{stderr}");
        stdout
    };
    let first = render();
    assert_eq!(first, render());
    let path = folder.path().join("envoy.yaml");
    std::fs::write(&path, first).expect("envoy.yaml");
    let mut envoy = Command::new(artefact::envoy());
    let (status, stdout, stderr) = run(envoy.args(["--mode", "validate", "-c"]).arg(&path));
    assert!(status.success(), "{stdout}{stderr}");
}

#[test]
fn committed_envoy_configuration_is_fresh() {
    let root = artefact::root();
    let mut command = Command::new(artefact::weir());
    command
        .current_dir(&root)
        .args(["render", "--config", "weir.yaml"]);
    let (status, stdout, stderr) = run(&mut command);
    assert!(status.success(), "{stderr}");
    let committed =
        std::fs::read_to_string(root.join("envoy/envoy.yaml")).expect("envoy/envoy.yaml");
    assert_eq!(
        committed, stdout,
        "envoy/envoy.yaml is not what `weir render` prints now"
    );
}

/// `weir up` in a folder of its own.
struct Up {
    process: Process,
    dev: Value,
}

async fn up(folder: &Path, port: u16) -> Up {
    let dev_path = folder.join("data/dev.json");
    let _ = std::fs::remove_file(&dev_path);
    let mut command = Command::new(artefact::weir());
    command
        .current_dir(folder)
        .env("ENVOY_BIN", artefact::envoy());
    command
        .env_remove("OPENAI_API_KEY")
        .env_remove("ANTHROPIC_API_KEY");
    command.args(["up", "--config", "weir.yaml", "--port", &port.to_string()]);
    command.arg("--wasm").arg(artefact::wasm());
    let mut process = Process::start(&mut command, &folder.join("up.log"));
    let started = Instant::now();
    loop {
        assert!(
            started.elapsed() < Duration::from_secs(40),
            "{}",
            process.output()
        );
        assert!(
            process.ended().is_none(),
            "ended early: {}",
            process.output()
        );
        let dev = std::fs::read(&dev_path).ok();
        let dev: Option<Value> = dev.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(dev) = dev {
            let health = format!("{}/health", dev["url"].as_str().unwrap_or_default());
            if reqwest::get(health)
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return Up { process, dev };
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // A kill would leave its children behind.
        let _ = self.process.stop("TERM", Duration::from_secs(5));
    }
}

impl Up {
    fn text(&self, member: &str) -> &str {
        self.dev[member]
            .as_str()
            .unwrap_or_else(|| panic!("{member}: {}", self.dev))
    }

    async fn chat(&self, stream: bool) -> e2e::client::Answer {
        let mut body = prompt("demo", "Xin chào!");
        body["stream"] = json!(stream);
        let url = format!("{}/v1/chat/completions", self.text("url"));
        let builder = reqwest::Client::new().post(url).body(body.to_string());
        Ask { builder }.key(self.text("virtual_key")).send().await
    }

    async fn spent(&self) -> f64 {
        let url = format!("{}/admin/virtual-keys", self.text("url"));
        let builder = reqwest::Client::new()
            .get(url)
            .bearer_auth(self.text("admin_token"));
        let list = Ask { builder }.send().await;
        list.good();
        let list = list.json();
        let keys = list
            .as_array()
            .or(list["data"].as_array())
            .or(list["virtual_keys"].as_array());
        keys.expect("keys")
            .iter()
            .filter_map(|key| key["spent_usd"].as_f64())
            .sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_runs_everything_and_keeps_it() {
    let folder = tempfile::tempdir().expect("temp dir");
    let shipped = std::fs::read_to_string(artefact::root().join("weir.yaml")).expect("weir.yaml");
    let envoy_admin = format!("127.0.0.1:{}", free_port());
    written(
        folder.path(),
        &shipped.replace("127.0.0.1:9901", &envoy_admin),
    );
    let port = free_port();
    let mut first = up(folder.path(), port).await;
    for member in [
        "url",
        "virtual_key",
        "admin_token",
        "admin_url",
        "envoy_admin_url",
    ] {
        assert!(!first.text(member).is_empty());
    }
    assert_eq!(
        first.dev["pid"].as_u64(),
        Some(u64::from(first.process.id()))
    );
    assert!(
        first.text("url").ends_with(&format!(":{port}")),
        "{}",
        first.dev
    );
    let shown = first.process.output();
    assert!(shown.contains("curl"), "a curl to paste: {shown}");
    assert!(
        shown.contains(first.text("virtual_key")),
        "the key: {shown}"
    );
    first.chat(false).await.good();
    assert!(first.chat(true).await.done());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let spent = first.spent().await;
    let ended = first
        .process
        .stop("INT", Duration::from_secs(10))
        .expect("it ends");
    assert!(ended.success(), "{ended:?}: {}", first.process.output());
    assert!(
        std::net::TcpStream::connect(("127.0.0.1", port)).is_err(),
        "Envoy was left behind"
    );

    let mut second = up(folder.path(), port).await;
    assert_eq!(second.text("virtual_key"), first.text("virtual_key"));
    assert_eq!(second.text("admin_token"), first.text("admin_token"));
    assert!(
        (second.spent().await - spent).abs() < 1e-12,
        "spend was forgotten"
    );
    second.chat(false).await.good();
    second
        .process
        .stop("TERM", Duration::from_secs(10))
        .expect("it ends");
}
