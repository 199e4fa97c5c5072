//! A private Redis, alone or as a cluster.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process::{Process, free_port};
use crate::{eventually, program, signal};

/// Hash slots of a cluster.
const SLOTS: u32 = 16_384;
const VOLATILE: [&str; 4] = ["--save", "", "--appendonly", "no"];
const DURABLE: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "no"];

/// A running server; dropping it ends it.
pub struct Redis {
    process: Process,
    port: u16,
    settings: Vec<String>,
    folder: tempfile::TempDir,
}

impl Redis {
    /// Starts one that keeps nothing on disk.
    pub fn start() -> Redis {
        Redis::start_with(&VOLATILE)
    }

    /// Starts one that hands each change to the system before it answers: it survives `SIGKILL`, and a
    /// disk that others keep busy does not hold it up.
    pub fn start_durable() -> Redis {
        Redis::start_with(&DURABLE)
    }

    /// Starts one with these arguments, `--maxmemory 1mb` for example.
    pub fn start_with(settings: &[&str]) -> Redis {
        let folder = tempfile::Builder::new().prefix("weir-redis-").tempdir();
        let folder = folder.expect("temp dir");
        let port = free_port();
        let settings: Vec<String> = settings.iter().map(|text| (*text).to_owned()).collect();
        let process = launch(port, &settings, folder.path());
        let redis = Redis {
            process,
            port,
            settings,
            folder,
        };
        redis.ready();
        redis
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:PORT/0`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// `SIGKILL`: what it has not written to disk is lost.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port and folder.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = launch(self.port, &self.settings, self.folder.path());
        self.ready();
    }

    /// The same, without what it has written to disk.
    pub fn restart_empty(&mut self) {
        self.process.kill();
        for folder in ["appendonlydir", "dump.rdb"] {
            let path = self.folder.path().join(folder);
            // What is not there need not go.
            let _none = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        }
        self.restart();
    }

    /// `SIGSTOP`: connections stay open and nothing answers.
    pub fn freeze(&self) {
        signal("STOP", &[self.process.id()]);
    }

    /// Goes on after [`Redis::freeze`].
    pub fn thaw(&self) {
        signal("CONT", &[self.process.id()]);
    }

    /// The first line of the answer to a command in the inline protocol, `PING` for example.
    ///
    /// # Errors
    /// It does not answer within two seconds, or with an error.
    pub fn command(&self, line: &str) -> Result<String, String> {
        let failed = |error: std::io::Error| error.to_string();
        let address = ([127, 0, 0, 1], self.port).into();
        let patience = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&address, patience).map_err(failed)?;
        stream.set_read_timeout(Some(patience)).map_err(failed)?;
        stream
            .write_all(format!("{line}\r\n").as_bytes())
            .map_err(failed)?;
        let mut reader = BufReader::new(stream);
        let mut answer = String::new();
        reader.read_line(&mut answer).map_err(failed)?;
        let answer = answer.trim_end();
        if answer.starts_with('$') {
            let mut text = String::new();
            reader.read_line(&mut text).map_err(failed)?;
            return Ok(text.trim_end().to_owned());
        }
        match answer.strip_prefix('-') {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer.trim_start_matches(['+', ':']).to_owned()),
        }
    }

    fn ready(&self) {
        eventually("redis-server", &self.process.log, || {
            let answer = self.command("PING")?;
            if answer == "PONG" {
                Ok(())
            } else {
                Err(answer)
            }
        });
    }
}

fn launch(port: u16, settings: &[String], folder: &std::path::Path) -> Process {
    let names = ["redis-server", "valkey-server"];
    let server = program(&names, &[]).unwrap_or_else(|| {
        panic!("there is no redis-server or valkey-server: scripts/servers.sh installs one")
    });
    let mut command = Command::new(server);
    command
        .args(["--bind", "127.0.0.1", "--protected-mode", "no"])
        .args(["--port", &port.to_string()])
        .arg("--dir")
        .arg(folder)
        .args(settings);
    Process::start(&mut command, &log(folder))
}

fn log(folder: &std::path::Path) -> PathBuf {
    folder.join("redis.log")
}

/// Redis Cluster of a few masters.
pub struct Cluster {
    /// Its nodes: the masters, then what was added.
    pub nodes: Vec<Redis>,
    /// Where each talks to the others.
    buses: Vec<String>,
    settings: &'static [&'static str],
}

impl Cluster {
    /// Starts `count` masters that share the slots and keep nothing on disk.
    pub fn start(count: usize) -> Cluster {
        Cluster::start_with(count, &VOLATILE)
    }

    /// The same with masters such as [`Redis::start_durable`] starts.
    pub fn start_durable(count: usize) -> Cluster {
        Cluster::start_with(count, &DURABLE)
    }

    fn start_with(count: usize, settings: &'static [&'static str]) -> Cluster {
        let (mut nodes, mut buses) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (node, bus) = clustered(settings);
            nodes.push(node);
            buses.push(bus);
        }
        let said = |answer: Result<String, String>| answer.expect("a cluster's node answers");
        let share = SLOTS.div_ceil(u32::try_from(count).expect("a few"));
        for (index, node) in (0..).zip(&nodes) {
            let last = ((index + 1) * share).min(SLOTS) - 1;
            let first = index * share;
            said(node.command(&format!("CLUSTER ADDSLOTSRANGE {first} {last}")));
            said(node.command(&format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1)));
        }
        for node in nodes.iter().skip(1) {
            let (port, bus) = (nodes[0].port, &buses[0]);
            said(node.command(&format!("CLUSTER MEET 127.0.0.1 {port} {bus}")));
        }
        for node in &nodes {
            eventually("the cluster", &node.process.log, || {
                let nodes = node.command("CLUSTER INFO")?;
                let works = nodes.contains("cluster_state:ok");
                works.then_some(()).ok_or(nodes)
            });
        }
        Cluster {
            nodes,
            buses,
            settings,
        }
    }

    /// Adds a node that copies the first master, and has what that has.
    pub fn add_replica(&mut self) {
        let (node, bus) = clustered(self.settings);
        let first = &self.nodes[0];
        let said = |answer: Result<String, String>| answer.expect("a cluster's node answers");
        let name = said(first.command("CLUSTER MYID"));
        said(node.command(&format!(
            "CLUSTER MEET 127.0.0.1 {} {}",
            first.port, self.buses[0]
        )));
        eventually("the replica", &node.process.log, || {
            node.command(&format!("CLUSTER REPLICATE {name}"))
        });
        eventually("the copy", &node.process.log, || {
            let (ours, theirs) = (node.command("DBSIZE")?, first.command("DBSIZE")?);
            (ours == theirs).then_some(()).ok_or(ours)
        });
        self.nodes.push(node);
        self.buses.push(bus);
    }

    /// The first master is killed, and the replica that was added last takes over without what was written
    /// while `lost` ran.
    pub async fn fail_over(&mut self, lost: impl Future<Output = ()>) {
        let last = self.nodes.len() - 1;
        let said = |answer: Result<String, String>| answer.expect("a cluster's node answers");
        self.nodes[last].freeze();
        // What waits on an open connection would be read after all.
        said(self.nodes[0].command("CLIENT KILL TYPE replica"));
        lost.await;
        self.nodes[0].kill();
        let replica = &self.nodes[last];
        replica.thaw();
        eventually("the failover", &replica.process.log, || {
            replica.command("CLUSTER FAILOVER TAKEOVER")
        });
        eventually("the cluster", &replica.process.log, || {
            let info = replica.command("CLUSTER INFO")?;
            info.contains("cluster_state:ok").then_some(()).ok_or(info)
        });
    }

    /// The address of one node, which tells of the others.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.nodes[0].port)
    }
}

/// A node of a cluster, and the port of its bus.
fn clustered(settings: &[&str]) -> (Redis, String) {
    let bus = free_port().to_string();
    let own = ["--cluster-enabled", "yes", "--cluster-port", bus.as_str()];
    (Redis::start_with(&[settings, &own].concat()), bus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_forgets_when_killed_and_freezes_when_told() {
        let mut redis = Redis::start();
        redis.command("SET a 1").unwrap();
        assert_eq!(redis.command("GET a").unwrap(), "1");
        redis.freeze();
        assert!(redis.command("PING").is_err());
        redis.thaw();
        assert_eq!(redis.command("GET a").unwrap(), "1");
        redis.kill();
        assert!(redis.command("PING").is_err());
        redis.restart();
        assert_eq!(redis.command("DBSIZE").unwrap(), "0");
    }

    #[test]
    fn a_durable_server_forgets_only_when_told() {
        let mut redis = Redis::start_durable();
        redis.command("SET a 1").unwrap();
        redis.restart();
        assert_eq!(redis.command("GET a").unwrap(), "1");
        redis.restart_empty();
        assert_eq!(redis.command("DBSIZE").unwrap(), "0");
    }

    #[test]
    fn a_cluster_shares_the_slots() {
        let cluster = Cluster::start(3);
        let asked = cluster.nodes.iter().map(|node| node.command("SET a 1"));
        let moved = asked.filter(Result::is_err).count();
        assert_eq!(moved, 2);
    }
}
