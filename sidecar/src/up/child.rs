//! A child process that is kept running.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::preflight;
use crate::config::Secret;

/// A child that lived shorter has failed to start.
const LIFE_MIN: Duration = Duration::from_secs(5);
/// So many failures to start in a row end it all.
const FAILURES_MAX: u32 = 5;
/// Before it is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(300);
/// Between asking to stop and killing.
const STOP_TIME_MAX: Duration = Duration::from_secs(8);
/// Lines of the log that a failure shows.
const LOG_LINES: usize = 15;

/// What to run.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) path: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, Secret)>,
    pub(super) log: PathBuf,
    /// Folder in which the process id is noted.
    pub(super) pids: PathBuf,
}

/// A program that is kept running.
pub(super) struct Child {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// A child stopped without being asked to.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) name: &'static str,
    /// How, as the system words it.
    pub(super) status: String,
    /// Whether it is not started again.
    pub(super) last: bool,
    log: PathBuf,
}

impl Event {
    /// What happened and the end of the log.
    pub(super) fn report(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines
            .get(lines.len().saturating_sub(LOG_LINES)..)
            .unwrap_or_default()
            .join("\n");
        format!(
            "{} stopped ({}). The end of {}:\n{tail}",
            self.name,
            self.status,
            self.log.display()
        )
    }
}

impl Child {
    pub(super) fn start(program: Program, events: mpsc::Sender<Event>) -> Child {
        let (stop, asked) = watch::channel(false);
        Child {
            stop,
            task: tokio::spawn(keep(program, events, asked)),
        }
    }

    /// Asks it to stop and waits until it has.
    pub(super) async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

async fn keep(program: Program, events: mpsc::Sender<Event>, mut asked: watch::Receiver<bool>) {
    let mut failures = 0_u32;
    loop {
        let started = Instant::now();
        let status = match spawn(&program) {
            Ok(mut process) => {
                preflight::note(&program.pids, program.name, process.id());
                tokio::select! {
                    status = process.wait() => status.map_or_else(|error| error.to_string(), |status| status.to_string()),
                    () = told(&mut asked) => return end(process).await,
                }
            }
            Err(message) => message,
        };
        failures = if started.elapsed() < LIFE_MIN {
            failures.saturating_add(1)
        } else {
            0
        };
        let last = failures >= FAILURES_MAX;
        let event = Event {
            name: program.name,
            status,
            last,
            log: program.log.clone(),
        };
        let _ = events.send(event).await;
        tokio::select! {
            () = tokio::time::sleep(RESTART_PAUSE), if !last => {}
            () = told(&mut asked) => return,
        }
    }
}

/// Waits until it is told to stop.
async fn told(asked: &mut watch::Receiver<bool>) {
    // An error means that nobody can tell any more; that is the same.
    let _ = asked.wait_for(|stop| *stop).await;
}

fn spawn(program: &Program) -> Result<tokio::process::Child, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", program.path.display());
    let log = File::options()
        .create(true)
        .append(true)
        .open(&program.log)
        .map_err(failed)?;
    let errors = log.try_clone().map_err(failed)?;
    let environment = program
        .environment
        .iter()
        .map(|(name, value)| (name, value.expose()));
    Command::new(&program.path)
        .args(&program.arguments)
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // Ctrl-C in a terminal goes to the whole group; the order of stopping is ours.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)
}

async fn end(mut process: tokio::process::Child) {
    if let Some(pid) = process
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw)
    {
        let _ = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(STOP_TIME_MAX, process.wait())
        .await
        .is_err()
    {
        let _ = process.kill().await;
    }
}
