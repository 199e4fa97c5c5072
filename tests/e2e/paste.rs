//! The printed pieces, pasted into an Envoy that somebody already runs.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::artefact;
use e2e::client::{Ask, marker, prompt};
use e2e::gateway::{Gateway, weir};
use e2e::process::{Process, free_port, run};
use e2e::setup::{KEY, Setup};
use serde_json::json;

/// An Envoy with a route of its owner's. `@places@` are where the pieces go.
const EXISTING: &str = r#"
static_resources:
  listeners:
  - name: existing
    address: {socket_address: {address: 127.0.0.1, port_value: @port@}}
    per_connection_buffer_limit_bytes: 34603008
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: existing
          use_remote_address: true
          http_filters:
@filter@
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            name: existing
            cluster_specifier_plugins:
@plugins@
            virtual_hosts:
            - name: existing
              domains: ["127.0.0.1:@port@"]
              include_attempt_count_in_response: true
              request_headers_to_remove: [x-forwarded-for, x-forwarded-proto, x-envoy-external-address, x-request-id, x-weir-idle]
              routes:
              - match: {path: /own}
                direct_response: {status: 200, body: {inline_string: "own"}}
@own@
@routes@
  clusters:
@clusters@
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pieces_work_in_an_envoy_that_is_already_there() {
    let gateway = Gateway::start(Setup::default()).await;
    let port = free_port();
    let route = piece(&gateway.folder, "route");
    let pasted = [
        (
            "@filter@",
            items(&piece(&gateway.folder, "filter"), "http_filters:", 10),
        ),
        ("@plugins@", items(&route, "cluster_specifier_plugins:", 12)),
        ("@own@", switched_off(16)),
        ("@routes@", items(&route, "  routes:", 12)),
        (
            "@clusters@",
            items(&piece(&gateway.folder, "cluster"), "clusters:", 2),
        ),
        ("@port@", port.to_string()),
    ];
    let text = pasted
        .iter()
        .fold(EXISTING.to_owned(), |text, (place, piece)| {
            text.replace(place, piece)
        });
    let path = gateway.folder.join("existing.yaml");
    std::fs::write(&path, text).expect("existing.yaml");
    let mut envoy = Command::new(artefact::envoy());
    envoy.arg("-c").arg(&path);
    envoy.args(["--concurrency", "1", "--disable-hot-restart", "-l", "warn"]);
    let mut envoy = Process::start(&mut envoy, &gateway.folder.join("existing.log"));
    let url = format!("http://127.0.0.1:{port}");
    ready(&mut envoy, &url).await;

    let own = reqwest::get(format!("{url}/own")).await.expect("own");
    assert_eq!(own.text().await.expect("text"), "own");
    let mark = marker();
    let chat = |config: Option<serde_json::Value>| {
        let body = prompt("gpt-4o-mini", &mark).to_string();
        let builder = reqwest::Client::new()
            .post(format!("{url}/v1/chat/completions"))
            .body(body);
        let config = config.unwrap_or_else(|| json!({}));
        Ask { builder }.key(KEY).config(&config).send()
    };
    chat(None).await.good();
    let host = gateway.provider.url("");
    for seen in gateway.provider.requests(&mark).await {
        assert_eq!(seen.header("host"), host.strip_prefix("http://"));
    }
    let fallback = json!({"strategy": "fallback", "targets": [
        {"provider": "openai", "model": "fault-500"}, {"provider": "anthropic", "model": "claude-3-sonnet"}]});
    let answer = chat(Some(fallback)).await;
    answer.good();
    assert_eq!(
        answer.header("x-weir-provider"),
        Some("anthropic"),
        "{answer}"
    );
}

/// What `weir render NAME` prints.
fn piece(folder: &Path, name: &str) -> String {
    let mut command = weir();
    command.args(["render", name, "--config"]);
    command.arg(folder.join("weir.yaml"));
    command.arg("--wasm").arg(artefact::wasm());
    let (status, stdout, stderr) = run(&mut command);
    assert!(status.success(), "{stderr}");
    stdout
}

/// The list under `heading`, its items moved to the right by `indent`.
fn items(piece: &str, heading: &str, indent: usize) -> String {
    let depth = heading.len() - heading.trim_start().len();
    let within = |line: &&str| {
        line.is_empty()
            || line.starts_with(&" ".repeat(depth + 1))
            || line[depth..].starts_with("- ")
    };
    let list = piece.lines().skip_while(|line| *line != heading).skip(1);
    let moved: Vec<String> = list
        .take_while(within)
        .map(|line| format!("{}{line}", " ".repeat(indent)))
        .collect();
    assert!(!moved.is_empty(), "nothing under {heading} in\n{piece}");
    moved.join("\n")
}

/// What the README says of routes that are not Weir's.
fn switched_off(indent: usize) -> String {
    let readme = std::fs::read_to_string(artefact::root().join("README.md")).expect("README.md");
    let mut blocks = readme.split("```yaml\n").skip(1);
    let block = blocks.find(|block| block.starts_with("typed_per_filter_config:"));
    let block = block
        .and_then(|block| block.split("```").next())
        .expect("the block");
    let lines = block
        .lines()
        .map(|line| format!("{}{line}", " ".repeat(indent)));
    lines.collect::<Vec<_>>().join("\n")
}

async fn ready(envoy: &mut Process, url: &str) {
    let started = Instant::now();
    loop {
        let models = reqwest::Client::new().get(format!("{url}/v1/models"));
        let answer = models.bearer_auth(KEY).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        assert!(envoy.ended().is_none(), "{}", envoy.output());
        assert!(
            started.elapsed() < Duration::from_secs(40),
            "{}",
            envoy.output()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_that_keeps_bodies_back_says_so() {
    let gateway = Gateway::start(Setup::default().workers(1)).await;
    let text = std::fs::read_to_string(gateway.folder.join("envoy.yaml")).expect("envoy.yaml");
    let (port, admin) = (free_port(), free_port());
    let text = text
        .replace(
            "allow_on_headers_stop_iteration: true",
            "allow_on_headers_stop_iteration: false",
        )
        .replace(
            &format!("port_value: {}", gateway.ports.listen),
            &format!("port_value: {port}"),
        )
        .replace(
            &format!("port_value: {}", gateway.ports.envoy_admin),
            &format!("port_value: {admin}"),
        );
    let path = gateway.folder.join("without.yaml");
    std::fs::write(&path, text).expect("without.yaml");
    let mut envoy = Command::new(artefact::envoy());
    envoy.arg("-c").arg(&path);
    envoy.args(["--concurrency", "1", "--disable-hot-restart", "-l", "warn"]);
    let envoy = Process::start(&mut envoy, &gateway.folder.join("without.log"));
    let started = Instant::now();
    let models = format!("http://127.0.0.1:{port}/v1/models");
    while !matches!(
        gateway.http.get(&models).bearer_auth(KEY).send().await,
        Ok(answer) if answer.status().is_success()
    ) {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{}",
            envoy.output()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let asked = Instant::now();
    let url = format!("http://127.0.0.1:{port}/v1/chat/completions");
    let body = prompt("gpt-4o-mini", &marker()).to_string();
    let builder = gateway.http.post(&url).body(body);
    let answer = Ask { builder }.key(KEY).send().await;
    answer.refused(500, "filter_misconfigured");
    assert!(
        asked.elapsed() < Duration::from_secs(9),
        "{:?}",
        asked.elapsed()
    );
    assert!(envoy.output().contains("allow_on_headers_stop_iteration"));
}
