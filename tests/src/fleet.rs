//! Several gateways that share their stores: each an Envoy with a state service of its own.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Answer, Ask};
use crate::gateway::{render, start_envoy, start_sidecar};
use crate::process::Process;
use crate::provider::FakeProvider;
use crate::setup::{ADMIN_TOKEN, KEY, Ports, Setup};
use crate::stores::Stores;

/// Longest time until a place answers.
const START_PATIENCE: Duration = Duration::from_secs(180);

/// Several places before one provider; dropping it ends every process.
pub struct Fleet {
    /// What they share.
    pub stores: Stores,
    /// The provider behind all of them.
    pub provider: FakeProvider,
    /// An Envoy and its state service each.
    pub places: Vec<Place>,
    http: reqwest::Client,
    keep: Option<tempfile::TempDir>,
}

/// An Envoy and its state service.
pub struct Place {
    /// Where they listen.
    pub ports: Ports,
    folder: PathBuf,
    config: PathBuf,
    envoy_config: PathBuf,
    workers: u32,
    envoy: Mutex<Process>,
    sidecar: Mutex<Process>,
}

impl Fleet {
    /// Starts `count` places with the same setup, one after the other, and waits until all answer.
    pub async fn start(count: usize, setup: impl Fn() -> Setup) -> Fleet {
        Fleet::start_on(Stores::start(), count, setup).await
    }

    /// The same on these stores.
    pub async fn start_on(stores: Stores, count: usize, setup: impl Fn() -> Setup) -> Fleet {
        let keep = tempfile::Builder::new().prefix("weir-fleet-").tempdir();
        let keep = keep.expect("temp dir");
        let provider = FakeProvider::start(keep.path());
        let places = (0..count)
            .map(|index| {
                let folder = keep.path().join(format!("place{index}"));
                std::fs::create_dir_all(&folder).expect("folder");
                let store = stores.config();
                let setup = setup().with(move |config| config["store"] = store);
                Place::start(folder, setup, &provider.url(""))
            })
            .collect();
        let fleet = Fleet {
            stores,
            provider,
            places,
            http: reqwest::Client::new(),
            keep: Some(keep),
        };
        for index in 0..count {
            fleet.ready(index).await;
        }
        fleet
    }

    /// Waits until a place answers `/health` with 200 and lists models.
    pub async fn ready(&self, place: usize) {
        let started = Instant::now();
        let mut in_a_row = 0;
        let mut last = String::new();
        while in_a_row < 6 {
            let patient = started.elapsed() < START_PATIENCE;
            assert!(
                patient,
                "place {place} is not ready: {last}\n{}",
                self.logs(40)
            );
            // A fresh client has a fresh connection, which the kernel gives to any worker.
            let fresh = reqwest::Client::builder().timeout(Duration::from_secs(5));
            let fresh = fresh.build().expect("client");
            let health = fresh.get(self.url(place, "/health")).send().await;
            let models = fresh.get(self.url(place, "/v1/models")).bearer_auth(KEY);
            let statuses = [health, models.send().await].map(|answer| answer.map(|it| it.status()));
            if statuses
                .iter()
                .all(|status| status.as_ref().is_ok_and(|status| status.is_success()))
            {
                in_a_row += 1;
            } else {
                in_a_row = 0;
                last = format!("{statuses:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// The public address of a place and `path`.
    pub fn url(&self, place: usize, path: &str) -> String {
        self.places[place].url(path)
    }

    /// `POST path` at a place with a key and a JSON body.
    pub fn post(&self, place: usize, key: &str, path: &str, body: &Value) -> Ask {
        let builder = self.http.post(self.url(place, path)).json(body);
        Ask { builder }.key(key)
    }

    /// A call of a place's admin interface with its token.
    pub async fn admin(
        &self,
        place: usize,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let method = method.parse().expect("method");
        let mut builder = self.http.request(method, self.url(place, path));
        if let Some(body) = body {
            builder = builder.json(body);
        }
        let builder = builder.bearer_auth(ADMIN_TOKEN);
        Ask { builder }.send().await
    }

    /// What a read of a place's admin interface shows, past its Envoy; `None` when it does not answer.
    pub async fn shown(&self, place: usize, path: &str) -> Option<Value> {
        serde_json::from_str(&self.read(place, path).await?).ok()
    }

    /// A metric without labels, past the place's Envoy.
    pub async fn metric(&self, place: usize, name: &str) -> Option<f64> {
        let text = self.read(place, "/metrics").await?;
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let (_, value) = lines.find(|(metric, _)| *metric == name)?;
        value.parse().ok()
    }

    async fn read(&self, place: usize, path: &str) -> Option<String> {
        self.read_from(self.places[place].ports.admin, path).await
    }

    /// What a place's Envoy says at its own admin interface.
    pub async fn envoy(&self, place: usize, path: &str) -> Option<String> {
        self.read_from(self.places[place].ports.envoy_admin, path)
            .await
    }

    async fn read_from(&self, port: u16, path: &str) -> Option<String> {
        let url = format!("http://127.0.0.1:{port}{path}");
        let ask = self.http.get(url).bearer_auth(ADMIN_TOKEN);
        let answer = ask.timeout(Duration::from_secs(10)).send().await.ok()?;
        match answer.status().is_success() {
            true => answer.text().await.ok(),
            false => None,
        }
    }

    /// A new virtual key with these members, once every place knows it; key and public id.
    pub async fn new_key(&self, members: &Value) -> (String, String) {
        let made = self.admin(0, "POST", "/admin/virtual-keys", Some(members));
        let record = made.await.good().json();
        let of = |name: &str| record[name].as_str().expect("a key").to_owned();
        let (key, id) = (of("virtual_key"), of("id"));
        let path = format!("/admin/virtual-keys/{id}");
        for place in 0..self.places.len() {
            let started = Instant::now();
            while self.shown(place, &path).await.is_none() {
                let patient = started.elapsed() < START_PATIENCE;
                assert!(patient, "place {place} does not know {members}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        (key, id)
    }

    /// The last lines that everybody has logged.
    pub fn logs(&self, lines: usize) -> String {
        let places = self.places.iter().enumerate();
        let tails = places.flat_map(|(index, place)| {
            [("state service", place.sidecar()), ("envoy", place.envoy())]
                .map(|(name, process)| format!("--- {name} {index}\n{}", process.tail(lines)))
        });
        tails.collect::<Vec<_>>().join("\n")
    }

    /// Where configurations, data and logs of all places are.
    pub fn folder(&self) -> &Path {
        self.keep.as_ref().map_or(Path::new(""), |keep| keep.path())
    }

    /// Keeps configuration, data and logs; says where.
    pub fn keep(&mut self) -> PathBuf {
        let kept = self.keep.take().map(tempfile::TempDir::keep);
        kept.unwrap_or_default()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs(12));
            let folder = self.keep();
            eprintln!("logs are kept in {}", folder.display());
        }
    }
}

impl Place {
    fn start(folder: PathBuf, setup: Setup, provider: &str) -> Place {
        let ports = Ports::free();
        let workers = setup.workers;
        let data = folder.join("data");
        let written = setup.config(provider, &ports, &data.display().to_string());
        let config = folder.join("weir.yaml");
        std::fs::write(&config, format!("{written:#}")).expect("weir.yaml");
        let sidecar = start_sidecar(&config, &folder);
        let envoy_config = render(&config, None, &folder);
        let envoy = start_envoy(&envoy_config, workers, &folder);
        Place {
            ports,
            config,
            envoy_config,
            workers,
            envoy: Mutex::new(envoy),
            sidecar: Mutex::new(sidecar),
            folder,
        }
    }

    /// The public address and `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.listen)
    }

    /// Where configuration, data and logs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The state service; nobody else changes it meanwhile.
    pub fn sidecar(&self) -> MutexGuard<'_, Process> {
        self.sidecar.lock().expect("sidecar")
    }

    /// Envoy; nobody else changes it meanwhile.
    pub fn envoy(&self) -> MutexGuard<'_, Process> {
        self.envoy.lock().expect("envoy")
    }

    /// Starts the state service again on the same data.
    pub fn restart_sidecar(&self) {
        let mut sidecar = self.sidecar();
        sidecar.kill();
        *sidecar = start_sidecar(&self.config, &self.folder);
    }

    /// Starts Envoy again.
    pub fn restart_envoy(&self) {
        let mut envoy = self.envoy();
        envoy.kill();
        *envoy = start_envoy(&self.envoy_config, self.workers, &self.folder);
    }
}
