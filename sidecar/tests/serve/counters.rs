//! Services that count in one Redis: together, and when it fails.

#![expect(clippy::disallowed_methods, reason = "tests wait on the real clock")]

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_servers::postgres::Postgres;
use test_servers::redis::Redis;

use crate::process::{Service, admit, record, share};

/// An answer has to come within this, whatever Redis does.
const BOUND: Duration = Duration::from_millis(1_500);

fn nano(value: &Value) -> i64 {
    (value.as_f64().unwrap_or_else(|| panic!("{value}")) * 1e9).round() as i64
}

fn shown(service: &Service, key: &str) -> (i64, i64) {
    let path = format!("/admin/virtual-keys/{key}");
    let shown = service.admin("GET", &path, None).good();
    (nano(&shown["spent_usd"]), nano(&shown["held_usd"]))
}

/// Holds money, in time.
fn ask(service: &Service, exchange: &str, key: &str, nano: i64) -> Value {
    let started = Instant::now();
    let answer = service
        .internal("admit", &admit(exchange, key, nano))
        .good();
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
    answer
}

fn settle(service: &Service, exchange: &str, key: &str, nano: i64) {
    let started = Instant::now();
    let body = json!({"records": [record(exchange, key, nano)]});
    service.internal("settle", &body).good();
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
}

fn code(answer: &Value) -> &str {
    answer["refused"]["code"].as_str().unwrap_or("granted")
}

/// Tries until it is so.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn start(folder: &Path, redis: &Redis) -> (Service, Postgres) {
    let postgres = share(folder, &redis.url());
    (Service::start_with(folder, false), postgres)
}

#[test]
fn a_redis_that_goes_and_comes_back_empty_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start();
    let (service, _postgres) = start(folder.path(), &redis);
    let (key, _) = service.new_key(json!({"name": "k", "budget_limit_usd": 0.00001}));
    for exchange in ["a", "b", "c"] {
        assert_eq!(code(&ask(&service, exchange, &key, 2_000)), "granted");
    }
    settle(&service, "a", &key, 1_500);
    assert_eq!(shown(&service, &key), (1_500, 4_000));

    redis.kill();
    for exchange in ["d", "e"] {
        assert_eq!(code(&ask(&service, exchange, &key, 1)), "state_unavailable");
    }
    assert_eq!(service.admin("GET", "/health", None).status, 503);
    // Durable all the same, and counted when Redis is back.
    settle(&service, "b", &key, 1_000);
    redis.restart();
    // Renewed: it runs.
    service.internal("renew", &json!({"live": [["c", 1]]}));
    until("it admits again", || {
        code(&ask(&service, "f", &key, 1_000)) == "granted"
    });
    until("b is counted", || shown(&service, &key) == (2_500, 3_000));
    // 10,000 less 2,500 spent and 3,000 held.
    assert_eq!(code(&ask(&service, "g", &key, 4_501)), "budget_exceeded");
    assert_eq!(code(&ask(&service, "h", &key, 4_500)), "granted");
    for exchange in ["b", "c", "f", "h"] {
        settle(&service, exchange, &key, 1_000);
    }
    until("all are settled", || shown(&service, &key) == (5_500, 0));
}

#[test]
fn a_redis_that_forgets_while_it_runs_is_filled_again() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start();
    let (service, _postgres) = start(folder.path(), &redis);
    let (key, _) = service.new_key(json!({"name": "k", "budget_limit_usd": 0.00001}));
    ask(&service, "a", &key, 3_000);
    ask(&service, "b", &key, 3_000);
    settle(&service, "a", &key, 2_000);
    redis.command("FLUSHALL").unwrap();
    assert_eq!(code(&ask(&service, "c", &key, 1)), "state_unavailable");
    settle(&service, "a", &key, 2_000);
    until("it admits again", || {
        code(&ask(&service, "d", &key, 5_001)) == "budget_exceeded"
    });
    assert_eq!(shown(&service, &key), (2_000, 3_000));
    assert_eq!(code(&ask(&service, "e", &key, 5_000)), "granted");
    settle(&service, "b", &key, 3_000);
    settle(&service, "e", &key, 5_000);
    assert_eq!(shown(&service, &key), (10_000, 0));
}

#[test]
fn a_hold_grows_when_redis_is_back_soon() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start();
    let (service, _postgres) = start(folder.path(), &redis);
    let (key, _) = service.new_key(json!({"name": "k", "budget_limit_usd": 0.00001}));
    assert_eq!(code(&ask(&service, "a", &key, 2_000)), "granted");
    let grow = json!({"live": [], "grow": {"id": "a", "by_nano": 500}});
    redis.freeze();
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| service.internal("renew", &grow).good());
        std::thread::sleep(Duration::from_millis(700));
        redis.thaw();
        assert_eq!(answer.join().unwrap()["grown_nano"], 500);
    });
    // What it did after all, though nobody waited any more, stays held until the end.
    let (_, held) = shown(&service, &key);
    assert!((2_500..=4_000).contains(&held), "{held}");
    redis.freeze();
    let started = Instant::now();
    assert_eq!(service.internal("renew", &grow).status, 503);
    // Filters wait for two seconds.
    assert!(started.elapsed() < Duration::from_millis(1_900));
    redis.thaw();
    settle(&service, "a", &key, 2_200);
    until("it is settled", || shown(&service, &key) == (2_200, 0));
}

#[test]
fn a_redis_that_freezes_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start();
    let (service, _postgres) = start(folder.path(), &redis);
    let (key, _) = service.new_key(json!({"name": "k", "budget_limit_usd": 0.00001}));
    ask(&service, "a", &key, 1_000);
    redis.freeze();
    for exchange in ["b", "c", "d"] {
        let started = Instant::now();
        assert_eq!(
            code(&ask(&service, exchange, &key, 1_000)),
            "state_unavailable"
        );
        // Filters wait for two seconds.
        assert!(started.elapsed() < Duration::from_millis(1_900));
    }
    settle(&service, "a", &key, 700);
    // The filter tells of what was refused, which gives back what may be held all the same.
    for exchange in ["b", "c", "d"] {
        settle(&service, exchange, &key, 0);
    }
    redis.thaw();
    until("it admits again", || {
        code(&ask(&service, "e", &key, 100)) == "granted"
    });
    until("nothing else is held", || {
        shown(&service, &key) == (700, 100)
    });
}

#[test]
fn two_services_share_a_budget_and_settle_for_each_other() {
    let redis = Redis::start();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (one, _postgres) = start(folders[0].path(), &redis);
    let stores = folders
        .each_ref()
        .map(|folder| folder.path().join("stores"));
    std::fs::copy(&stores[0], &stores[1]).unwrap();
    let sealed = folders.each_ref().map(|folder| folder.path().join("data"));
    std::fs::create_dir_all(&sealed[1]).unwrap();
    std::fs::copy(sealed[0].join("secret.key"), sealed[1].join("secret.key")).unwrap();
    let other = Service::start_with(folders[1].path(), false);
    let keys = one.admin("GET", "/admin/virtual-keys", None).good();
    let key = keys["data"][0]["id"].as_str().unwrap().to_owned();
    for (count, service) in [&one, &other, &one].into_iter().enumerate() {
        let answer = ask(service, &format!("x{count}"), &key, 10);
        let left = &answer["granted"]["rate"]["requests"]["remaining"];
        assert_eq!(*left, 2 - count, "{answer}");
    }
    assert_eq!(code(&ask(&other, "x3", &key, 10)), "rate_limit_exceeded");
    for service in [&other, &one] {
        settle(service, "x0", &key, 7);
        assert_eq!(shown(service, &key), (7, 20));
    }
}
