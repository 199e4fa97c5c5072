//! Limits on tokens and on what runs, over crashes.

use std::path::Path;

use serde_json::{Value, json};

use crate::process::{Service, admit, on_both, record, shares};

/// An admission of three prompt tokens that costs nothing.
fn ask(service: &Service, exchange: &str, key: &str) -> Value {
    service.internal("admit", &admit(exchange, key, 0)).good()
}

/// Settles exchanges of three prompt and four completion tokens.
fn settle(service: &Service, key: &str, exchanges: &[&str]) {
    let records = exchanges.iter().map(|exchange| record(exchange, key, 0));
    let records: Vec<Value> = records.collect();
    service
        .internal("settle", &json!({"records": records}))
        .good();
}

fn tokens_left(answer: &Value) -> i64 {
    let left = &answer["granted"]["rate"]["tokens"]["remaining"];
    left.as_i64().unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn what_runs_and_what_was_counted_survive_kill_9() {
    on_both(what_runs_and_what_was_counted);
}

fn what_runs_and_what_was_counted(folder: &Path) {
    let service = Service::start(folder);
    let (key, _) = service.new_key(json!({"name": "k", "max_concurrent": 3,
        "rate_limits": [{"tokens": 30, "per": "day"}]}));
    assert_eq!(tokens_left(&ask(&service, "a", &key)), 27);
    assert_eq!(tokens_left(&ask(&service, "b", &key)), 24);
    settle(&service, &key, &["a"]);
    service.kill();

    let service = Service::start(folder);
    assert_eq!(tokens_left(&ask(&service, "c", &key)), 17);
    assert_eq!(tokens_left(&ask(&service, "d", &key)), 14);
    let over = ask(&service, "e", &key);
    assert_eq!(
        over["refused"]["message"],
        "Rate limit reached: 3 requests at a time for this key. Please try again in 1s."
    );
    service.kill();

    let service = Service::start(folder);
    assert!(ask(&service, "f", &key)["refused"].is_object());
    // One that was settled before is not given back again.
    settle(&service, &key, &["a", "b"]);
    assert_eq!(tokens_left(&ask(&service, "g", &key)), 7);
    assert!(ask(&service, "h", &key)["refused"].is_object());
    settle(&service, &key, &["c", "d", "g"]);
    let over = ask(&service, "i", &key);
    let message = over["refused"]["message"].as_str().unwrap();
    assert!(message.starts_with("Rate limit reached: 30 tokens per day for this key."));
    assert_eq!(service.terminate(), Some(0));

    let service = Service::start(folder);
    let over = ask(&service, "j", &key);
    // Until when it lasts may be a second less by now.
    let refused = |message: &str| message.split(" Please").next().map(str::to_owned);
    let again = over["refused"]["message"].as_str().unwrap();
    assert_eq!(refused(again), refused(message), "{over}");
}

#[test]
fn a_lease_has_a_part_of_every_limit_and_survives_kill_9() {
    on_both(a_lease_has_a_part_of_every_limit);
}

fn a_lease_has_a_part_of_every_limit(folder: &Path) {
    let service = Service::start(folder);
    let limits =
        json!([{"requests": 10_000, "tokens": 100_000, "concurrent": 1_000, "per": "day"}]);
    let (key, _) = service.new_key(json!({"name": "k", "rate_limits": limits}));
    let mut count = 0;
    let granted = loop {
        count += 1;
        assert!(count < 300, "a busy key got no lease");
        let exchange = format!("x-{count}");
        let answer = ask(&service, &exchange, &key);
        settle(&service, &key, &[exchange.as_str()]);
        if !answer["granted"]["lease"].is_null() {
            break answer["granted"].clone();
        }
    };
    let lease = &granted["lease"];
    let part = |name: &str| lease[name].as_i64().unwrap();
    assert_eq!(part("amount_nano"), 0, "a free model");
    assert!(part("requests") >= 16 && part("requests") <= 10_000 / 16);
    assert!(part("tokens") >= 48 && part("tokens") <= 100_000 / 16);
    assert!(part("running") >= 16 && part("running") <= 1_000 / 16);
    let left = |answer: &Value, of: &str| {
        let left = &answer["granted"]["rate"][of]["remaining"];
        left.as_i64().unwrap_or_else(|| panic!("{answer}"))
    };
    let first = json!({"granted": granted});
    assert_eq!(left(&first, "requests"), 10_000 - count - part("requests"));
    service.kill();

    // No key is busy right after a start: there are no further leases.
    let service = Service::start(folder);
    let after = ask(&service, "y", &key);
    assert_eq!(left(&after, "requests"), left(&first, "requests") - 1);
    let used = 4 * count + 3;
    assert_eq!(
        left(&after, "tokens"),
        100_000 - 3 * count - part("tokens") - used
    );
    let state = json!({"id": lease["id"], "keep_nano": 0, "done": true,
        "requests": part("requests") - 5, "tokens": part("tokens") - 15});
    service
        .internal("settle", &json!({"records": [], "leases": [state]}))
        .good();
    let after = ask(&service, "z", &key);
    assert_eq!(left(&after, "requests"), 10_000 - count - 5 - 2);
    service.kill();

    // The lease does not come again. What it was used for stands in records, of which there are none;
    // Redis has not forgotten it.
    let kept = if shares(folder) { 5 } else { 0 };
    let service = Service::start(folder);
    let after = ask(&service, "w", &key);
    assert_eq!(left(&after, "requests"), 10_000 - count - 3 - kept);
}
