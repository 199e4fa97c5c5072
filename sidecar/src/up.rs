//! `weir up`: state service, demo provider and Envoy together, for a developer's machine.
//!
//! Each part is a child process with a log of its own. One that stops is started again; one that
//! keeps stopping ends the whole with the last lines of its log.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to the person who started it"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::call::{Answer, call};
use crate::config::{
    ADMIN_TOKEN_VARIABLE, Address, Config, DEV_KEY_VARIABLE, Host, Purpose, Secret,
};
use crate::envoy::{self, Envoy};
use crate::{render, vault};

mod child;
mod preflight;
mod secrets;

use child::{Child, Event, Program};
use secrets::Secrets;

/// How long everything may take to answer for the first time.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a start waits for the last of Envoy's workers, once one works.
const WORKERS_TIME_MAX: Duration = Duration::from_secs(5);
/// Between two questions whether it does.
const START_POLL: Duration = Duration::from_millis(100);
/// What scripts read; it is there while everything runs.
const DEV_FILE: &str = "dev.json";

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    /// `weir.yaml`.
    pub config: PathBuf,
    /// The filter.
    pub wasm: PathBuf,
    /// Envoy, when not the one that would be found.
    pub envoy: Option<PathBuf>,
    /// Replaces the port of `listen`.
    pub port: Option<u16>,
}

/// Everything that is known before the first child starts.
struct Plan {
    config: Config,
    secrets: Secrets,
    envoy: Envoy,
    listen: std::net::SocketAddr,
    programs: Vec<Program>,
}

/// Runs until a signal asks it to stop.
///
/// # Errors
/// Why it could not start or had to stop, worded for the person who started it.
pub async fn run(options: &Options, env: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
    let plan = plan(options, env).await?;
    for warning in &plan.config.warnings {
        eprintln!("warning: {warning}");
    }
    let failed = |error: std::io::Error| error.to_string();
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt()).map_err(failed)?,
        signal(SignalKind::terminate()).map_err(failed)?,
    );
    let (events, mut heard) = mpsc::channel(16);
    let children: Vec<Child> = plan
        .programs
        .iter()
        .map(|program| Child::start(program.clone(), events.clone()))
        .collect();
    let work = async {
        wait_until_up(&plan, &mut heard).await?;
        announce(&plan)?;
        watch(&mut heard).await
    };
    let ended = tokio::select! {
        result = work => result,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    println!("\nstopping");
    let _ = std::fs::remove_file(plan.config.data.join(DEV_FILE));
    // Envoy first: what it still has to report must find the state service.
    for child in children.into_iter().rev() {
        child.stop().await;
    }
    preflight::forget(&plan.config.data);
    ended
}

async fn plan(options: &Options, env: &dyn Fn(&str) -> Option<String>) -> Result<Plan, String> {
    let mut config = Config::load(&options.config, env).map_err(|error| error.to_string())?;
    let ca = render::system_ca(env);
    let mut heard = |access: &vault::Access| eprintln!("vault access {}", access.fields());
    let purposes = [Purpose::Administration, Purpose::Envoy];
    vault::fill(&mut config, &purposes, ca.as_ref(), &mut heard).await?;
    let envoy = envoy::find(options.envoy.as_deref(), env)?;
    if !options.wasm.is_file() {
        return Err(format!(
            "there is no filter at {}: `make wasm` builds it",
            options.wasm.display()
        ));
    }
    let listen = std::net::SocketAddr::new(
        config.listen.ip(),
        options.port.unwrap_or(config.listen.port()),
    );
    let data = config.data.clone();
    let logs = data.join("log");
    secrets::folder(&data)?;
    secrets::folder(&logs)?;
    preflight::clear(&data)?;
    preflight::ports(&config, listen)?;
    let secrets = Secrets::load_or_make(&data, config.admin_token.clone())?;
    let rendered = render::Options {
        wasm: options.wasm.display().to_string(),
        ca,
        port: options.port,
    };
    let bootstrap = data.join("envoy.yaml");
    // It may hold keys that Envoy signs with.
    secrets::write(&bootstrap, &render::bootstrap(&config, &rendered))?;
    let programs = programs(&config, &secrets, &envoy, &options.config, &bootstrap)?;
    Ok(Plan {
        config,
        secrets,
        envoy,
        listen,
        programs,
    })
}

fn programs(
    config: &Config,
    secrets: &Secrets,
    envoy: &Envoy,
    file: &Path,
    bootstrap: &Path,
) -> Result<Vec<Program>, String> {
    let this =
        std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let text = |path: &Path| path.display().to_string();
    let log = |name: &str| config.data.join("log").join(format!("{name}.log"));
    let mut programs = vec![Program {
        name: "state service",
        path: this.clone(),
        arguments: vec!["serve".into(), "--config".into(), text(file)],
        environment: vec![
            (ADMIN_TOKEN_VARIABLE.into(), secrets.admin_token.clone()),
            (DEV_KEY_VARIABLE.into(), secrets.virtual_key.clone()),
        ],
        log: log("serve"),
        pids: config.data.clone(),
    }];
    let demo = config
        .providers
        .iter()
        .find_map(|provider| match &provider.endpoint.host {
            Host::Demo(path) => Some(Address::Unix(path.clone())),
            _ => None,
        });
    if let Some(address) = demo {
        programs.push(Program {
            name: "demo provider",
            path: this,
            arguments: vec!["demo".into(), "--listen".into(), address.to_string()],
            environment: Vec::new(),
            log: log("demo"),
            pids: config.data.clone(),
        });
    }
    let mut arguments: Vec<String> = ["--disable-hot-restart", "--log-level", "warning", "-c"]
        .map(str::to_owned)
        .into();
    arguments.push(text(bootstrap));
    arguments.extend(["--concurrency".to_owned(), workers(config).to_string()]);
    programs.push(Program {
        name: "Envoy",
        path: envoy.path.clone(),
        arguments,
        environment: Vec::new(),
        log: log("envoy"),
        pids: config.data.clone(),
    });
    Ok(programs)
}

/// Waits for a healthy answer through Envoy. A child that stops before is a failure: nothing
/// would change at the second try.
async fn wait_until_up(plan: &Plan, heard: &mut mpsc::Receiver<Event>) -> Result<(), String> {
    let asked = async {
        let mut first = None;
        loop {
            if let Some(vms) = healthy(plan).await {
                // Envoy's main thread has a VM as well.
                let all = vms > u64::from(workers(&plan.config));
                let since = *first.get_or_insert_with(tokio::time::Instant::now);
                if all || since.elapsed() > WORKERS_TIME_MAX {
                    return;
                }
            }
            tokio::time::sleep(START_POLL).await;
        }
    };
    tokio::select! {
        () = asked => Ok(()),
        event = heard.recv() => Err(event.map_or_else(String::new, |event| event.report())),
        () = tokio::time::sleep(START_TIME_MAX) => {
            Err(format!("nothing healthy after {} s; see {}", START_TIME_MAX.as_secs(), plan.config.data.join("log").display()))
        }
    }
}

/// Filter VMs that are known, when the state service is healthy and the filter knows keys and
/// models. The filter is asked only once it has asked for the policy itself, so that a start leaves
/// no refusal in the log.
async fn healthy(plan: &Plan) -> Option<u64> {
    let at = Address::Tcp(reachable(plan.listen));
    let key = Secret::new(plan.secrets.virtual_key.expose());
    let good = |answer: Result<Answer, String>| answer.ok().filter(|answer| answer.status == 200);
    let health = good(call(&at, "GET", "/health", None, None).await)?;
    let health: serde_json::Value = serde_json::from_str(&health.body).ok()?;
    let vms = health.pointer("/parts/filter_vms")?.as_u64()?;
    if vms == 0 {
        return None;
    }
    good(call(&at, "GET", "/v1/models", Some(&key), None).await).map(|_| vms)
}

/// Envoy's worker threads: what the file says, else one a core.
fn workers(config: &Config) -> u32 {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = config.envoy.workers;
    workers.unwrap_or_else(|| u32::try_from(cores()).unwrap_or(1))
}

/// An address of this machine at which a service that listens on `listen` answers.
fn reachable(listen: std::net::SocketAddr) -> std::net::SocketAddr {
    if !listen.ip().is_unspecified() {
        return listen;
    }
    let loopback: std::net::IpAddr = if listen.is_ipv4() {
        std::net::Ipv4Addr::LOCALHOST.into()
    } else {
        std::net::Ipv6Addr::LOCALHOST.into()
    };
    std::net::SocketAddr::new(loopback, listen.port())
}

fn announce(plan: &Plan) -> Result<(), String> {
    let url = format!("http://{}", reachable(plan.listen));
    let (key, token) = (
        plan.secrets.virtual_key.expose(),
        plan.secrets.admin_token.expose(),
    );
    let dev = json!({
        "url": url,
        "virtual_key": key,
        "admin_token": token,
        "admin_url": format!("{url}/admin"),
        "envoy_admin_url": format!("http://{}", reachable(plan.config.envoy.admin)),
        "pid": std::process::id(),
    });
    secrets::write(&plan.config.data.join(DEV_FILE), &format!("{dev:#}\n"))?;
    let providers: Vec<&str> = plan
        .config
        .providers
        .iter()
        .map(|provider| provider.name.as_str())
        .collect();
    let model = model(&plan.config);
    println!(
        "\nWeir is up: {url}  (Envoy {}, providers: {}, logs: {})\n\n\
         virtual key   {key}\n\
         admin token   {token}\n\n\
         curl {url}/v1/chat/completions \\\n  \
           -H 'authorization: Bearer {key}' -H 'content-type: application/json' \\\n  \
           -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'\n",
        plan.envoy.version,
        providers.join(", "),
        plan.config.data.join("log").display(),
    );
    if providers == ["demo"] {
        println!(
            "The demo provider answers. With OPENAI_API_KEY or ANTHROPIC_API_KEY set, the real ones do."
        );
    }
    println!("Ctrl-C stops everything.");
    Ok(())
}

/// A model for the first request: of the default provider when it has one.
fn model(config: &Config) -> &str {
    let of_default = config
        .models
        .iter()
        .find(|model| Some(&model.provider) == config.defaults.provider.as_ref());
    of_default
        .or(config.models.first())
        .map_or("gpt-4o-mini", |model| model.id.as_str())
}

/// Tells what stops and starts, until a child keeps stopping.
async fn watch(heard: &mut mpsc::Receiver<Event>) -> Result<(), String> {
    while let Some(event) = heard.recv().await {
        if event.last {
            return Err(event.report());
        }
        eprintln!(
            "{} stopped ({}); starting it again",
            event.name, event.status
        );
    }
    Ok(())
}
