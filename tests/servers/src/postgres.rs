//! A private PostgreSQL.

use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Process, free_port, run};
use crate::{eventually, program, signal};

/// Users that it may run as when the test runs as root, whom it refuses.
const SERVANTS: [&str; 2] = ["postgres", "nobody"];
/// Name of its one user, who may do everything, and of the database.
pub const NAME: &str = "weir";
/// That user's password, which connections over TCP need.
pub const PASSWORD: &str = "e2e-password";

/// A running server; dropping it ends it.
pub struct Postgres {
    process: Process,
    port: u16,
    settings: Vec<String>,
    folder: tempfile::TempDir,
    servant: Option<(u32, u32)>,
}

impl Postgres {
    /// Starts one with an empty database.
    pub fn start() -> Postgres {
        Postgres::start_with(&[])
    }

    /// Starts one with settings such as `max_connections=5`.
    pub fn start_with(settings: &[&str]) -> Postgres {
        Postgres::create(settings, None)
    }

    /// Starts one that offers TLS with this certificate and key, both PEM.
    pub fn start_with_tls(certificate: &str, key: &str) -> Postgres {
        Postgres::create(&["ssl=on"], Some((certificate, key)))
    }

    fn create(settings: &[&str], tls: Option<(&str, &str)>) -> Postgres {
        let folder = tempfile::Builder::new().prefix("weir-postgres-").tempdir();
        let folder = folder.expect("temp dir");
        let servant = servant(folder.path());
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).expect("password");
        give(&password, servant);
        give(folder.path(), servant);
        let mut command = Command::new(binary("initdb"));
        command
            .args(["--auth=scram-sha-256", "--no-sync", "--no-locale"])
            .args(["--encoding=UTF8", "--username", NAME])
            .arg(format!("--pwfile={}", password.display()))
            .arg("--pgdata")
            .arg(data(folder.path()));
        become_servant(&mut command, servant);
        let (status, stdout, stderr) = run(command.current_dir(folder.path()));
        assert!(status.success(), "initdb: {stdout}{stderr}");
        for (name, text) in tls
            .into_iter()
            .flat_map(|(certificate, key)| [("server.crt", certificate), ("server.key", key)])
        {
            let file = data(folder.path()).join(name);
            fs::write(&file, text).expect("certificate");
            fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("mode");
            give(&file, servant);
        }
        let settings: Vec<String> = settings.iter().map(|text| (*text).to_owned()).collect();
        let port = free_port();
        let process = launch(port, &settings, folder.path(), servant);
        let postgres = Postgres {
            process,
            port,
            settings,
            folder,
            servant,
        };
        postgres.ready();
        postgres.create_database();
        postgres
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `postgresql://weir:PASSWORD@127.0.0.1:PORT/weir`.
    pub fn url(&self) -> String {
        format!(
            "postgresql://{NAME}:{PASSWORD}@127.0.0.1:{}/{NAME}",
            self.port
        )
    }

    /// `SIGKILL` of everything it is made of. What was committed stays.
    pub fn kill(&mut self) {
        let parts = self.parts();
        signal("KILL", &parts);
        self.process.kill();
    }

    /// Starts it again on the same port and data.
    pub fn restart(&mut self) {
        self.kill();
        let _gone = fs::remove_file(data(self.folder.path()).join("postmaster.pid"));
        self.process = launch(self.port, &self.settings, self.folder.path(), self.servant);
        self.ready();
    }

    /// `SIGSTOP`: connections stay open, new ones are accepted by the kernel, and nothing answers.
    pub fn freeze(&self) {
        signal("STOP", &self.parts());
    }

    /// Goes on after [`Postgres::freeze`].
    pub fn thaw(&self) {
        signal("CONT", &self.parts());
    }

    /// What `psql` prints for these statements: rows by line, columns between `|`.
    ///
    /// # Errors
    /// What it says when one of them fails.
    pub fn sql(&self, statements: &str) -> Result<String, String> {
        self.sql_in(NAME, statements)
    }

    fn sql_in(&self, database: &str, statements: &str) -> Result<String, String> {
        let mut command = Command::new(binary("psql"));
        command
            .env("PGPASSWORD", PASSWORD)
            .env("PGCONNECT_TIMEOUT", "2")
            .env("PGSSLMODE", "disable")
            .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"])
            .args(["--set", "ON_ERROR_STOP=1", "--host", "127.0.0.1"])
            .args(["--port", &self.port.to_string(), "--username", NAME])
            .args(["--dbname", database, "--command", statements]);
        match run(&mut command) {
            (status, stdout, _) if status.success() => Ok(stdout.trim_end().to_owned()),
            (.., stderr) => Err(stderr),
        }
    }

    fn ready(&self) {
        eventually("postgres", &self.process.log, || {
            let address = ([127, 0, 0, 1], self.port).into();
            TcpStream::connect_timeout(&address, Duration::from_secs(1))
                .map_err(|error| error.to_string())?;
            self.sql_in("postgres", "SELECT 1")
        });
    }

    fn create_database(&self) {
        let created = self.sql_in("postgres", &format!("CREATE DATABASE {NAME}"));
        created.unwrap_or_else(|error| panic!("{error}"));
    }

    /// The server and the processes that it has started.
    fn parts(&self) -> Vec<u32> {
        let own = self.process.id();
        let mut parts = vec![own];
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            // `pid (name) state parent ...`, with anything in the name.
            let parent = stat.rsplit_once(") ").and_then(|(_, rest)| {
                let mut fields = rest.split(' ');
                fields.nth(1)?.parse::<u32>().ok()
            });
            let name = entry.file_name();
            if parent == Some(own)
                && let Some(id) = name.to_str().and_then(|name| name.parse().ok())
            {
                parts.push(id);
            }
        }
        parts
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

fn launch(port: u16, settings: &[String], folder: &Path, servant: Option<(u32, u32)>) -> Process {
    let log = folder.join("postgres.log");
    let mut command = Command::new(binary("postgres"));
    command
        .current_dir(folder)
        .arg("-D")
        .arg(data(folder))
        .args(["-p", &port.to_string(), "-h", "127.0.0.1"])
        // No socket: nothing is left behind, and none of another server is met.
        .args(["-k", "", "-c", "shared_buffers=16MB"]);
    for setting in settings {
        command.args(["-c", setting]);
    }
    become_servant(&mut command, servant);
    Process::start(&mut command, &log)
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// A program of PostgreSQL: the newest of Debian's folders, or on the path.
fn binary(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    let folders: Vec<PathBuf> = versions.into_iter().map(|(_, folder)| folder).collect();
    program(&[name], &folders)
        .unwrap_or_else(|| panic!("there is no {name}: scripts/servers.sh installs PostgreSQL"))
}

/// User and group to run as, where the test's own is root.
fn servant(own: &Path) -> Option<(u32, u32)> {
    if fs::metadata(own).expect("temp dir").uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let found = SERVANTS.iter().find_map(|name| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(str::parse::<u32>);
        Some((ids.next()?.ok()?, ids.next()?.ok()?))
    });
    Some(found.expect("PostgreSQL does not run as root, and there is no other user for it"))
}

fn give(path: &Path, servant: Option<(u32, u32)>) {
    if let Some((user, group)) = servant {
        chown(path, Some(user), Some(group)).expect("chown");
    }
}

fn become_servant(command: &mut Command, servant: Option<(u32, u32)>) {
    if let Some((user, group)) = servant {
        command.uid(user).gid(group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_keeps_what_was_committed_and_freezes_when_told() {
        let mut postgres = Postgres::start();
        postgres
            .sql("CREATE TABLE a (b INT); INSERT INTO a VALUES (7)")
            .unwrap();
        postgres.freeze();
        assert!(postgres.sql("SELECT b FROM a").is_err());
        postgres.thaw();
        assert_eq!(postgres.sql("SELECT b FROM a").unwrap(), "7");
        postgres.kill();
        assert!(postgres.sql("SELECT b FROM a").is_err());
        postgres.restart();
        assert_eq!(postgres.sql("SELECT b FROM a").unwrap(), "7");
    }
}
