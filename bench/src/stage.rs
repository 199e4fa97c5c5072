//! The programs that take part: provider, plain Envoy, Weir's Envoy, state service.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::Connection;
use crate::prompt;

mod config;
mod process;

pub(crate) use config::Shared;
use process::{MEASURED, OTHERS, cpu_of, free_port, from_environment, local, resident_mib, spawn};
pub(crate) use process::{can_pin, on_core_of_measured, pin_self, stop};

const START_PATIENCE: Duration = Duration::from_secs(120);

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

/// How Weir is set up.
pub(crate) struct Setup {
    /// Of each Envoy.
    pub(crate) workers: u32,
    /// Where counters and ledger are, if not with the service.
    pub(crate) store: Option<Shared>,
    pub(crate) leases: bool,
}

impl Setup {
    /// As it comes, with so many workers.
    pub(crate) fn embedded(workers: u32) -> Setup {
        Setup {
            workers,
            store: None,
            leases: true,
        }
    }
}

/// A state service alone.
pub(crate) struct Service {
    id: u32,
    folder: tempfile::TempDir,
}

impl Service {
    pub(crate) fn start(setup: &Setup) -> Service {
        let folder = tempfile::tempdir().expect("a folder");
        let ports = [free_port(), free_port(), free_port()];
        let weir = config::weir(ports, folder.path(), setup);
        let file = folder.path().join("weir.yaml");
        write(&file, &weir);
        let id = serve(&file, folder.path());
        Service { id, folder }
    }

    /// Where filters ask.
    pub(crate) fn internal(&self) -> PathBuf {
        self.folder.path().join("data/internal.sock")
    }

    /// Ends it.
    pub(crate) fn stop(self) {
        stop();
    }

    /// CPU time used so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(self.id)
    }
}

pub(crate) struct Stage {
    plain: u32,
    envoy: u32,
    sidecar: u32,
    plain_address: SocketAddr,
    weir_address: SocketAddr,
    admin_address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Stage {
    /// Starts everything and waits until it answers.
    pub(crate) async fn start(setup: &Setup) -> Stage {
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
        write(
            &plain_config,
            &config::plain(plain_address.port(), provider),
        );
        let plain = envoy(&plain_config, setup.workers, folder);

        let weir_address = local(free_port());
        let admin_address = local(free_port());
        let ports = [weir_address.port(), provider, admin_address.port()];
        let config = folder.join("weir.yaml");
        write(&config, &config::weir(ports, folder, setup));
        let sidecar = serve(&config, folder);
        let program = from_environment("WEIR_BIN");
        let config_argument = config.display().to_string();
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
        let envoy = envoy(&envoy_config, setup.workers, folder);

        let stage = Stage {
            plain,
            sidecar,
            envoy,
            plain_address,
            weir_address,
            admin_address,
            folder: keep,
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
            let mut said = String::new();
            if let Ok(mut connection) = Connection::open(address).await
                && let Ok(answer) = connection.exchange(request).await
            {
                said = connection.last();
                if answer.status == 200 {
                    in_a_row += 1;
                    continue;
                }
            }
            in_a_row = 0;
            if started.elapsed() > START_PATIENCE {
                let log = fs::read_to_string(self.folder.path().join("log"));
                panic!(
                    "{address} does not answer: {said}\n{}",
                    log.unwrap_or_default()
                );
            } else {
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

    /// Where Weir's Envoy tells its statistics.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin_address
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

fn serve(config: &Path, folder: &Path) -> u32 {
    let config = config.display().to_string();
    let program = from_environment("WEIR_BIN");
    spawn(MEASURED, &program, &["serve", "--config", &config], folder)
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

fn write(path: &Path, value: &Value) {
    fs::write(path, format!("{value:#}")).expect("a configuration");
}
