//! A gateway whose ledger is in PostgreSQL, while that is killed, frozen and away: clients notice
//! nothing, and the ledger has every exchange once.

use std::time::{Duration, Instant};

use e2e::client::{prompt, streaming};
use e2e::gateway::Gateway;
use e2e::postgres::Postgres;
use e2e::setup::Setup;
use serde_json::json;

/// The longest that a request may take whatever becomes of the database.
const BOUND: Duration = Duration::from_secs(5);

/// `count` exchanges at a time, every second one a stream.
async fn traffic(gateway: &Gateway, count: usize) {
    let began = Instant::now();
    let mut asks = Vec::new();
    for index in 0..count {
        let body = match index % 2 {
            0 => prompt("gpt-4o-mini", "count me"),
            _ => streaming("gpt-4o-mini", "count me"),
        };
        asks.push(gateway.chat(&body).send());
    }
    for answer in futures_util::future::join_all(asks).await {
        answer.good();
    }
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
}

/// Waits until the database has so many exchanges, each once and in every sum.
async fn complete(postgres: &Postgres, count: usize) {
    let sql = "SELECT COUNT(*), COUNT(DISTINCT exchange_id), SUM(cost_nano) > 0, \
               SUM(cost_nano) = (SELECT SUM(cost_nano) FROM usage_daily), \
               SUM(cost_nano) = (SELECT SUM(cost_nano) FROM spend_daily WHERE scope = 'global'), \
               SUM(cost) * 1000000000 = SUM(cost_nano) \
               FROM llm_usage_log WHERE model = 'gpt-4o-mini' AND ending = 'done'";
    let expected = format!("{count}|{count}|t|t|t|t");
    let began = Instant::now();
    loop {
        let found = postgres.sql(sql).unwrap_or_else(|error| error);
        if found == expected {
            return;
        }
        let patient = began.elapsed() < Duration::from_secs(30);
        assert!(patient, "{found}, and not {expected}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_frozen_or_away_is_nothing_that_clients_see() {
    let mut postgres = Postgres::start();
    let url = postgres.url();
    let setup = Setup::default().with(move |config| config["store"] = json!({"database": url}));
    let gateway = Gateway::start(setup).await;
    traffic(&gateway, 20).await;
    complete(&postgres, 20).await;

    postgres.kill();
    traffic(&gateway, 20).await;
    let health = gateway.get("/health").send().await.good().json();
    assert_eq!(health["parts"]["store"], "ok", "{health}");
    let refused = gateway
        .admin("POST", "/admin/virtual-keys", Some(json!({"name": "no"})))
        .await;
    assert_eq!(refused.status, 503, "{refused}");

    // Both are gone, and what waits is on the disk.
    gateway.kill_sidecar();
    gateway.restart_sidecar();
    gateway.ready().await;
    traffic(&gateway, 20).await;
    postgres.restart();
    complete(&postgres, 60).await;

    postgres.freeze();
    for _ in 0..3 {
        traffic(&gateway, 10).await;
    }
    postgres.thaw();
    complete(&postgres, 90).await;
    let (_, key) = gateway.new_key(json!({"name": "yes"})).await;
    assert_eq!(key["name"], "yes");
    gateway.assert_sound().await;
}
