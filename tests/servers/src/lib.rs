//! Servers that tests start for themselves: each has a folder and a port of its own, and ends with
//! the value that stands for it. A machine without the programs fails the test that needs them.

pub mod postgres;
pub mod process;
pub mod redis;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Longest time until a server answers. Machines that build at the same time are slow.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// The first of `names` that is in one of `folders` or on the path.
fn program(names: &[&str], folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.iter().chain(&on_path).find_map(|folder| {
        let files = names.iter().map(|name| folder.join(name));
        files.into_iter().find(|file| file.is_file())
    })
}

/// Tries until it succeeds, or fails the test with what it said last.
fn eventually<T>(what: &str, log: &Path, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(why) if started.elapsed() > START_PATIENCE => {
                let log = std::fs::read_to_string(log).unwrap_or_default();
                panic!("{what}: {why}\n{log}");
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Sends a signal by name to processes. One that has ended meanwhile needs none.
fn signal(name: &str, processes: &[u32]) {
    let mut command = Command::new("kill");
    command.arg(format!("-{name}"));
    command.args(processes.iter().map(u32::to_string));
    let sent = command.stderr(std::process::Stdio::null()).status();
    let sent = sent.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(sent.signal().is_none(), "{command:?}: {sent}");
}
