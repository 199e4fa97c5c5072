//! A running service in a folder of its own.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use test_servers::postgres::Postgres;
use test_servers::redis::Redis;

pub(crate) const TOKEN: &str = "admin-token-of-the-test";
/// The key that the configuration names.
pub(crate) const FILE_KEY: &str = "vk-from-the-file-0123456789";

const CONFIG: &str = "
listen: 127.0.0.1:8000
data: DATA
admin_token: {env: WEIR_ADMIN_TOKEN}
sidecar: {internal: unix:DATA/internal.sock, admin: unix:DATA/admin.sock, leases: LEASES}
providers: [{name: local, dialect: openai, base_url: http://127.0.0.1:9/v1}]
models: [{id: m, provider: local, model: m, context: 1000, max_output: 100, price: {input: 1, output: 2}}]
defaults: {provider: local}
budgets: [{scope: global, limit_usd: 1000, period: monthly}]
virtual_keys: [{name: file, key: {env: WEIR_CI_KEY}, provider: local, rate_limit: 3}]
";

/// A service; killed when dropped.
pub(crate) struct Service {
    child: Child,
    folder: PathBuf,
}

/// Status and body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn good(self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }
}

impl Service {
    /// Starts on what `folder` holds, and waits until it answers.
    pub(crate) fn start(folder: &Path) -> Service {
        Service::start_with(folder, true)
    }

    /// The same, with leases or without.
    pub(crate) fn start_with(folder: &Path, leases: bool) -> Service {
        Service::start_on(folder, leases, "", &[])
    }

    /// The same with more of a configuration and an environment.
    pub(crate) fn start_on(
        folder: &Path,
        leases: bool,
        more: &str,
        environment: &[(&str, &str)],
    ) -> Service {
        let service = Service::spawn(folder, leases, more, environment);
        let answers = || {
            let health = service.try_admin("GET", "/health", None);
            let answers = health.is_some_and(|answer| answer.status == 200);
            if !answers {
                std::thread::sleep(Duration::from_millis(20));
            }
            answers
        };
        assert!((0..1_000).any(|_| answers()), "the service does not answer");
        service
    }

    /// The same without waiting.
    pub(crate) fn spawn(
        folder: &Path,
        leases: bool,
        more: &str,
        environment: &[(&str, &str)],
    ) -> Service {
        let data = folder.join("data");
        let config = folder.join("weir.yaml");
        let text = CONFIG.replace("DATA", data.to_str().unwrap());
        // Budgets of a test are in place of those here.
        let own = |line: &&str| !(more.contains("budgets:") && line.starts_with("budgets:"));
        let text: Vec<&str> = text.lines().filter(own).collect();
        let mut text = format!("{}\n{more}", text.join("\n"));
        let stores = std::fs::read_to_string(folder.join(STORES)).unwrap_or_default();
        if stores.ends_with(CLUSTER) {
            text.push_str("store: {redis_cluster: true}\n");
        }
        std::fs::write(&config, text.replace("LEASES", &leases.to_string())).unwrap();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("log"));
        // A file that may not grow is an error then, and not the end.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
        command.arg(env!("CARGO_BIN_EXE_weir"));
        // Stores of whoever runs the tests are none of theirs.
        for name in ["DATABASE_URL", "LLM_GATEWAY_DB_URL", "REDIS_URL"] {
            command.env_remove(name);
        }
        let child = command
            .args(["serve", "--config"])
            .arg(&config)
            .envs(shared_stores(folder))
            .envs(environment.iter().copied())
            .env("WEIR_ADMIN_TOKEN", TOKEN)
            .env("WEIR_CI_KEY", FILE_KEY)
            .stdout(log.unwrap())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Service {
            child,
            folder: folder.to_owned(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The code it ends with by itself.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.child.wait().unwrap().code()
    }

    /// SIGSTOP: connections stay open and nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Goes on after [`Service::freeze`].
    pub(crate) fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }

    pub(crate) fn internal_socket(&self) -> PathBuf {
        self.data().join("internal.sock")
    }

    pub(crate) fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.try_admin(method, path, body.map(|body| body.to_string()))
            .unwrap()
    }

    pub(crate) fn try_admin(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
    ) -> Option<Answer> {
        let authorization = format!("authorization: Bearer {TOKEN}\r\n");
        let body = body.unwrap_or_default();
        call(
            &self.data().join("admin.sock"),
            method,
            path,
            &authorization,
            &body,
        )
    }

    pub(crate) fn internal(&self, path: &str, body: &Value) -> Answer {
        internal(&self.internal_socket(), path, body).unwrap()
    }

    /// A new key; id and key.
    pub(crate) fn new_key(&self, members: Value) -> (String, String) {
        let key = self
            .admin("POST", "/admin/virtual-keys", Some(members))
            .good();
        (
            key["id"].as_str().unwrap().to_owned(),
            key["virtual_key"].as_str().unwrap().to_owned(),
        )
    }
}

/// Runs a test on stores of the service's own, and on those that several services share.
pub(crate) fn on_both(test: impl Fn(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    test(folder.path());
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start();
    let _postgres = share(folder.path(), &redis.url());
    test(folder.path());
}

/// Names the stores that services in a folder share.
const STORES: &str = "stores";
/// What follows the address of a cluster there.
const CLUSTER: &str = " cluster";

/// Services in this folder share a Redis: its address, and `cluster` where it is one.
/// Beside it they have a PostgreSQL, which ends with what is returned.
pub(crate) fn share(folder: &Path, redis: &str) -> Postgres {
    let postgres = Postgres::start();
    let stores = format!("{} {redis}", postgres.url());
    std::fs::write(folder.join(STORES), stores).unwrap();
    postgres
}

/// Whether services in a folder share their stores with others.
pub(crate) fn shares(folder: &Path) -> bool {
    folder.join(STORES).exists()
}

fn shared_stores(folder: &Path) -> Vec<(&'static str, String)> {
    let stores = std::fs::read_to_string(folder.join(STORES)).unwrap_or_default();
    let Some((postgres, redis)) = stores.split_once(' ') else {
        return Vec::new();
    };
    let redis = redis.trim_end_matches(CLUSTER);
    vec![
        ("REDIS_URL", redis.to_owned()),
        ("DATABASE_URL", postgres.to_owned()),
    ]
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Asks the filter's interface; `None` when the service is gone.
pub(crate) fn internal(socket: &Path, path: &str, body: &Value) -> Option<Answer> {
    call(
        socket,
        "POST",
        &format!("/internal/v1/{path}"),
        "",
        &body.to_string(),
    )
}

pub(crate) fn call(
    socket: &Path,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Option<Answer> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, text) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        text: text.to_owned(),
    })
}

/// An admission that holds `input_nano` and no more.
pub(crate) fn admit(exchange: &str, key: &str, input_nano: i64) -> Value {
    json!({
        "exchange": exchange, "key": key, "at_ms": 1, "choices": 1, "tokens_in": 3, "output_cap": 0,
        "targets": [{"provider": "local", "model": "m", "input_nano": input_nano,
                     "output_nano_per_mtok": 1, "output_max": 100}],
    })
}

pub(crate) fn record(exchange: &str, key: &str, cost_nano: i64) -> Value {
    json!({
        "exchange": exchange, "trace_id": exchange, "key": key, "at_ms": 1, "duration_ms": 5,
        "provider": "local", "model": "m", "status": 200, "ending": "done", "stream": false,
        "attempts": 1, "usage": {"input": 3, "output": 4}, "metered": false,
        "cost_nano": cost_nano, "cache": "miss", "pii": [["EMAIL", 1]],
    })
}
