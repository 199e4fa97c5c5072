//! What clients get while stores and services fail, and that all is as it was afterwards: a defined
//! status in a bounded time, nothing that was acknowledged lost, nothing charged twice, no hand needed.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::behaviour::Behaviour;
use e2e::client::{marker, prompt, streaming};
use e2e::fleet::Fleet;
use e2e::gateway::Gateway;
use e2e::over_both_stores;
use e2e::setup::Setup;
use e2e::stores::{Store, Stores};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::ledger;

/// The longest that a client waits for a status, whatever has failed.
const STATUS_WITHIN: Duration = Duration::from_millis(2_500);
/// The longest until requests are served again.
const BACK_WITHIN: Duration = Duration::from_secs(15);

/// A gateway that fails, and what it owes.
struct Drill {
    gateway: Arc<Gateway>,
    key: String,
    id: String,
    /// Complete answers so far: each is charged once.
    good: usize,
}

impl Drill {
    async fn start(store: Store) -> Drill {
        // A lease would admit some requests without the stores.
        let setup = Setup::over(store).with(|config| config["sidecar"]["leases"] = json!(false));
        let gateway = Arc::new(Gateway::start(setup).await);
        let (key, record) = gateway.new_key(json!({"budget_limit_usd": 100})).await;
        let id = record["id"].as_str().expect("id").to_owned();
        let mut drill = Drill {
            gateway,
            key,
            id,
            good: 0,
        };
        drill.round(&["200"]).await;
        drill
    }

    fn stores(&self) -> &Stores {
        self.gateway.stores.as_ref().expect("shared stores")
    }

    /// Some requests at the same time, every second one a stream: each gets one of these answers, in time.
    async fn round(&mut self, allowed: &[&str]) {
        let (gateway, key) = (&self.gateway, &self.key);
        let asks = (0..8).map(|index| async move {
            let body = match index % 2 {
                0 => prompt("gpt-4o-mini", &marker()),
                _ => streaming("gpt-4o-mini", &marker()),
            };
            let began = Instant::now();
            let answer = gateway.chat_as(key, &body).send().await;
            (answer, began.elapsed())
        });
        for (answer, took) in futures_util::future::join_all(asks).await {
            assert!(!answer.broken && took < STATUS_WITHIN, "{took:?} {answer}");
            let told = match answer.status {
                200 => "200".to_owned(),
                status => format!("{status} {}", answer.code()),
            };
            assert!(allowed.contains(&told.as_str()), "{allowed:?}: {answer}");
            self.good += usize::from(answer.status == 200);
        }
    }

    /// A stream that runs for some seconds, and has begun.
    async fn running(&mut self) -> JoinHandle<e2e::client::Answer> {
        let mark = marker();
        let slow = Behaviour {
            chunks: Some(40),
            chunk_ms: 100,
            ..Behaviour::default()
        };
        self.gateway.provider.next(1, &mark, slow).await;
        let body = streaming("gpt-4o-mini", &mark);
        // On a busy machine a Redis that answers late refuses one now and then.
        for _ in 0..5 {
            let (gateway, key, body) = (self.gateway.clone(), self.key.clone(), body.clone());
            let running = tokio::spawn(async move { gateway.chat_as(&key, &body).send().await });
            while !running.is_finished() {
                let seen = self.gateway.provider.requests(&mark).await;
                if seen.iter().any(|seen| seen.chunks_sent > 0) {
                    self.good += 1;
                    return running;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let refused = running.await.expect("an answer");
            refused.refused(503, "state_unavailable");
        }
        panic!("no stream begins");
    }

    /// Asks until all is served again.
    async fn back(&mut self) {
        let began = Instant::now();
        let mut in_a_row = 0;
        while in_a_row < 8 {
            let body = prompt("gpt-4o-mini", &marker());
            let answer = self.gateway.chat_as(&self.key, &body).send().await;
            in_a_row = if answer.status == 200 {
                in_a_row + 1
            } else {
                0
            };
            self.good += usize::from(answer.status == 200);
            assert!(began.elapsed() < BACK_WITHIN, "{answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Every answer is in the ledger once, its sum is what is counted, and nothing is held.
    async fn whole(&self) {
        let path = format!("/admin/virtual-keys/{}", self.id);
        let began = Instant::now();
        loop {
            let lines = ledger::lines(&self.gateway, &self.id);
            let shown = self.gateway.admin("GET", &path, None).await;
            let shown: Value = serde_json::from_slice(&shown.body).unwrap_or_default();
            let of = |name: &str| ledger::nano(shown[name].as_f64().unwrap_or(f64::NAN));
            let done = lines
                .iter()
                .filter(|line| line.ending == "done" && line.cost_nano > 0);
            let told = (done.count(), of("spent_usd"), of("held_usd"));
            if told == (self.good, ledger::sum(&lines), 0) && lines.len() == self.good {
                return;
            }
            let patient = began.elapsed() < Duration::from_secs(20);
            assert!(patient, "{told:?} for {} answers: {lines:#?}", self.good);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Something fails while a stream runs, and comes back.
    async fn failure(
        &mut self,
        fail: impl FnOnce(&Stores),
        allowed: &[&str],
        mend: impl FnOnce(&Stores),
    ) {
        let running = self.running().await;
        fail(self.stores());
        self.round(allowed).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.round(allowed).await;
        mend(self.stores());
        self.back().await;
        let answer = running.await.expect("the stream");
        assert!(answer.good().done(), "{answer}");
        self.whole().await;
    }
}

const REFUSED: &[&str] = &["503 state_unavailable"];
const EITHER: &[&str] = &["200", "503 state_unavailable"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_fails_refuses_new_requests_and_nothing_else() {
    let mut drill = Drill::start(Store::Shared).await;
    let frozen = |stores: &Stores| stores.redis().freeze();
    let thawed = |stores: &Stores| stores.redis().thaw();
    drill.failure(frozen, REFUSED, thawed).await;

    let killed = |stores: &Stores| stores.redis().kill();
    drill
        .failure(killed, REFUSED, |stores| stores.redis().restart())
        .await;
    drill
        .failure(killed, REFUSED, |stores| stores.redis().restart_empty())
        .await;

    let emptied = |stores: &Stores| drop(stores.redis().command("FLUSHALL").expect("FLUSHALL"));
    drill.failure(emptied, EITHER, |_| {}).await;
    drill.gateway.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_redis_serves_or_refuses_in_time() {
    let mut drill = Drill::start(Store::Shared).await;
    for stopped_ms in [200, 1_200] {
        let before = drill.good;
        let gateway = drill.gateway.clone();
        let slow = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let stores = gateway.stores.as_ref().expect("shared stores");
            while began.elapsed() < Duration::from_secs(4) {
                stores.redis().freeze();
                std::thread::sleep(Duration::from_millis(stopped_ms));
                stores.redis().thaw();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        for _ in 0..4 {
            drill.round(EITHER).await;
        }
        // A pause is shorter than an answer may take, or longer.
        assert!(drill.good > before || stopped_ms > 1_000);
        slow.await.expect("the slowing down");
        drill.back().await;
        drill.whole().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_stores_gone_and_the_service_too_lose_nothing() {
    let mut drill = Drill::start(Store::Shared).await;
    let gone = |stores: &Stores| {
        stores.redis().kill();
        stores.postgres().kill();
    };
    let back = |stores: &Stores| {
        stores.postgres().restart();
        stores.redis().restart_empty();
    };
    drill.failure(gone, REFUSED, back).await;

    let running = drill.running().await;
    gone(drill.stores());
    drill.round(REFUSED).await;
    drill.gateway.kill_sidecar();
    drill.round(REFUSED).await;
    let answer = running.await.expect("the stream");
    assert!(answer.good().done(), "{answer}");
    drill.gateway.restart_sidecar();
    drill.round(REFUSED).await;
    back(drill.stores());
    drill.back().await;
    drill.whole().await;
    drill.gateway.assert_sound().await;
}

over_both_stores!(a_full_disk_loses_nothing);

async fn a_full_disk_loses_nothing(store: Store) {
    let mut drill = Drill::start(store).await;
    let gateway = drill.gateway.clone();
    let may_write = |bytes: &str| {
        let pid = gateway.sidecar_id().to_string();
        let limit = format!("--fsize={bytes}:unlimited");
        let done = Command::new("prlimit")
            .args(["--pid", &pid, &limit])
            .status();
        assert!(done.expect("prlimit, of util-linux").success());
    };
    // Where holds are on the same disk, none can be noted any more.
    let allowed = match store {
        Store::Embedded => REFUSED,
        Store::Shared => &["200"],
    };
    may_write("0");
    drill.round(allowed).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    drill.round(allowed).await;
    let health = gateway.get("/health").send().await;
    assert_eq!(health.status, 503, "{health}");
    may_write("unlimited");
    drill.back().await;
    drill.whole().await;
    drill.gateway.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_services_of_three_that_die_are_missed_only_where_they_served() {
    let fleet = Arc::new(Fleet::start(3, Setup::default).await);
    let members = json!({"name": "k", "budget_limit_usd": 100});
    let (key, id) = fleet.new_key(&members).await;
    let slow = Behaviour {
        chunks: Some(30),
        chunk_ms: 100,
        ..Behaviour::default()
    };
    let path = "/v1/chat/completions";
    let mut running = tokio::task::JoinSet::new();
    for place in 0..3 {
        let (fleet, key) = (fleet.clone(), key.clone());
        let body = streaming("gpt-4o-mini", &slow.directive());
        running.spawn(async move { fleet.post(place, &key, path, &body).send().await });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for place in [1, 2] {
        fleet.places[place].sidecar().kill();
    }
    let mut good = 3;
    for count in 0..24 {
        let body = prompt("gpt-4o-mini", &marker());
        let began = Instant::now();
        let answer = fleet.post(count % 3, &key, path, &body).send().await;
        assert!(began.elapsed() < STATUS_WITHIN, "{:?}", began.elapsed());
        if count % 3 == 0 {
            answer.good();
            good += 1;
        } else {
            answer.refused(503, "state_unavailable");
        }
    }
    for answer in running.join_all().await {
        assert!(answer.good().done(), "{answer}");
    }
    for place in [1, 2] {
        fleet.places[place].restart_sidecar();
        fleet.ready(place).await;
        let body = prompt("gpt-4o-mini", &marker());
        fleet.post(place, &key, path, &body).send().await.good();
        good += 1;
    }
    let sql = format!(
        "SELECT COUNT(*), SUM(cost_nano) FROM llm_usage_log WHERE key_id = '{id}' AND ending = 'done'"
    );
    let began = Instant::now();
    loop {
        let rows = fleet.stores.postgres().sql(&sql).expect("the ledger");
        let (count, sum) = rows.split_once('|').expect("two columns");
        let mut shown = Vec::new();
        for place in 0..3 {
            let key = fleet
                .shown(place, &format!("/admin/virtual-keys/{id}"))
                .await;
            let key = key.unwrap_or_default();
            let of = |name: &str| ledger::nano(key[name].as_f64().unwrap_or(f64::NAN));
            shown.push((of("spent_usd").to_string(), of("held_usd")));
        }
        if count == good.to_string() && shown.iter().all(|told| *told == (sum.to_owned(), 0)) {
            return;
        }
        let patient = began.elapsed() < Duration::from_secs(20);
        assert!(patient, "{rows}, {good} answers: {shown:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
