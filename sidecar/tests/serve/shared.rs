//! Services that share a PostgreSQL, and what they do without it.
#![expect(
    clippy::disallowed_methods,
    reason = "how long something takes is looked at"
)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_servers::postgres::Postgres;

use super::process::{FILE_KEY, Service, admit, record};

const URL: &str = "LLM_GATEWAY_DB_URL";
/// What services seal provider keys with.
const SECRET: &str =
    "store: {secret_key: 'abababababababababababababababababababababababababababababababab'";

fn start(folder: &Path, postgres: &Postgres) -> Service {
    start_with(folder, postgres, "")
}

fn start_with(folder: &Path, postgres: &Postgres, more: &str) -> Service {
    let more = format!("{SECRET}{more}}}\n");
    Service::start_on(folder, false, &more, &[(URL, &postgres.url())])
}

/// Waits until it holds; the last look, when it does not.
fn soon<T: std::fmt::Debug>(
    what: &str,
    mut look: impl FnMut() -> T,
    holds: impl Fn(&T) -> bool,
) -> T {
    let began = Instant::now();
    loop {
        let seen = look();
        if holds(&seen) {
            return seen;
        }
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{what}: {seen:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn settle(service: &Service, exchange: &str, key: &str, cost: i64) -> u16 {
    let records = json!({"records": [record(exchange, key, cost)]});
    service.internal("settle", &records).status
}

fn part(service: &Service, name: &str) -> Value {
    service.admin("GET", "/health", None).json()["parts"][name].clone()
}

fn drained(service: &Service) {
    let waiting = || part(service, "spooled_records");
    soon("the spool", waiting, |waiting| *waiting == 0);
}

fn ledger(postgres: &Postgres) -> String {
    let sums = "SELECT COUNT(*), SUM(cost_nano), COUNT(DISTINCT exchange_id), \
                (SELECT SUM(cost_nano) FROM spend_daily WHERE scope = 'global'), \
                (SELECT SUM(cost_nano) FROM usage_daily) FROM llm_usage_log";
    postgres.sql(sums).unwrap()
}

#[test]
fn records_outlive_the_database_and_the_service() {
    let mut postgres = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let service = start(folder.path(), &postgres);
    let (key, _) =
        service.new_key(json!({"name": "k", "budget_limit_usd": 500, "budget_period": "total"}));
    for count in 0..10 {
        assert_eq!(settle(&service, &format!("a{count}"), &key, 7), 200);
    }
    drained(&service);
    assert_eq!(ledger(&postgres), "10|70|10|70|70");
    postgres.kill();
    for count in 0..10 {
        let began = Instant::now();
        assert_eq!(settle(&service, &format!("b{count}"), &key, 7), 200);
        assert!(began.elapsed() < Duration::from_secs(1));
    }
    service.internal("admit", &admit("open", &key, 5)).good();
    let health = soon(
        "health",
        || service.admin("GET", "/health", None),
        |health| health.json()["status"] == "degraded",
    );
    assert_eq!(
        (health.status, &health.json()["parts"]["spooled_records"]),
        (200, &json!(10))
    );
    let refused = service.admin("POST", "/admin/virtual-keys", Some(json!({"name": "no"})));
    assert_eq!(refused.status, 503, "{refused:?}");
    service.kill();
    // It starts without the database: keys, spend and holds are known.
    let service = start(folder.path(), &postgres);
    let path = format!("/admin/virtual-keys/{key}");
    let shown = service.admin("GET", &path, None).good();
    assert_eq!(
        (&shown["spent_usd"], &shown["held_usd"]),
        (&json!(1.4e-7), &json!(5e-9))
    );
    assert_eq!(settle(&service, "b0", &key, 7), 200);
    postgres.restart();
    drained(&service);
    assert_eq!(ledger(&postgres), "20|140|20|140|140");
    let shown = service.admin("GET", &path, None).good();
    assert_eq!(shown["spent_usd"], json!(1.4e-7));
    let usage = service
        .admin("GET", "/admin/usage?start_date=1970-01-01", None)
        .good();
    assert_eq!(usage["totals"]["requests"], 20, "{usage}");
    assert_eq!(service.terminate(), Some(0));
    // Another machine knows what was spent.
    let elsewhere = tempfile::tempdir().unwrap();
    let service = start(elsewhere.path(), &postgres);
    let shown = service.admin("GET", &path, None).good();
    assert_eq!(shown["spent_usd"], json!(1.4e-7));
}

#[test]
fn a_frozen_database_holds_up_nobody() {
    let postgres = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let service = start(folder.path(), &postgres);
    let (key, _) = service.new_key(json!({"name": "k"}));
    postgres.freeze();
    let began = Instant::now();
    for count in 0..50 {
        let exchange = format!("x{count}");
        service.internal("admit", &admit(&exchange, &key, 5)).good();
        assert_eq!(settle(&service, &exchange, &key, 5), 200);
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let refused = service.admin("DELETE", &format!("/admin/virtual-keys/{key}"), None);
    assert_eq!(refused.status, 503, "{refused:?}");
    let usage = service.admin("GET", "/admin/usage", None);
    assert_eq!(usage.status, 503, "{usage:?}");
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "{:?}",
        began.elapsed()
    );
    // Nor does it hold up a start.
    service.kill();
    let began = Instant::now();
    let service = start(folder.path(), &postgres);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    service.internal("admit", &admit("later", &key, 5)).good();
    postgres.thaw();
    drained(&service);
    assert_eq!(ledger(&postgres), "50|250|50|250|250");
}

#[test]
fn what_one_service_changes_holds_for_the_others() {
    let postgres = Postgres::start();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, two] = folders
        .each_ref()
        .map(|folder| start(folder.path(), &postgres));
    // The key of the file is one key.
    let keys = |service: &Service| service.admin("GET", "/admin/virtual-keys", None).good();
    assert_eq!(keys(&one)["data"][0]["id"], keys(&two)["data"][0]["id"]);
    assert!(FILE_KEY.starts_with("vk-"));
    let made = json!({"name": "k", "provider": "local", "real_api_key": "sk-real"});
    let (id, _) = one.new_key(made);
    let granted = |service: &Service, name: &str| service.internal("admit", &admit(name, &id, 5));
    let known = soon(
        "the key",
        || granted(&two, "a").json(),
        |answer| answer.get("granted").is_some(),
    );
    // The other service can open what this one has sealed.
    assert_eq!(
        known["granted"]["credentials"],
        json!([["local", "sk-real"]])
    );
    let set = "INSERT INTO user_budgets (user_id, monthly_limit_usd) VALUES ('ada', 0) \
               ON CONFLICT (user_id) DO UPDATE SET monthly_limit_usd = 0";
    postgres.sql(set).unwrap();
    for service in [&one, &two] {
        let ask = || {
            let mut ask = admit("b", &id, 5);
            ask["user"] = json!("ada");
            service.internal("admit", &ask).json()
        };
        let refused = soon("the budget", ask, |answer| answer.get("refused").is_some());
        assert_eq!(refused["refused"]["code"], "budget_exceeded", "{refused}");
    }
    let answer = two
        .admin("DELETE", "/admin/budgets?scope=user&name=ada", None)
        .good();
    assert!(!answer.to_string().contains("ada"), "{answer}");
    let mut ask = admit("c", &id, 5);
    ask["user"] = json!("ada");
    two.internal("admit", &ask).good();
    postgres
        .sql("UPDATE virtual_keys SET is_active = false WHERE name = 'k'")
        .unwrap();
    for service in [&one, &two] {
        let refused = soon(
            "the switch",
            || granted(service, "d").json(),
            |answer| answer.get("refused").is_some(),
        );
        assert_eq!(refused["refused"]["code"], "key_disabled", "{refused}");
    }
}

#[test]
fn a_threshold_is_said_by_one_service() {
    let postgres = Postgres::start();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let services = folders
        .each_ref()
        .map(|folder| start(folder.path(), &postgres));
    let limit = json!({"scope": "model", "name": "m", "limit_usd": 0.001, "period": "total",
                       "thresholds": [0.5]});
    services[0]
        .admin("PUT", "/admin/budgets", Some(limit))
        .good();
    let (key, _) = services[0].new_key(json!({"name": "k"}));
    for (index, service) in services.iter().enumerate() {
        let known = || {
            service
                .admin("GET", "/admin/budgets", None)
                .json()
                .to_string()
        };
        soon("the budget", known, |budgets| budgets.contains("\"model\""));
        soon(
            "the key",
            || {
                service
                    .admin("GET", &format!("/admin/virtual-keys/{key}"), None)
                    .status
            },
            |status| *status == 200,
        );
        // Each is beyond the limit for itself.
        assert_eq!(settle(service, &format!("x{index}"), &key, 2_000_000), 200);
    }
    let noted = || postgres.sql("SELECT COUNT(*) FROM budget_alerts").unwrap();
    soon("the alerts", noted, |count| count != "0");
    std::thread::sleep(Duration::from_millis(1_500));
    let said: usize = services
        .iter()
        .map(|service| service.log().matches("budget threshold reached").count())
        .sum();
    assert_eq!(said.to_string(), noted());
}

#[test]
fn a_full_spool_takes_no_more_and_loses_nothing() {
    let mut postgres = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let service = start_with(folder.path(), &postgres, ", spool_records: 5");
    let (key, _) = service.new_key(json!({"name": "k"}));
    postgres.kill();
    let taken = |count: &i32| settle(&service, &format!("x{count}"), &key, 3) == 200;
    assert_eq!((0..8).filter(taken).count(), 5);
    assert_eq!(part(&service, "spooled_records"), 5);
    // Requests are still admitted.
    service.internal("admit", &admit("y", &key, 5)).good();
    postgres.restart();
    drained(&service);
    // Whoever kept records sends them again.
    assert_eq!((0..8).filter(taken).count(), 8);
    drained(&service);
    assert_eq!(ledger(&postgres), "8|24|8|24|24");
}

#[test]
fn a_record_that_the_database_never_takes_does_not_hold_up_others() {
    let postgres = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let service = start(folder.path(), &postgres);
    let (key, _) = service.new_key(json!({"name": "k"}));
    postgres
        .sql("ALTER TABLE llm_usage_log ADD CHECK (user_id <> 'odd')")
        .unwrap();
    let records: Vec<Value> = (0..9)
        .map(|count| {
            let mut record = record(&format!("x{count}"), &key, 3);
            record["user"] = json!(if count == 4 { "odd" } else { "even" });
            record
        })
        .collect();
    let settled = service
        .internal("settle", &json!({"records": records}))
        .good();
    assert_eq!(settled["durable"], 9);
    drained(&service);
    assert_eq!(ledger(&postgres), "8|24|8|24|24");
    let db = rusqlite::Connection::open(service.data().join("weir.db")).unwrap();
    let kept = "SELECT exchange_id FROM spool_refused";
    let kept: String = db.query_row(kept, [], |row| row.get(0)).unwrap();
    assert_eq!(kept, "x4");
    assert!(
        service
            .log()
            .contains("the database does not take a record")
    );
}

#[test]
fn services_with_different_secrets_do_not_share() {
    let postgres = Postgres::start();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let _one = start(folders[0].path(), &postgres);
    let other = Service::spawn(folders[1].path(), false, "", &[(URL, &postgres.url())]);
    assert_eq!(other.wait(), Some(1));
}

#[test]
fn a_full_disk_refuses_records_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path());
    let (key, _) =
        service.new_key(json!({"name": "k", "budget_limit_usd": 5, "budget_period": "total"}));
    // The log of changes may not grow beyond what it is now: no write gets to the disk.
    let limit = |bytes: &str| {
        let done = Command::new("prlimit")
            .args([
                "--pid",
                &service.id().to_string(),
                &format!("--fsize={bytes}:unlimited"),
            ])
            .status();
        assert!(done.expect("prlimit, of util-linux").success());
    };
    let log = service.data().join("weir.db-wal");
    limit(&std::fs::metadata(&log).unwrap().len().to_string());
    let began = Instant::now();
    assert_eq!(settle(&service, "a", &key, 3), 503);
    assert!(began.elapsed() < Duration::from_secs(5));
    for _ in 0..2 {
        let health = service.admin("GET", "/health", None);
        assert_eq!(health.status, 503, "{health:?}");
        // It is looked at again.
        std::thread::sleep(Duration::from_millis(1_100));
    }
    limit("unlimited");
    assert_eq!(settle(&service, "a", &key, 3), 200);
    let shown = service
        .admin("GET", &format!("/admin/virtual-keys/{key}"), None)
        .good();
    assert_eq!(shown["spent_usd"], json!(3e-9));
}
