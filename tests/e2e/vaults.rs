//! Secrets that vaults keep: they reach providers, a rotated one without a restart, and a vault that
//! does not let us in ends the start with its name.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2e::artefact;
use e2e::client::{marker, prompt};
use e2e::gateway::{Gateway, weir};
use e2e::process::run;
use e2e::provider::FakeProvider;
use e2e::setup::{ADMIN_TOKEN, Setup};
use e2e::vault::{AWS_ID, CLIENT_SECRET, FakeVault, TOKEN};
use serde_json::{Value, json};

use crate::signatures::assert_signed_for;

const AWS_SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const VIRTUAL_KEY: &str = "vk-e2e-kept-in-a-vault-0123456789abcdef";

fn vaults(url: &str) -> Value {
    json!([
        {"name": "main", "provider": "hashicorp", "url": url, "token": TOKEN, "ttl": 1},
        {"name": "azure", "provider": "azure", "url": url, "authority": url, "tenant_id": "t",
         "client_id": "c", "client_secret": CLIENT_SECRET},
        {"name": "aws", "provider": "aws", "url": url, "region": "eu-west-1",
         "access_key_id": AWS_ID, "secret_access_key": AWS_SECRET},
    ])
}

fn setup(url: String) -> Setup {
    Setup::default().with(move |config| {
        let fake = config["providers"][0]["base_url"].as_str().expect("a URL");
        let fake = fake.trim_end_matches("/v1").to_owned();
        let kept = |vault: &str, secret: &str| json!({"vault": {"in": vault, "secret": secret}});
        config["vaults"] = vaults(&url);
        config["admin_token"] = json!({"vault": "weir/admin"});
        config["providers"][0]["api_key"] =
            json!({"vault": {"secret": "ai/openai", "field": "api_key"}});
        config["providers"][0]["headers"] =
            json!({"x-team": {"vault": {"secret": "ai/openai", "field": "team"}}});
        config["providers"][1]["api_key"] = kept("aws", "prod/anthropic");
        let price = json!({"input": 1, "output": 1});
        let azure = json!({"name": "azure", "base_url": format!("{fake}/v1"), "default_price": price,
            "api_key_reference": {"provider": "azure", "vault_url": url, "secret_name": "openai-api-key", "version": "latest"}});
        let bedrock = json!({"name": "bedrock", "dialect": "bedrock", "base_url": format!("{fake}/bedrock"),
            "default_price": price, "aws": {"region": "us-east-1",
            "access_key_id": kept("main", "aws/id"), "secret_access_key": kept("main", "aws/key")}});
        let providers = config["providers"].as_array_mut().expect("providers");
        providers.extend([azure, bedrock]);
        let keys = config["virtual_keys"].as_array_mut().expect("keys");
        keys.push(json!({"name": "kept", "key": kept("main", "weir/key"), "provider": "openai",
            "real_api_key": kept("main", "weir/real")}));
    })
}

async fn filled() -> FakeVault {
    let vault = FakeVault::start().await;
    for (name, secret) in [
        ("weir/admin", json!({"value": ADMIN_TOKEN})),
        ("weir/key", json!({"value": VIRTUAL_KEY})),
        ("weir/real", json!({"value": "sk-real-one"})),
        ("ai/openai", json!({"api_key": "sk-one", "team": "search"})),
        ("aws/id", json!({"value": "AKIASIGNS"})),
        ("aws/key", json!({"value": AWS_SECRET})),
        ("prod/anthropic", json!("sk-ant-aws")),
        ("openai-api-key", json!("sk-azure")),
    ] {
        vault.put(name, secret);
    }
    vault
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn secrets_reach_providers_and_rotate_without_a_restart() {
    let vault = filled().await;
    let gateway = Arc::new(Gateway::start(setup(vault.url())).await);
    every_vault_is_asked(&gateway, &vault).await;

    let (stop, good) = (Arc::new(AtomicBool::new(false)), Arc::clone(&gateway));
    let until = Arc::clone(&stop);
    let meanwhile = tokio::spawn(async move {
        let mut count = 0;
        while !until.load(Ordering::Relaxed) {
            good.chat(&prompt("gpt-4o-mini", "meanwhile"))
                .send()
                .await
                .good();
            count += 1;
        }
        count
    });
    vault.put("ai/openai", json!({"api_key": "sk-two", "team": "search"}));
    becomes(&gateway, None, "Bearer sk-two").await;
    stop.store(true, Ordering::Relaxed);
    let count = meanwhile.await.expect("every request was answered");
    assert!(count > 5, "{count} requests while the key changed");

    vault.put("weir/real", json!({"value": "sk-real-two"}));
    becomes(&gateway, Some(VIRTUAL_KEY), "Bearer sk-real-two").await;

    vault.down(true);
    let failed = "weir_vault_fetches_total{vault=\"main\",result=\"unavailable\"}";
    wait(&gateway, async || {
        gateway.metrics().await.contains_key(failed)
    })
    .await;
    assert_eq!(authorization(&gateway, None).await, "Bearer sk-two");
    let log = gateway.sidecar_log();
    assert!(log.contains("a secret was not refreshed, the last one stays in use"));

    vault.down(false);
    vault.put(
        "ai/openai",
        json!({"api_key": "sk-three", "team": "search"}),
    );
    becomes(&gateway, None, "Bearer sk-three").await;

    vault.put("weir/key", json!({"value": format!("{VIRTUAL_KEY}-2")}));
    let new = format!("{VIRTUAL_KEY}-2");
    wait(&gateway, async || {
        let old = gateway
            .chat_as(VIRTUAL_KEY, &prompt("gpt-4o-mini", "old"))
            .send()
            .await;
        old.status == 401
    })
    .await;
    assert_eq!(
        authorization(&gateway, Some(&new)).await,
        "Bearer sk-real-two"
    );

    gateway
        .admin("GET", "/admin/virtual-keys", None)
        .await
        .good();
    vault.put("weir/admin", json!({"value": "another-admin-token"}));
    wait(&gateway, async || {
        let answer = gateway.admin("GET", "/admin/virtual-keys", None).await;
        answer.status == 401
    })
    .await;
    nothing_is_told(&gateway);
    gateway.assert_sound().await;
}

/// The key with which a request reaches the provider.
async fn authorization(gateway: &Gateway, key: Option<&str>) -> String {
    let mark = marker();
    let body = prompt("gpt-4o-mini", &mark);
    let answer = match key {
        Some(key) => gateway.chat_as(key, &body).send().await,
        None => gateway.chat(&body).send().await,
    };
    answer.good();
    let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
    seen.header("authorization").unwrap_or_default().to_owned()
}

async fn becomes(gateway: &Gateway, key: Option<&str>, wanted: &str) {
    wait(gateway, async || {
        authorization(gateway, key).await == wanted
    })
    .await;
}

/// Waits longer than a secret's time, a vault's tries and a poll of the policy together.
async fn wait(gateway: &Gateway, holds: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !holds().await {
        let log = gateway.sidecar_log();
        assert!(started.elapsed() < Duration::from_secs(20), "never:\n{log}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn every_vault_is_asked(gateway: &Gateway, vault: &FakeVault) {
    let mark = marker();
    let ask = async |provider: &str, model: &str| {
        let route = json!({"provider": provider, "model": model});
        let body = prompt("gpt-4o-mini", &format!("{mark}-{provider}"));
        gateway.chat(&body).config(&route).send().await.good();
        let seen = gateway
            .provider
            .requests(&format!("{mark}-{provider}"))
            .await;
        FakeProvider::only(seen)
    };
    let openai = ask("openai", "gpt-4o-mini").await;
    assert_eq!(openai.header("authorization"), Some("Bearer sk-one"));
    assert_eq!(openai.header("x-team"), Some("search"));
    let anthropic = ask("anthropic", "claude-3-sonnet").await;
    assert_eq!(anthropic.header("x-api-key"), Some("sk-ant-aws"));
    let azure = ask("azure", "gpt-4o-mini").await;
    assert_eq!(azure.header("authorization"), Some("Bearer sk-azure"));
    let bedrock = ask("bedrock", "m").await;
    assert_signed_for("bedrock", &bedrock, "AKIASIGNS", AWS_SECRET, "us-east-1");
    assert_eq!(
        authorization(gateway, Some(VIRTUAL_KEY)).await,
        "Bearer sk-real-one"
    );

    let signed = vault.seen("prod/anthropic");
    let service = "secretsmanager";
    assert_signed_for(service, &signed[0], AWS_ID, AWS_SECRET, "eu-west-1");
    let metrics = gateway.metrics().await;
    for vault in ["main", "azure", "aws"] {
        let name = format!("weir_vault_fetches_total{{vault=\"{vault}\",result=\"ok\"}}");
        assert!(
            metrics.get(&name).is_some_and(|count| *count >= 1.0),
            "{metrics:?}"
        );
    }
}

/// Every access is in the log, and no secret is.
fn nothing_is_told(gateway: &Gateway) {
    let log = gateway.sidecar_log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let lines: Vec<Value> = lines
        .filter(|line: &Value| line["msg"] == "vault access")
        .collect();
    let azure = lines
        .iter()
        .find(|line| line["vault"] == "azure")
        .expect("a line");
    let members: Vec<&str> = ["provider", "secret", "version", "result", "level"]
        .iter()
        .filter_map(|name| azure[name].as_str())
        .collect();
    assert_eq!(members, ["azure", "openai-api-key", "latest", "ok", "info"]);
    assert_eq!(azure["members"], json!(["providers[4].api_key_reference"]));
    let denied = |line: &&Value| line["result"] == "unavailable" && line["level"] == "warn";
    assert!(lines.iter().any(|line| denied(&line)));
    let secrets = [
        TOKEN,
        CLIENT_SECRET,
        AWS_SECRET,
        VIRTUAL_KEY,
        ADMIN_TOKEN,
        "sk-one",
        "sk-two",
        "sk-real",
        "sk-ant",
        "sk-azure",
        "eyJ-e2e",
        "another-admin",
    ];
    for secret in secrets {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

fn command(folder: &Path, config: &Value, arguments: &[&str]) -> Command {
    let path = folder.join("weir.yaml");
    std::fs::write(&path, config.to_string()).expect("weir.yaml");
    let mut command = weir();
    command.current_dir(folder).args(arguments);
    command.arg("--config").arg(path);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_a_secret_fails_and_says_which() {
    let vault = filled().await;
    let url = vault.url();
    let folder = tempfile::tempdir().expect("temp dir");
    let denied = "Key vault authentication failed (HTTP";
    let wrong = "wrong-credential";
    for (index, member, secret, cause) in [
        (0, "token", "weir/admin", format!("{denied} 403)")),
        (
            1,
            "client_secret",
            "openai-api-key",
            format!("{denied} 401)"),
        ),
        (
            2,
            "access_key_id",
            "prod/anthropic",
            format!("{denied} 400)"),
        ),
        (
            0,
            "name",
            "nothing/here",
            "the vault has no such secret".to_owned(),
        ),
        (
            1,
            "name",
            "nothing-here",
            "the vault has no such secret".to_owned(),
        ),
        (
            2,
            "name",
            "nothing-here",
            "the vault has no such secret".to_owned(),
        ),
    ] {
        let mut only = vaults(&url)[index].clone();
        only[member] = wrong.into();
        let provider = only["provider"].as_str().expect("a provider").to_owned();
        let name = only["name"].as_str().expect("a name").to_owned();
        let config = json!({"data": folder.path().join("data"), "vaults": [only], "providers": [
            {"name": "a", "base_url": "http://127.0.0.1:9/v1", "api_key": {"vault": secret}}]});
        let wanted = format!(
            "providers[0].api_key: vault `{name}` ({provider}), secret `{secret}`: {cause}"
        );
        for arguments in [&["serve"][..], &["check", "--online"]] {
            let started = Instant::now();
            let (status, stdout, stderr) = run(&mut command(folder.path(), &config, arguments));
            assert!(!status.success(), "{stdout}");
            assert_eq!(stderr.trim(), wanted, "{stdout}");
            assert!(member == "name" || !stdout.contains(wrong), "{stdout}");
            assert!(started.elapsed() < Duration::from_secs(5));
        }
        let (status, stdout, stderr) = run(&mut command(folder.path(), &config, &["check"]));
        assert!(status.success(), "{stderr}{stdout}");
        assert!(
            stdout.contains(&format!("vault {name} ({provider}): 1 secret\n")),
            "{stdout}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_is_enough_for_a_vault() {
    let vault = filled().await;
    let url = vault.url();
    let folder = tempfile::tempdir().expect("temp dir");
    let azure = [
        ("KEY_VAULT_PROVIDER", "azure"),
        ("AZURE_KEY_VAULT_URL", &url),
        ("AZURE_AUTHORITY_HOST", &url),
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_CLIENT_SECRET", CLIENT_SECRET),
    ];
    let aws = [
        ("KEY_VAULT_PROVIDER", "aws"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &url),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", AWS_ID),
        ("AWS_SECRET_ACCESS_KEY", AWS_SECRET),
    ];
    let hashicorp = [("VAULT_URL", url.as_str()), ("VAULT_TOKEN", TOKEN)];
    for (variables, secret) in [
        (&azure[..], "openai-api-key"),
        (&aws, "prod/anthropic"),
        (&hashicorp, "weir/real"),
    ] {
        let config = json!({"providers": [
            {"name": "a", "base_url": "http://127.0.0.1:9/v1", "api_key": {"vault": secret}}]});
        let mut check = command(folder.path(), &config, &["check", "--online"]);
        check.envs(variables.iter().copied());
        let (status, stdout, stderr) = run(&mut check);
        assert!(status.success(), "{stderr}{stdout}");
        assert!(
            stdout.contains(&format!("secret {secret}: ok\n")),
            "{stdout}"
        );
    }
}

/// What Envoy signs with is in its configuration: without the vault something stands for it.
#[test]
fn a_check_offline_lets_envoy_judge_what_it_signs_with() {
    let folder = tempfile::tempdir().expect("temp dir");
    let config = json!({"vaults": vaults("http://127.0.0.1:9"), "providers": [
        {"name": "a", "dialect": "bedrock", "aws": {"region": "us-east-1",
         "access_key_id": {"vault": "id"}, "secret_access_key": {"vault": "key"}}}]});
    let mut check = command(folder.path(), &config, &["check"]);
    check.env("ENVOY_BIN", artefact::envoy());
    check.arg("--wasm").arg(artefact::wasm());
    let (status, stdout, stderr) = run(&mut check);
    assert!(status.success(), "{stderr}{stdout}");
    assert!(
        stdout.contains("vault main (hashicorp): 2 secrets\n"),
        "{stdout}"
    );
    assert!(stdout.contains("accepts what it renders to"), "{stdout}");
}
