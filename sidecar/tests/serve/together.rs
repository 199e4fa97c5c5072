//! Services that count together: what one spends the others know, whoever is configured how, and whatever
//! dies or forgets.

#![expect(clippy::disallowed_methods, reason = "tests wait on the real clock")]

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_servers::postgres::Postgres;
use test_servers::redis::Redis;

use crate::process::{Service, admit, record, share};

const BUDGET: &str = "budgets: [{scope: model, name: m, limit_usd: 0.00001, period: daily}]\n";

/// What the ledger has in all.
pub(crate) const SUMS: &str = "SELECT SUM(cost_nano) FROM llm_usage_log";

pub(crate) fn nano(value: &Value) -> i64 {
    (value.as_f64().unwrap_or_else(|| panic!("{value}")) * 1e9).round() as i64
}

/// What a key has spent and holds, once anybody knows.
pub(crate) fn shown(service: &Service, key: &str) -> (i64, i64) {
    let path = format!("/admin/virtual-keys/{key}");
    let shown = service.admin("GET", &path, None);
    if shown.status != 200 {
        return (-1, -1);
    }
    let shown = shown.good();
    (nano(&shown["spent_usd"]), nano(&shown["held_usd"]))
}

/// What was spent of the budget of the model.
fn of_model(service: &Service) -> Option<i64> {
    let budgets = service.admin("GET", "/admin/budgets", None);
    if budgets.status != 200 {
        return None;
    }
    let budgets = budgets.json()["data"].as_array().unwrap().clone();
    let found = budgets.iter().find(|budget| budget["scope"] == "model");
    found.map(|budget| nano(&budget["spent_usd"]))
}

pub(crate) fn code(service: &Service, exchange: &str, key: &str, nano: i64) -> String {
    let answer = service
        .internal("admit", &admit(exchange, key, nano))
        .good();
    let code = answer["refused"]["code"].as_str().unwrap_or("granted");
    code.to_owned()
}

pub(crate) fn settle(service: &Service, exchange: &str, key: &str, nano: i64) {
    let mut record = record(exchange, key, nano);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    record["at_ms"] = json!(u64::try_from(since.unwrap().as_millis()).unwrap());
    let body = json!({"records": [record]});
    service.internal("settle", &body).good();
}

/// An exchange from its admission to its record.
pub(crate) fn spend(service: &Service, exchange: &str, key: &str, nano: i64) {
    assert_eq!(code(service, exchange, key, nano), "granted");
    settle(service, exchange, key, nano);
}

/// Tries until it is so. A service that has died may be waited for meanwhile.
pub(crate) fn until<T: PartialEq + std::fmt::Debug>(
    what: &str,
    wanted: &T,
    mut look: impl FnMut() -> T,
) {
    let started = Instant::now();
    loop {
        let seen = look();
        if seen == *wanted {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{what}: {seen:?} and not {wanted:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// It is so, and stays so for longer than anything takes that counts again.
pub(crate) fn stays<T: PartialEq + std::fmt::Debug>(
    what: &str,
    wanted: &T,
    mut look: impl FnMut() -> T,
) {
    until(what, wanted, &mut look);
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(look(), *wanted, "{what}");
}

/// A folder for another service beside one that has begun.
fn beside(first: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::copy(first.join("stores"), folder.path().join("stores")).unwrap();
    std::fs::copy(first.join("data/secret.key"), data.join("secret.key")).unwrap();
    folder
}

/// Two services on the same stores, and a key with a budget.
struct Two {
    folder: tempfile::TempDir,
    redis: Redis,
    postgres: Postgres,
    dies: Service,
    lives: Service,
    key: String,
    _second: tempfile::TempDir,
}

fn two() -> Two {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start();
    let postgres = share(folder.path(), &redis.url());
    let dies = Service::start_with(folder.path(), false);
    let second = beside(folder.path());
    let lives = Service::start_with(second.path(), false);
    let (key, _) = dies.new_key(json!({"name": "k", "budget_limit_usd": 0.00001}));
    Two {
        folder,
        redis,
        postgres,
        dies,
        lives,
        key,
        _second: second,
    }
}

fn local(folder: &Path, sql: &str) {
    let db = rusqlite::Connection::open(folder.join("data/weir.db")).unwrap();
    db.busy_timeout(Duration::from_secs(5)).unwrap();
    assert!(db.execute(sql, []).unwrap() > 0, "{sql}");
}

/// What the one epoch is called.
fn epoch(redis: &Redis) -> String {
    redis.command("GET weir:{all}:e").unwrap()
}

#[test]
fn a_budget_that_comes_back_knows_what_was_spent_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start();
    let _postgres = share(folder.path(), &redis.url());
    let service = Service::start_with(folder.path(), false);
    let (key, _) = service.new_key(json!({"name": "k"}));
    let budget = json!({"scope": "model", "name": "m", "limit_usd": 0.00001, "period": "daily"});
    let put = || {
        let set = service.admin("PUT", "/admin/budgets", Some(budget.clone()));
        set.good();
    };
    spend(&service, "before", &key, 500);
    put();
    until("the first time", &Some(500), || of_model(&service));
    spend(&service, "a", &key, 1_000);
    let path = "/admin/budgets?scope=model&name=m&period=daily";
    service.admin("DELETE", path, None).good();
    assert_eq!(of_model(&service), None);
    spend(&service, "b", &key, 2_000);
    put();
    until("the second time", &Some(3_500), || of_model(&service));
    assert_eq!(code(&service, "c", &key, 6_501), "budget_exceeded");
    assert_eq!(code(&service, "d", &key, 6_500), "granted");
}

#[test]
fn services_of_two_configurations_count_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start();
    let postgres = share(folder.path(), &redis.url());
    let old = Service::start_with(folder.path(), false);
    let (key, _) = old.new_key(json!({"name": "k"}));
    spend(&old, "a", &key, 1_000);
    let second = beside(folder.path());
    let new = Service::start_on(second.path(), false, BUDGET, &[]);
    until("what was before", &Some(1_000), || of_model(&new));
    for (count, service) in [&old, &new, &old, &new].into_iter().enumerate() {
        spend(service, &format!("b{count}"), &key, 1_000);
    }
    until("what both spend", &Some(5_000), || of_model(&new));
    assert_eq!(code(&new, "c", &key, 5_001), "budget_exceeded");
    let version = "SELECT value FROM meta WHERE name = 'counted_version'";
    let version = || postgres.sql(version).unwrap();
    let before = version();
    // Keys change, and nobody makes the sums anew for that.
    old.new_key(json!({"name": "other"}));
    spend(&old, "d", &key, 1_000);
    stays("sums", &Some(6_000), || of_model(&new));
    assert_eq!(version(), before);
    redis.command("FLUSHALL").unwrap();
    until("it admits again", &"granted".to_owned(), || {
        code(&new, "e", &key, 10)
    });
    assert_eq!(of_model(&new), Some(6_000));
}

#[test]
fn records_of_a_service_that_died_are_counted_once_in_a_redis_that_forgot() {
    let Two {
        folder,
        redis,
        mut postgres,
        dies,
        lives,
        key,
        _second,
    } = two();
    until("the key is known", &"granted".to_owned(), || {
        code(&lives, "first", &key, 100)
    });
    settle(&lives, "first", &key, 100);
    let delivered = || postgres.sql("SELECT COUNT(*) FROM llm_usage_log").unwrap();
    until("it is delivered", &"1".to_owned(), delivered);
    postgres.kill();
    spend(&dies, "a", &key, 1_000);
    until("it is counted", &(1_100, 0), || shown(&lives, &key));
    dies.kill();
    redis.command("FLUSHALL").unwrap();
    postgres.restart();
    until("it admits again", &"granted".to_owned(), || {
        code(&lives, "b", &key, 10)
    });
    assert_eq!(shown(&lives, &key), (100, 10));
    let dies = Service::start_with(folder.path(), false);
    stays("after its return", &(1_100, 10), || shown(&lives, &key));
    assert_eq!(postgres.sql(SUMS).unwrap(), "1100");
    // Known to the ledger, it is counted in the next epoch as well, once.
    redis.command("FLUSHALL").unwrap();
    until("it admits once more", &"granted".to_owned(), || {
        code(&dies, "c", &key, 10)
    });
    stays("in the next epoch", &1_100, || shown(&lives, &key).0);
}

#[test]
fn an_old_record_is_not_counted_twice() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start();
    let mut postgres = share(folder.path(), &redis.url());
    let service = Service::start_with(folder.path(), false);
    let (key, _) = service.new_key(json!({"name": "k", "budget_limit_usd": 0.00001}));
    spend(&service, "first", &key, 100);
    assert_eq!(shown(&service, &key), (100, 0));
    postgres.kill();
    spend(&service, "a", &key, 1_000);
    assert_eq!(shown(&service, &key), (1_100, 0));
    service.kill();
    // As if it had died before it could note that, and stayed away for longer than Redis remembers.
    local(
        folder.path(),
        "UPDATE spool SET counted = 0 WHERE exchange_id = 'a'",
    );
    let mark = format!("DEL weir:{{all}}:{}:z:a", epoch(&redis));
    assert_eq!(redis.command(&mark).unwrap(), "1");
    postgres.restart();
    let service = Service::start_with(folder.path(), false);
    stays("after its return", &(1_100, 0), || shown(&service, &key));
    until("the ledger has it", &"1100".to_owned(), || {
        postgres.sql(SUMS).unwrap()
    });
}

#[test]
fn a_late_record_replaces_what_another_service_charged_days_ago() {
    let Two {
        folder,
        redis,
        postgres,
        dies,
        lives,
        key,
        _second,
    } = two();
    assert_eq!(code(&dies, "a", &key, 1_000), "granted");
    dies.kill();
    // As if it had written the record and died before it could count it.
    let written = record("a", &key, 700);
    let insert = "INSERT INTO spool (exchange_id, charged_ms, record, counted) VALUES";
    let now = "unixepoch() * 1000";
    local(
        folder.path(),
        &format!("{insert} ('a', {now}, '{written}', 0)"),
    );
    until("the key is known", &(0, 1_000), || shown(&lives, &key));
    // Its time is over.
    let late = format!("ZADD weir:{{all}}:{}:x 1 a", epoch(&redis));
    redis.command(&late).unwrap();
    until("the other charges the prompt", &(1_000, 0), || {
        shown(&lives, &key)
    });
    let sums = || postgres.sql(SUMS).unwrap();
    until("the ledger has that", &"1000".to_owned(), sums);
    let mark = format!("DEL weir:{{all}}:{}:z:a", epoch(&redis));
    assert_eq!(redis.command(&mark).unwrap(), "1");
    let _dies = Service::start_with(folder.path(), false);
    stays("after its return", &(700, 0), || shown(&lives, &key));
    until("the ledger has it", &"700".to_owned(), sums);
}

#[test]
fn what_a_service_held_when_it_died_is_held_again_in_a_redis_that_forgot() {
    let Two {
        folder,
        redis,
        postgres,
        dies,
        lives,
        key,
        _second,
    } = two();
    for (exchange, held) in [("a", 1_000), ("b", 200), ("c", 30)] {
        assert_eq!(code(&dies, exchange, &key, held), "granted");
    }
    spend(&dies, "d", &key, 4);
    dies.kill();
    // Redis knows it all.
    let dies = Service::start_with(folder.path(), false);
    stays("after a restart", &(4, 1_230), || shown(&lives, &key));
    redis.command("FLUSHALL").unwrap();
    until("it puts back", &(4, 1_230), || shown(&lives, &key));
    dies.kill();
    redis.command("FLUSHALL").unwrap();
    until("it admits again", &"granted".to_owned(), || {
        code(&lives, "e", &key, 5)
    });
    until("nothing is held", &(4, 5), || shown(&lives, &key));
    // Its filter has gone over to the other service.
    settle(&lives, "c", &key, 20);
    until("it is delivered", &"24".to_owned(), || {
        postgres.sql(SUMS).unwrap()
    });
    let dies = Service::start_with(folder.path(), false);
    stays("it holds again", &(24, 1_205), || shown(&lives, &key));
    let live = json!({"live": [["a", 40], ["b", 1]]});
    assert_eq!(dies.internal("renew", &live).good()["extended"], 2);
    for exchange in ["a", "b", "c"] {
        settle(&dies, exchange, &key, 20);
    }
    stays("all is settled", &(64, 5), || shown(&lives, &key));
}

/// Nothing that the budget has no room for is admitted, for longer than an epoch takes to admit anybody.
fn admits_nothing(service: &Service, key: &str, name: &str) {
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < Duration::from_millis(3_500) {
        count += 1;
        let code = code(service, &format!("{name}{count}"), key, 5_000);
        assert!(code != "granted", "after {:?}", started.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The same of one that starts and may not answer yet.
fn grants_nothing(service: &Service, key: &str, amount: i64, span: Duration) {
    let socket = service.internal_socket();
    let began = Instant::now();
    let mut asked = 0;
    while began.elapsed() < span {
        asked += 1;
        let ask = admit(&format!("new{asked}"), key, amount);
        let answer = crate::process::internal(&socket, "admit", &ask);
        let granted = answer.is_some_and(|answer| answer.text.contains("\"granted\""));
        assert!(!granted, "{:?}", began.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_redis_that_forgot_admits_nobody_before_all_services_have_put_back_what_they_hold() {
    let Two {
        folder,
        redis,
        mut postgres,
        dies,
        lives,
        key,
        _second,
    } = two();
    assert_eq!(code(&dies, "held", &key, 6_000), "granted");
    until("the other knows", &(0, 6_000), || shown(&lives, &key));
    // One that stands still.
    dies.freeze();
    redis.command("FLUSHALL").unwrap();
    admits_nothing(&lives, &key, "frozen");
    dies.thaw();
    until("it holds again", &(0, 6_000), || shown(&lives, &key));
    assert_eq!(code(&lives, "a", &key, 5_000), "budget_exceeded");
    // One that starts again, of whose records the ledger has none.
    postgres.kill();
    settle(&dies, "held", &key, 6_000);
    dies.kill();
    redis.command("FLUSHALL").unwrap();
    postgres.restart();
    admits_nothing(&lives, &key, "killed");
    let dies = Service::start_with(folder.path(), false);
    until("it is counted", &(6_000, 0), || shown(&lives, &key));
    assert_eq!(code(&lives, "b", &key, 5_000), "budget_exceeded");
    // All of them, while Redis is away.
    assert_eq!(code(&lives, "more", &key, 3_000), "granted");
    drop((lives, dies));
    redis.command("FLUSHALL").unwrap();
    let first = Service::spawn(folder.path(), false, "", &[]);
    grants_nothing(&first, &key, 3_000, Duration::from_millis(3_500));
    let _again = Service::start_with(_second.path(), false);
    until("both are back", &(6_000, 3_000), || shown(&first, &key));
}

#[test]
fn a_new_service_waits_for_those_that_hold_though_it_never_met_them() {
    let Two {
        folder,
        redis,
        postgres: _postgres,
        dies,
        lives,
        key,
        _second,
    } = two();
    assert_eq!(code(&dies, "held", &key, 6_000), "granted");
    until("the other knows", &(0, 6_000), || shown(&lives, &key));
    dies.freeze();
    lives.freeze();
    redis.command("FLUSHALL").unwrap();
    let third = beside(folder.path());
    let new = Service::spawn(third.path(), false, "", &[]);
    grants_nothing(&new, &key, 5_000, Duration::from_secs(6));
    dies.thaw();
    lives.thaw();
    until("it is held again", &(0, 6_000), || shown(&new, &key));
    assert_eq!(code(&new, "more", &key, 5_000), "budget_exceeded");
    assert_eq!(code(&new, "less", &key, 4_000), "granted");
}

#[test]
fn a_hold_of_what_was_charged_before_expires_without_another_charge() {
    let Two {
        folder: _folder,
        redis,
        postgres,
        dies,
        lives,
        key,
        _second,
    } = two();
    spend(&dies, "a", &key, 1_000);
    let sums = || postgres.sql(SUMS).unwrap();
    until("the ledger has it", &"1000".to_owned(), sums);
    // As if it was put back after Redis had forgotten that it was settled.
    let mark = format!("DEL weir:{{all}}:{}:z:a", epoch(&redis));
    assert_eq!(redis.command(&mark).unwrap(), "1");
    assert_eq!(code(&dies, "a", &key, 500), "granted");
    until("it is held", &(1_000, 500), || shown(&lives, &key));
    let late = format!("ZADD weir:{{all}}:{}:x 1 a", epoch(&redis));
    redis.command(&late).unwrap();
    stays("it is given back", &(1_000, 0), || shown(&lives, &key));
    assert_eq!(sums(), "1000");
}
