//! A whole gateway: fake provider, sidecar, Envoy with the filter.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::artefact;
use crate::client::{Answer, Ask, prompt};
use crate::process::{Process, run};
use crate::provider::FakeProvider;
use crate::setup::{ADMIN_TOKEN, ENVIRONMENT, KEY, Ports, Setup};
use crate::stores::{Store, Stores};

/// Longest time until a gateway answers.
const START_PATIENCE: Duration = Duration::from_secs(180);

/// A running gateway; dropping it ends every process.
pub struct Gateway {
    /// Where everybody listens.
    pub ports: Ports,
    /// The provider behind it.
    pub provider: FakeProvider,
    /// One connection pool for all cases.
    pub http: reqwest::Client,
    /// Configuration, data and logs.
    pub folder: PathBuf,
    /// Its own Redis and PostgreSQL, when it was set up over such.
    pub stores: Option<Stores>,
    config: PathBuf,
    envoy: Mutex<Process>,
    sidecar: Mutex<Process>,
    keep: Option<tempfile::TempDir>,
}

impl Gateway {
    /// Starts one and waits until every worker answers.
    pub async fn start(mut setup: Setup) -> Gateway {
        let stores = (setup.store == Store::Shared).then(Stores::start);
        if let Some(config) = stores.as_ref().map(Stores::config) {
            setup = setup.with(move |whole| whole["store"] = config);
        }
        let keep = tempfile::Builder::new()
            .prefix("weir-e2e-")
            .tempdir()
            .expect("temp dir");
        let folder = keep.path().to_owned();
        let provider = FakeProvider::start(&folder);
        let ports = Ports::free();
        let workers = setup.workers;
        let ca = setup.ca.clone();
        let data = folder.join("data");
        let written = setup.config(&provider.url(""), &ports, &data.display().to_string());
        let config = folder.join("weir.yaml");
        std::fs::write(&config, format!("{written:#}")).expect("weir.yaml");
        let sidecar = start_sidecar(&config, &folder);
        let envoy_config = render(&config, ca.as_deref(), &folder);
        let envoy = start_envoy(&envoy_config, workers, &folder);
        let gateway = Gateway {
            ports,
            provider,
            http: reqwest::Client::builder()
                .pool_max_idle_per_host(64)
                .build()
                .expect("client"),
            folder,
            stores,
            config,
            envoy: Mutex::new(envoy),
            sidecar: Mutex::new(sidecar),
            keep: Some(keep),
        };
        gateway.ready().await;
        gateway
    }

    /// Waits until `/health` is good and many fresh connections (so, each worker) list models.
    pub async fn ready(&self) {
        let started = Instant::now();
        let mut in_a_row = 0;
        let mut last = String::new();
        while in_a_row < 12 {
            assert!(
                started.elapsed() < START_PATIENCE,
                "not ready: {last}\n{}",
                self.logs(40)
            );
            for process in [&self.envoy, &self.sidecar] {
                let ended = process.lock().expect("process").ended();
                assert!(
                    ended.is_none(),
                    "ended early, {ended:?}:\n{}",
                    self.logs(60)
                );
            }
            // A fresh client has a fresh connection, which the kernel gives to any worker.
            let fresh = reqwest::Client::new();
            let health = fresh
                .get(self.url("/health"))
                .send()
                .await
                .map(|answer| answer.status());
            let models = fresh
                .get(self.url("/v1/models"))
                .bearer_auth(KEY)
                .send()
                .await;
            let models = models.map(|answer| answer.status());
            if matches!((&health, &models), (Ok(h), Ok(m)) if h.is_success() && m.is_success()) {
                in_a_row += 1;
            } else {
                in_a_row = 0;
                last = format!("/health {health:?}, /v1/models {models:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// The public address and `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.listen)
    }

    /// A chat request with [`KEY`].
    pub fn chat(&self, body: &Value) -> Ask {
        self.chat_bytes(body.to_string()).key(KEY)
    }

    /// A chat request with another key.
    pub fn chat_as(&self, key: &str, body: &Value) -> Ask {
        self.chat_bytes(body.to_string()).key(key)
    }

    /// A chat request of these bytes, without a key.
    pub fn chat_bytes(&self, body: impl Into<reqwest::Body>) -> Ask {
        let builder = self.http.post(self.url("/v1/chat/completions"));
        Ask {
            builder: builder
                .header("content-type", "application/json")
                .body(body),
        }
    }

    /// `POST path` with [`KEY`] and a JSON body.
    pub fn post(&self, path: &str, body: &Value) -> Ask {
        self.post_as(KEY, path, body)
    }

    /// `POST path` with another key.
    pub fn post_as(&self, key: &str, path: &str, body: &Value) -> Ask {
        let builder = self.http.post(self.url(path)).json(body);
        Ask { builder }.key(key)
    }

    /// `GET path` without a key.
    pub fn get(&self, path: &str) -> Ask {
        Ask {
            builder: self.http.get(self.url(path)),
        }
    }

    /// A call of the admin interface with its token.
    pub async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let method = method.parse().expect("method");
        let mut builder = self
            .http
            .request(method, self.url(path))
            .bearer_auth(ADMIN_TOKEN);
        if let Some(body) = body {
            builder = builder.json(&body);
        }
        Ask { builder }.send().await
    }

    /// A new virtual key with these members; returns the key and the whole answer.
    pub async fn new_key(&self, mut members: Value) -> (String, Value) {
        if members.get("name").is_none() {
            members["name"] = json!(crate::client::marker());
        }
        let answer = self
            .admin("POST", "/admin/virtual-keys", Some(members))
            .await;
        assert!((200..300).contains(&answer.status), "{answer}");
        let record = answer.json();
        let key = record["virtual_key"]
            .as_str()
            .expect("virtual_key")
            .to_owned();
        (key, record)
    }

    /// The metrics: name with labels to value.
    pub async fn metrics(&self) -> BTreeMap<String, f64> {
        let text = self.get("/metrics").send().await.good().text();
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        lines
            .filter_map(|line| {
                let (name, value) = line.rsplit_once(' ')?;
                Some((name.to_owned(), value.parse().ok()?))
            })
            .collect()
    }

    /// A counter or gauge of Envoy itself.
    pub async fn envoy_stat(&self, name: &str) -> Option<u64> {
        let url = format!(
            "http://127.0.0.1:{}/stats?filter={name}",
            self.ports.envoy_admin
        );
        let text = self.http.get(url).send().await.ok()?.text().await.ok()?;
        text.lines()
            .find_map(|line| line.split_once(": ")?.1.trim().parse().ok())
    }

    /// Asserts that no VM has trapped and that the gateway still answers.
    pub async fn assert_sound(&self) {
        let log = self.envoy.lock().expect("envoy").output();
        let bad = [
            "panicked",
            "Proxy-Wasm plugin in-VM backtrace",
            "Function: proxy_",
            "wasm trap",
        ];
        let traps: Vec<&str> = log
            .lines()
            .filter(|line| bad.iter().any(|word| line.contains(word)))
            .collect();
        assert!(traps.is_empty(), "the VM trapped:\n{}", traps.join("\n"));
        self.chat(&prompt("gpt-4o-mini", "still there?"))
            .send()
            .await
            .good();
    }

    /// Which of the two deployments it is.
    pub fn store(&self) -> Store {
        match self.stores {
            Some(_) => Store::Shared,
            None => Store::Embedded,
        }
    }

    /// Everything the sidecar has logged.
    pub fn sidecar_log(&self) -> String {
        self.sidecar.lock().expect("sidecar").output()
    }

    /// Everything Envoy has logged.
    pub fn envoy_log(&self) -> String {
        self.envoy.lock().expect("envoy").output()
    }

    /// Process id of the sidecar.
    pub fn sidecar_id(&self) -> u32 {
        self.sidecar.lock().expect("sidecar").id()
    }

    /// `kill -9` of the sidecar.
    pub fn kill_sidecar(&self) {
        self.sidecar.lock().expect("sidecar").kill();
    }

    /// Starts the sidecar again on the same data.
    pub fn restart_sidecar(&self) {
        *self.sidecar.lock().expect("sidecar") = start_sidecar(&self.config, &self.folder);
    }

    /// The state service's own database.
    pub fn ledger(&self) -> PathBuf {
        let data = self.folder.join("data");
        let entries = std::fs::read_dir(&data).expect("data");
        let mut files = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let database = files.find(|path| {
            let name = path
                .extension()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            matches!(name, "db" | "sqlite" | "sqlite3")
        });
        database.unwrap_or_else(|| panic!("no database in {}", data.display()))
    }

    fn logs(&self, lines: usize) -> String {
        let tail = |name: &str, process: &Mutex<Process>| {
            let tail = process
                .lock()
                .map_or_else(|_| String::new(), |process| process.tail(lines));
            format!("--- {name}\n{tail}")
        };
        format!(
            "{}\n{}",
            tail("sidecar", &self.sidecar),
            tail("envoy", &self.envoy)
        )
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let folder = self.keep.take().map(tempfile::TempDir::keep);
            eprintln!("logs are kept in {}", folder.unwrap_or_default().display());
            eprintln!("{}", self.logs(12));
        }
    }
}

/// The `weir` program with the test's environment.
pub fn weir() -> Command {
    let mut command = Command::new(artefact::weir());
    in_environment(&mut command);
    command
}

fn in_environment(command: &mut Command) {
    command.envs(ENVIRONMENT.iter().copied());
    // Stores of whoever runs the tests are none of theirs.
    for name in ["DATABASE_URL", "LLM_GATEWAY_DB_URL", "REDIS_URL"] {
        command.env_remove(name);
    }
}

pub(crate) fn start_sidecar(config: &Path, folder: &Path) -> Process {
    // A file that may not grow is an error then, and not the end.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    command.arg(artefact::weir());
    in_environment(&mut command);
    command
        .current_dir(folder)
        .arg("serve")
        .arg("--config")
        .arg(config);
    Process::start(&mut command, &folder.join("sidecar.log"))
}

pub(crate) fn render(config: &Path, ca: Option<&Path>, folder: &Path) -> PathBuf {
    let mut command = weir();
    command
        .current_dir(folder)
        .arg("render")
        .arg("--config")
        .arg(config);
    command.arg("--wasm").arg(artefact::wasm());
    if let Some(ca) = ca {
        command.arg("--ca").arg(ca);
    }
    let (status, stdout, stderr) = run(&mut command);
    assert!(status.success(), "weir render: {stderr}{stdout}");
    let path = folder.join("envoy.yaml");
    std::fs::write(&path, stdout).expect("envoy.yaml");
    path
}

pub(crate) fn start_envoy(config: &Path, workers: u32, folder: &Path) -> Process {
    let mut command = Command::new(artefact::envoy());
    command.current_dir(folder).arg("-c").arg(config);
    command.args([
        "--concurrency",
        &workers.to_string(),
        "--disable-hot-restart",
        "-l",
        &std::env::var("WEIR_ENVOY_LOG").unwrap_or_else(|_| "warn".to_owned()),
    ]);
    Process::start(&mut command, &folder.join("envoy.log"))
}
