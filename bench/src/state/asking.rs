//! Admissions as filters ask for them, settled in batches as filters settle.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use engine::cache_key::sha256_hex;
use engine::usage::Usage;
use engine::wire::{
    Admission, Admit, CacheStatus, Ending, KeyAnswer, KeyLookup, PATH_ADMIT, PATH_KEY, PATH_SETTLE,
    Quote, Settle, Settled, UsageRecord,
};
use serde::Serialize;
use tokio::task::LocalSet;

use crate::http::Connection;
use crate::prompt;
use crate::report::quantile;
use crate::stage::Service;

/// How often a filter settles.
const SETTLE_EVERY: Duration = Duration::from_millis(10);
const START_PATIENCE: Duration = Duration::from_secs(60);
const TOKENS_IN: u64 = 190;
const TOKENS_OUT: u64 = 72;

/// What a closed loop of them got done.
pub(super) struct Admissions {
    /// Admitted and settled a second.
    pub(super) rate: f64,
    /// CPU time of the service for each.
    pub(super) cpu_us: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Not among them: nobody could tell in time.
    pub(super) refused: u64,
}

/// What those who ask have in common.
struct Crowd {
    socket: PathBuf,
    key: String,
    /// Tells this crowd's exchanges from those of others.
    seed: u64,
    until: Instant,
    next: Cell<u64>,
    running: Cell<usize>,
    over: RefCell<Vec<UsageRecord>>,
    waits: RefCell<Vec<Duration>>,
    refused: Cell<u64>,
}

impl Admissions {
    /// `asking` connections, each of which asks again when it has its answer, and one that settles.
    pub(super) async fn measure(service: &Service, asking: usize, span: Duration) -> Admissions {
        let socket = service.internal();
        let key = key_of(&socket).await;
        admits(&socket, &key).await;
        // Statements are prepared and connections open before anything counts.
        crowd(&socket, &key, asking, span / 4).await;
        let before = service.cpu();
        let started = Instant::now();
        let (waits, refused) = crowd(&socket, &key, asking, span).await;
        let took = started.elapsed();
        let cpu = service.cpu().saturating_sub(before);
        let count = waits.len().max(1) as f64;
        Admissions {
            rate: count / took.as_secs_f64(),
            cpu_us: cpu.as_secs_f64() * 1e6 / count,
            p50_ms: quantile(waits.clone(), 0.50),
            p99_ms: quantile(waits, 0.99),
            refused,
        }
    }
}

/// How long each of them waited, and how many were refused; all is settled when it ends.
async fn crowd(socket: &Path, key: &str, asking: usize, span: Duration) -> (Vec<Duration>, u64) {
    let crowd = Rc::new(Crowd {
        socket: socket.to_owned(),
        key: key.to_owned(),
        seed: now_ms(),
        until: Instant::now() + span,
        next: Cell::new(0),
        running: Cell::new(asking),
        over: RefCell::default(),
        waits: RefCell::default(),
        refused: Cell::default(),
    });
    let tasks = LocalSet::new();
    for _ in 0..asking {
        tasks.spawn_local(ask(crowd.clone()));
    }
    tasks.spawn_local(settle(crowd.clone()));
    tasks.await;
    (crowd.waits.take(), crowd.refused.get())
}

async fn ask(crowd: Rc<Crowd>) {
    let connection = Connection::open_unix(&crowd.socket).await;
    let mut connection = connection.expect("a connection");
    while Instant::now() < crowd.until {
        let number = crowd.next.replace(crowd.next.get() + 1);
        let exchange = format!("wr-{:011x}{number:022x}", crowd.seed);
        let request = posted(PATH_ADMIT, &admit(&crowd.key, &exchange));
        let started = Instant::now();
        let answer = connection.exchange(&request).await.expect("an answer");
        let waited = started.elapsed();
        assert!(answer.status == 200, "{}", connection.last());
        let admission: Admission = serde_json::from_slice(connection.body()).expect("an admission");
        match admission {
            Admission::Granted(_) => crowd.waits.borrow_mut().push(waited),
            // On a busy machine Redis may not answer in time.
            Admission::Refused(refused) if refused.code == "state_unavailable" => {
                crowd.refused.set(crowd.refused.get() + 1);
                continue;
            }
            other => panic!("{other:?}"),
        }
        crowd.over.borrow_mut().push(record(&crowd.key, exchange));
    }
    crowd.running.set(crowd.running.get() - 1);
}

async fn settle(crowd: Rc<Crowd>) {
    let connection = Connection::open_unix(&crowd.socket).await;
    let mut connection = connection.expect("a connection");
    loop {
        let last = crowd.running.get() == 0;
        let records = crowd.over.take();
        let count = records.len();
        if count > 0 {
            let leases = Vec::new();
            let request = posted(PATH_SETTLE, &Settle { records, leases });
            let answer = connection.exchange(&request).await.expect("an answer");
            assert!(answer.status == 200, "{}", connection.last());
            let settled: Settled = serde_json::from_slice(connection.body()).expect("an answer");
            assert_eq!(settled.durable as usize, count);
        }
        if last {
            return;
        }
        tokio::time::sleep(SETTLE_EVERY).await;
    }
}

/// The id of the key that load comes with, once the service answers.
async fn key_of(socket: &Path) -> String {
    let key_hash = sha256_hex(prompt::KEY.as_bytes());
    let request = posted(PATH_KEY, &KeyLookup { key_hash });
    let started = Instant::now();
    loop {
        if let Ok(mut connection) = Connection::open_unix(socket).await
            && connection.exchange(&request).await.is_ok()
            && let Ok(KeyAnswer::Known(known)) = serde_json::from_slice(connection.body())
        {
            return known.id;
        }
        assert!(started.elapsed() < START_PATIENCE, "no state service");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the service admits: counters in Redis are filled first.
async fn admits(socket: &Path, key: &str) {
    let started = Instant::now();
    let mut connection = Connection::open_unix(socket).await.expect("a connection");
    loop {
        let exchange = format!("wr-{:011x}-first", now_ms());
        let asked = posted(PATH_ADMIT, &admit(key, &exchange));
        connection.exchange(&asked).await.expect("an answer");
        let admission: Admission = serde_json::from_slice(connection.body()).expect("an admission");
        if let Admission::Granted(_) = admission {
            let (records, leases) = (vec![record(key, exchange)], Vec::new());
            let settle = posted(PATH_SETTLE, &Settle { records, leases });
            connection.exchange(&settle).await.expect("an answer");
            return;
        }
        assert!(started.elapsed() < START_PATIENCE, "{admission:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn posted(path: &str, message: &impl Serialize) -> Vec<u8> {
    let body = serde_json::to_string(message).expect("JSON");
    format!(
        "POST {path} HTTP/1.1\r\nhost: weir\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn admit(key: &str, exchange: &str) -> Admit {
    Admit {
        exchange: exchange.to_owned(),
        key: key.to_owned(),
        at_ms: now_ms(),
        targets: vec![Quote {
            provider: "bench".to_owned(),
            model: "gpt-4o-mini".to_owned(),
            input_nano: 28_500,
            output_nano_per_mtok: 600_000_000,
            output_max: 16_384,
        }],
        output_cap: Some(256),
        choices: 1,
        stream: false,
        tokens_in: TOKENS_IN,
        cache: None,
        user: String::new(),
        tags: Vec::new(),
        address: String::new(),
        sharing: String::new(),
    }
}

fn record(key: &str, exchange: String) -> UsageRecord {
    UsageRecord {
        trace_id: exchange.clone(),
        exchange,
        endpoint: "chat".to_owned(),
        key: key.to_owned(),
        user: String::new(),
        tags: Vec::new(),
        at_ms: now_ms(),
        duration_ms: 1,
        first_byte_ms: Some(1),
        provider: "bench".to_owned(),
        model: "gpt-4o-mini".to_owned(),
        status: 200,
        code: String::new(),
        ending: Ending::Done,
        stream: false,
        attempts: 1,
        usage: Usage {
            input: TOKENS_IN,
            output: TOKENS_OUT,
            ..Usage::default()
        },
        metered: false,
        cost_nano: 71_700,
        cache: CacheStatus::Off,
        pii: Vec::new(),
        pii_action: None,
        guard: Vec::new(),
        lease: None,
    }
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
