//! A fake provider process and what it has seen.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::artefact;
use crate::behaviour::{Behaviour, Recorded, Script};
use crate::process::Process;

/// A running fake provider.
pub struct FakeProvider {
    process: Process,
    port: u16,
    http: reqwest::Client,
}

impl FakeProvider {
    /// Starts one on a free port.
    pub fn start(folder: &Path) -> FakeProvider {
        let mut child = Command::new(artefact::fake_provider())
            .args(["--port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("fake-provider");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the port");
        let port = line.trim().parse().expect("the port");
        let process = Process::adopt(child, folder.join("fake-provider.log"));
        FakeProvider {
            process,
            port,
            http: reqwest::Client::new(),
        }
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// `http://127.0.0.1:port` and `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Every request so far whose body or path contains `marker`, in order of arrival.
    pub async fn requests(&self, marker: &str) -> Vec<Recorded> {
        let answer = self
            .http
            .get(self.url("/_requests"))
            .send()
            .await
            .expect("fake provider");
        let all: Vec<Recorded> = answer.json().await.expect("records");
        all.into_iter()
            .filter(|request| request.body.contains(marker) || request.path.contains(marker))
            .collect()
    }

    /// The only one of these requests.
    #[track_caller]
    pub fn only(requests: Vec<Recorded>) -> Recorded {
        let count = requests.len();
        match <[Recorded; 1]>::try_from(requests) {
            Ok([request]) => request,
            Err(all) => panic!("expected one request at the provider, got {count}: {all:#?}"),
        }
    }

    /// Waits until a request with `marker` fulfils `wanted`.
    pub async fn wait(&self, marker: &str, wanted: impl Fn(&Recorded) -> bool) -> Recorded {
        let started = Instant::now();
        loop {
            let requests = self.requests(marker).await;
            if let Some(found) = requests.iter().find(|request| wanted(request)) {
                return found.clone();
            }
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "never happened: {requests:#?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Adds a script.
    pub async fn script(&self, script: &Script) {
        let answer = self
            .http
            .post(self.url("/_script"))
            .json(script)
            .send()
            .await
            .expect("fake provider");
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }

    /// The next `times` requests whose body contains `marker` get this answer.
    pub async fn next(&self, times: u32, marker: &str, behaviour: Behaviour) {
        let contains = Some(marker.to_owned());
        self.script(&Script {
            times,
            contains,
            behaviour,
            ..Script::default()
        })
        .await;
    }
}
