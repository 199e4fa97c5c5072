//! What was acknowledged or promised survives the death of the process.

use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::process::{Service, admit, internal, on_both, record};

const COST: i64 = 1_000;
const HOLD: i64 = 5_000;

/// What one client saw before the service died.
#[derive(Default)]
struct Seen {
    acknowledged: Vec<Value>,
    /// Sent, never answered: may count or not.
    open: Option<Value>,
    /// Admitted, and nothing sent since.
    held: i64,
}

fn client(socket: &Path, key: &str, name: &str) -> Seen {
    let mut seen = Seen::default();
    for count in 0.. {
        let exchange = format!("{name}-{count}");
        let granted = internal(socket, "admit", &admit(&exchange, key, HOLD));
        let Some(granted) = granted.filter(|answer| answer.status == 200) else {
            break;
        };
        assert_eq!(granted.json()["granted"]["hold_nano"], HOLD);
        if count % 5 == 4 {
            seen.held += 1;
            continue;
        }
        let record = record(&exchange, key, COST);
        match internal(socket, "settle", &json!({"records": [record]})) {
            Some(answer) if answer.status == 200 => seen.acknowledged.push(record),
            _ => {
                seen.open = Some(record);
                break;
            }
        }
    }
    seen
}

fn nano(value: &Value) -> i64 {
    (value.as_f64().unwrap() * 1e9).round() as i64
}

#[test]
fn records_and_holds_survive_kill_9() {
    on_both(records_and_holds);
}

fn records_and_holds(folder: &Path) {
    let (mut settled, mut open, mut held) = (Vec::new(), Vec::new(), 0);
    let service = Service::start_with(folder, false);
    let (key, _) = service.new_key(json!({"name": "k", "budget_limit_usd": 500}));
    service.kill();
    for round in 0..3 {
        let service = Service::start_with(folder, false);
        let clients: Vec<_> = (0..4)
            .map(|client_number| {
                let (socket, key) = (service.internal_socket(), key.clone());
                let name = format!("{round}-{client_number}");
                thread::spawn(move || client(&socket, &key, &name))
            })
            .collect();
        thread::sleep(Duration::from_millis(400));
        service.kill();
        for client in clients {
            let seen = client.join().unwrap();
            settled.extend(seen.acknowledged);
            open.extend(seen.open);
            held += seen.held;
        }

        let service = Service::start_with(folder, false);
        let path = format!("/admin/virtual-keys/{key}");
        let shown = service.admin("GET", &path, None).good();
        let spent = nano(&shown["spent_usd"]);
        let least = settled.len() as i64 * COST;
        assert!(settled.len() > 4, "nothing happened");
        assert!(
            spent >= least && spent <= least + open.len() as i64 * COST,
            "{shown} {least}"
        );
        // An admission or a settlement whose answer was lost may stand as a hold.
        let held_now = nano(&shown["held_usd"]);
        let unsure = 4 * (round + 1);
        assert!(
            held_now >= held * HOLD && held_now <= (held + unsure) * HOLD,
            "{shown} {held}"
        );
        assert_eq!(spent, ledger(&service.data()));

        // A filter that does not know sends everything again.
        for records in settled.chunks(500) {
            let answer = service
                .internal("settle", &json!({"records": records}))
                .good();
            assert_eq!(answer["durable"], records.len());
        }
        assert_eq!(
            service.admin("GET", &path, None).good()["spent_usd"],
            shown["spent_usd"]
        );
        assert_eq!(spent, ledger(&service.data()));
        service.kill();
    }
}

#[test]
fn leases_survive_kill_9_and_what_was_given_back_does_not_come_again() {
    on_both(leases);
}

fn leases(folder: &Path) {
    let service = Service::start(folder);
    let (key, _) = service.new_key(json!({"name": "k", "budget_limit_usd": 500}));
    let path = format!("/admin/virtual-keys/{key}");
    let mut leases = Vec::new();
    for count in 0..200 {
        let exchange = format!("x-{count}");
        let granted = service
            .internal("admit", &admit(&exchange, &key, HOLD))
            .good();
        let lease = granted["granted"]["lease"].clone();
        let settle = json!({"records": [record(&exchange, &key, COST)]});
        service.internal("settle", &settle).good();
        if !lease.is_null() {
            leases.push(lease);
        }
        if leases.len() == 2 {
            break;
        }
    }
    let [kept, returned] = leases.as_slice() else {
        panic!("a busy key got no lease")
    };
    let amount = |lease: &Value| lease["amount_nano"].as_i64().unwrap();
    let held = |service: &Service| nano(&service.admin("GET", &path, None).good()["held_usd"]);
    assert_eq!(held(&service), amount(kept) + amount(returned));

    let done = json!({"id": returned["id"], "keep_nano": 0, "done": true});
    service
        .internal("settle", &json!({"records": [], "leases": [done]}))
        .good();
    assert_eq!(held(&service), amount(kept));
    service.kill();

    let service = Service::start(folder);
    assert_eq!(held(&service), amount(kept));
    let spent = nano(&service.admin("GET", &path, None).good()["spent_usd"]);
    let mut leased = record("y", &key, COST);
    leased["lease"] = kept["id"].clone();
    // Sent twice, as a filter does that got no answer.
    for _ in 0..2 {
        service
            .internal("settle", &json!({"records": [leased]}))
            .good();
        assert_eq!(held(&service), amount(kept) - COST);
        let shown = service.admin("GET", &path, None).good();
        assert_eq!(nano(&shown["spent_usd"]), spent + COST);
    }
    let rest = json!({"id": kept["id"], "keep_nano": 0, "done": true});
    service
        .internal("settle", &json!({"records": [], "leases": [rest]}))
        .good();
    assert_eq!(held(&service), 0);
}

fn ledger(data: &Path) -> i64 {
    let db = Connection::open(data.join("weir.db")).unwrap();
    let sum = |table: &str| -> i64 {
        let sql = format!("SELECT COALESCE(SUM(cost_nano), 0) FROM {table}");
        db.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(sum("llm_usage_log"), sum("usage_daily"));
    sum("llm_usage_log")
}

#[test]
fn a_budget_takes_exactly_what_fits() {
    on_both(a_budget);
}

fn a_budget(folder: &Path) {
    let service = Service::start(folder);
    let (key, _) = service.new_key(json!({"name": "k", "budget_limit_usd": 0.00005}));
    let clients: Vec<_> = (0..20)
        .map(|client| {
            let (socket, key) = (service.internal_socket(), key.clone());
            thread::spawn(move || {
                let granted = |count: &u32| {
                    let exchange = format!("{client}-{count}");
                    let answer = internal(&socket, "admit", &admit(&exchange, &key, 1_000))
                        .unwrap()
                        .good();
                    let refused = &answer["refused"];
                    if !refused.is_null() {
                        assert_eq!(refused["code"], "budget_exceeded");
                        assert_eq!(refused["message"], "Monthly budget limit $0.00005 exceeded");
                        assert!(refused["retry_after_s"].as_u64().unwrap() <= 31 * 86_400);
                    }
                    refused.is_null()
                };
                (0..10).filter(granted).count()
            })
        })
        .collect();
    let granted: usize = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    assert_eq!(granted, 50);
}

#[test]
fn a_restart_does_not_lift_a_rate_limit() {
    on_both(a_rate_limit);
}

fn a_rate_limit(folder: &Path) {
    let service = Service::start(folder);
    let (key, _) = service.new_key(json!({"name": "k", "rate_limit": 4}));
    for exchange in ["a", "b", "c"] {
        let answer = service.internal("admit", &admit(exchange, &key, HOLD));
        assert!(answer.good()["granted"].is_object());
    }
    // One stays a hold. What was refused did not count. No clock is later than the service's own.
    let mut refused = record("r", &key, 0);
    refused["ending"] = json!("refused");
    refused["at_ms"] = json!(1_u64 << 52);
    let records = [record("a", &key, COST), record("b", &key, COST), refused];
    let settle = json!({"records": records});
    assert_eq!(service.internal("settle", &settle).good()["durable"], 3);
    service.kill();

    let service = Service::start(folder);
    let last = service.internal("admit", &admit("d", &key, HOLD)).good();
    assert_eq!(
        last["granted"]["rate"]["requests"]["remaining"], 0,
        "{last}"
    );
    let over = service.internal("admit", &admit("e", &key, HOLD)).good();
    assert_eq!(over["refused"]["code"], "rate_limit_exceeded", "{over}");
    assert_eq!(service.terminate(), Some(0));

    let service = Service::start(folder);
    let over = service.internal("admit", &admit("f", &key, HOLD)).good();
    assert_eq!(over["refused"]["code"], "rate_limit_exceeded", "{over}");
}

#[test]
fn sigterm_ends_in_order() {
    on_both(sigterm);
}

fn sigterm(folder: &Path) {
    let service = Service::start(folder);
    let (key, _) = service.new_key(json!({"name": "k"}));
    let (socket, data) = (service.internal_socket(), service.data());
    let client = thread::spawn(move || client(&socket, &key, "x"));
    thread::sleep(Duration::from_millis(200));
    assert_eq!(service.terminate(), Some(0));
    let seen = client.join().unwrap();
    let sum = ledger(&data);
    assert_eq!(sum, seen.acknowledged.len() as i64 * COST);
}
