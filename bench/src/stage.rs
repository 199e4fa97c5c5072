//! The programs that take part: provider, plain Envoy, Weir's Envoy, state service.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::Connection;
use crate::prompt;

/// Core of what is measured, and core of everything else.
const MEASURED: &str = "0";
const OTHERS: &str = "1";
const START_PATIENCE: Duration = Duration::from_secs(60);
/// `USER_HZ`, fixed on Linux for programs to read.
const TICKS_PER_SECOND: f64 = 100.0;

/// Through which Envoy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Plain,
    Weir,
}

/// Resident memory in MiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) plain: f64,
    pub(crate) weir: f64,
    pub(crate) sidecar: f64,
}

/// Programs that run. A panic aborts this program: nobody else would end them.
static RUNNING: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Ends every program.
pub(crate) fn stop() {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    for mut child in running.drain(..) {
        let _ = child.kill();
        let _ = child.wait();
    }
}

pub(crate) struct Stage {
    plain: u32,
    envoy: u32,
    sidecar: u32,
    plain_address: SocketAddr,
    weir_address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// Starts everything, each Envoy with `workers`, and waits until it answers.
    pub(crate) async fn start(workers: u32) -> Stage {
        let keep = tempfile::tempdir().expect("a folder");
        let folder = keep.path();
        let provider = free_port();
        let itself = std::env::current_exe().expect("this program");
        spawn(
            OTHERS,
            &itself,
            &["provider", &provider.to_string()],
            folder,
        );

        let plain_address = local(free_port());
        let plain_config = folder.join("plain.json");
        write(&plain_config, &plain(plain_address.port(), provider));
        let plain = envoy(&plain_config, workers, folder);

        let weir_address = local(free_port());
        let config = folder.join("weir.yaml");
        write(&config, &weir(weir_address.port(), provider, folder));
        let program = from_environment("WEIR_BIN");
        let config_argument = config.display().to_string();
        let sidecar = spawn(
            MEASURED,
            &program,
            &["serve", "--config", &config_argument],
            folder,
        );
        let wasm = from_environment("WEIR_WASM").display().to_string();
        let rendered = Command::new(&program)
            .args(["render", "--config", &config_argument, "--wasm", &wasm])
            .output()
            .expect("weir render");
        assert!(
            rendered.status.success(),
            "weir render: {}",
            String::from_utf8_lossy(&rendered.stderr)
        );
        let envoy_config = folder.join("envoy.yaml");
        fs::write(&envoy_config, rendered.stdout).expect("envoy.yaml");
        let envoy = envoy(&envoy_config, workers, folder);

        let stage = Stage {
            plain,
            sidecar,
            envoy,
            plain_address,
            weir_address,
            _folder: keep,
        };
        stage.answers(plain_address).await;
        stage.answers(weir_address).await;
        stage
    }

    async fn answers(&self, address: SocketAddr) {
        let started = Instant::now();
        let request = &prompt::requests(false, false)[0];
        let mut in_a_row = 0;
        while in_a_row < 24 {
            assert!(
                started.elapsed() < START_PATIENCE,
                "{address} does not answer"
            );
            let answered = match Connection::open(address).await {
                Ok(mut connection) => connection.exchange(request).await.ok(),
                Err(_) => None,
            };
            if answered.is_some_and(|answer| answer.status == 200) {
                in_a_row += 1;
            } else {
                in_a_row = 0;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    pub(crate) fn address(&self, side: Side) -> SocketAddr {
        match side {
            Side::Plain => self.plain_address,
            Side::Weir => self.weir_address,
        }
    }

    /// CPU time used so far by the Envoy, and by the state service if it takes part.
    pub(crate) fn cpu(&self, side: Side) -> (Duration, Duration) {
        match side {
            Side::Plain => (cpu_of(self.plain), Duration::ZERO),
            Side::Weir => (cpu_of(self.envoy), cpu_of(self.sidecar)),
        }
    }

    /// Process ids by name.
    pub(crate) fn processes(&self) -> String {
        format!(
            "plain Envoy {}, Weir's Envoy {}, state service {}",
            self.plain, self.envoy, self.sidecar
        )
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory {
            plain: resident_mib(self.plain),
            weir: resident_mib(self.envoy),
            sidecar: resident_mib(self.sidecar),
        }
    }

    /// Whether the programs have cores of their own.
    pub(crate) fn pinned(&self) -> bool {
        can_pin()
    }
}

/// Moves this program to the core of the others.
pub(crate) fn pin_self() {
    if can_pin() {
        let _ = Command::new("taskset")
            .args(["-cp", OTHERS, &std::process::id().to_string()])
            .stdout(Stdio::null())
            .status();
    }
}

fn can_pin() -> bool {
    let taskset = Command::new("taskset").arg("--version").output();
    taskset.is_ok() && std::thread::available_parallelism().is_ok_and(|cores| cores.get() >= 2)
        || fs::read_to_string("/proc/self/status")
            .is_ok_and(|status| status.contains(&format!("Cpus_allowed_list:\t{OTHERS}\n")))
}

fn spawn(core: &str, program: &Path, arguments: &[&str], folder: &Path) -> u32 {
    let mut command = if can_pin() {
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", core]).arg(program);
        pinned
    } else {
        Command::new(program)
    };
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("the log");
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the log"))
        .stderr(log);
    let child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let id = child.id();
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    running.push(child);
    id
}

fn envoy(config: &Path, workers: u32, folder: &Path) -> u32 {
    let config = config.display().to_string();
    let workers = workers.to_string();
    let arguments = [
        "-c",
        &config,
        "--concurrency",
        &workers,
        "--disable-hot-restart",
        "-l",
        "warn",
    ];
    spawn(MEASURED, &from_environment("ENVOY_BIN"), &arguments, folder)
}

fn from_environment(name: &str) -> PathBuf {
    let value =
        std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set; `make bench` sets it"));
    PathBuf::from(value)
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("a port").port()
}

fn write(path: &Path, value: &Value) {
    fs::write(path, format!("{value:#}")).expect("a configuration");
}

/// An Envoy that does nothing but proxy, set up as Weir's own is.
fn plain(port: u16, provider: u16) -> Value {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "plain",
        "use_remote_address": true,
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": true,
        }}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "provider", "timeout": "0s"}},
        ]}]},
    });
    json!({"static_resources": {
        "listeners": [{
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
            }]}],
        }],
        "clusters": [{
            "name": "provider",
            "type": "STATIC",
            "circuit_breakers": {"thresholds": [{"max_connections": 100_000, "max_requests": 100_000, "max_pending_requests": 100_000}]},
            "load_assignment": {"cluster_name": "provider", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": provider}}}},
            ]}]},
        }],
    }})
}

/// Keys, redaction, counting, a request limit and two budgets: everything but the cache is on.
fn weir(port: u16, provider: u16, folder: &Path) -> Value {
    let provider = |name: &str| {
        json!({
            "name": name, "dialect": "openai", "api_key": "sk-bench",
            "base_url": format!("http://127.0.0.1:{provider}/v1"),
            "default_price": {"input": 0.15, "output": 0.60},
        })
    };
    json!({
        "listen": format!("127.0.0.1:{port}"),
        "data": folder.join("data"),
        "admin_token": "bench-admin",
        "providers": [provider("bench"), provider("spare")],
        "models": [{"id": "gpt-4o-mini", "provider": "bench", "context": 128_000, "max_output": 16_384,
                    "price": {"input": 0.15, "cached_input": 0.075, "output": 0.60}}],
        "defaults": {
            "provider": "bench",
            "guardrails": {"input": [{"type": "pii_detection", "action": "redact"}]},
            "cache": {"mode": "off"},
        },
        "budgets": [{"scope": "global", "limit_usd": 1_000_000, "period": "monthly"}],
        "virtual_keys": [{"name": "bench", "key": prompt::KEY, "rate_limit": 100_000_000, "budget_limit_usd": 1_000_000}],
        "envoy": {"admin": format!("127.0.0.1:{}", free_port())},
    })
}

fn cpu_of(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; fields are counted from behind it.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS_PER_SECOND)
}

fn resident_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
