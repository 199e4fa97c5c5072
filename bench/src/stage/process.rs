//! Programs on their cores.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Core of what is measured, and core of everything else.
pub(crate) const MEASURED: &str = "0";
pub(crate) const OTHERS: &str = "1";
/// `USER_HZ`, fixed on Linux for programs to read.
const TICKS_PER_SECOND: f64 = 100.0;

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

/// Moves this program to the core of the others.
pub(crate) fn pin_self() {
    if can_pin() {
        let _ = Command::new("taskset")
            .args(["-cp", OTHERS, &std::process::id().to_string()])
            .stdout(Stdio::null())
            .status();
    }
}

/// A command on the core of what is measured.
pub(crate) fn on_core_of_measured(program: &Path) -> Command {
    on_core(MEASURED, program)
}

fn on_core(core: &str, program: &Path) -> Command {
    if !can_pin() {
        return Command::new(program);
    }
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", core]).arg(program);
    pinned
}

pub(crate) fn can_pin() -> bool {
    let taskset = Command::new("taskset").arg("--version").output();
    taskset.is_ok() && std::thread::available_parallelism().is_ok_and(|cores| cores.get() >= 2)
        || fs::read_to_string("/proc/self/status")
            .is_ok_and(|status| status.contains(&format!("Cpus_allowed_list:\t{OTHERS}\n")))
}

pub(crate) fn spawn(core: &str, program: &Path, arguments: &[&str], folder: &Path) -> u32 {
    let mut command = on_core(core, program);
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

pub(crate) fn from_environment(name: &str) -> PathBuf {
    let value =
        std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set; `make bench` sets it"));
    PathBuf::from(value)
}

pub(crate) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("a port").port()
}

pub(crate) fn cpu_of(pid: u32) -> Duration {
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

pub(crate) fn resident_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
