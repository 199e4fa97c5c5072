//! What would go wrong later with a worse message: ports in use, and processes that an earlier run
//! left behind because it was killed.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::config::{Address, Config};

/// Note of running children: `pid name` a line, the first line for `weir up` itself.
const NOTE: &str = "up.pids";
/// How long a left-over process may take to stop.
const CLEAR_TIME_MAX: Duration = Duration::from_secs(5);

/// Refuses to start twice on the same data, and stops what a killed run left behind.
pub(super) fn clear(data: &Path) -> Result<(), String> {
    let note = data.join(NOTE);
    let text = std::fs::read_to_string(&note).unwrap_or_default();
    let pids: Vec<Pid> = text
        .lines()
        .filter_map(|line| pid(line.split(' ').next()?))
        .collect();
    let alive = |pid: &Pid| test_kill_process(*pid).is_ok() && is_ours(*pid);
    if let Some(owner) = pids
        .first()
        .filter(|pid| alive(pid) && arguments(**pid).iter().any(|text| text == "up"))
    {
        let pid = owner.as_raw_nonzero();
        return Err(format!(
            "Weir already runs on {} (process {pid}); stop it first",
            data.display()
        ));
    }
    let left: Vec<Pid> = pids.into_iter().filter(alive).collect();
    for pid in &left {
        let _ = kill_process(*pid, Signal::TERM);
    }
    let pause = Duration::from_millis(50);
    let mut waited = Duration::ZERO;
    while waited < CLEAR_TIME_MAX && left.iter().any(alive) {
        std::thread::sleep(pause);
        waited = waited.saturating_add(pause);
    }
    let own = format!("{} up\n", std::process::id());
    std::fs::write(&note, own).map_err(|error| format!("cannot write {}: {error}", note.display()))
}

/// Notes a child.
pub(super) fn note(data: &Path, name: &str, pid: Option<u32>) {
    let Some(pid) = pid else { return };
    let path = data.join(NOTE);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    // Only a help for the next start: without it a left-over process shows as a port in use.
    let _ = std::fs::write(&path, format!("{text}{pid} {name}\n"));
}

/// Everything stopped as it should.
pub(super) fn forget(data: &Path) {
    let _ = std::fs::remove_file(data.join(NOTE));
}

/// Every TCP port that a child will bind is free.
pub(super) fn ports(config: &Config, listen: SocketAddr) -> Result<(), String> {
    let mut wanted = vec![
        (listen, "clients (choose another with PORT= or --port)"),
        (config.envoy.admin, "envoy.admin"),
    ];
    for (address, name) in [
        (&config.sidecar.internal, "sidecar.internal"),
        (&config.sidecar.admin, "sidecar.admin"),
    ] {
        if let Address::Tcp(address) = address {
            wanted.push((*address, name));
        }
    }
    for (address, name) in wanted {
        // Envoy shares a port with other Envoys without a word, so it has to be asked before.
        match TcpListener::bind(address) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                return Err(format!(
                    "{address} is in use by another program; it is needed for {name}"
                ));
            }
            Err(error) => return Err(format!("cannot listen on {address} for {name}: {error}")),
        }
    }
    Ok(())
}

fn pid(text: &str) -> Option<Pid> {
    Pid::from_raw(text.parse().ok()?)
}

/// Process ids are used again: only Weir's own command and Envoy count.
fn is_ours(pid: Pid) -> bool {
    let arguments = arguments(pid);
    let program = arguments.first().map(PathBuf::from).unwrap_or_default();
    program
        .file_name()
        .is_some_and(|name| name == "weir" || name == "envoy")
}

fn arguments(pid: Pid) -> Vec<String> {
    let text = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .split('\0')
        .map(str::to_owned)
        .collect()
}
