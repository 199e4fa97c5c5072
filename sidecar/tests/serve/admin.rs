//! The interfaces as their callers meet them.

use engine::cache_key::sha256_hex;
use serde_json::{Value, json};

use super::process::{FILE_KEY, Service, admit, call, record};

fn lookup(service: &Service, key: &str) -> Value {
    service
        .internal("key", &json!({"key_hash": sha256_hex(key.as_bytes())}))
        .good()
}

#[test]
fn a_key_lives_changes_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path());
    let members = json!({"name": "Production Key", "provider": "local", "real_api_key": "sk-first",
                         "rate_limit": 100, "budget_limit_usd": 500});
    let made = service
        .admin("POST", "/admin/virtual-keys", Some(members))
        .good();
    let key = made["virtual_key"].as_str().unwrap();
    let id = made["id"].as_str().unwrap();
    assert!(key.starts_with("vk-") && key.len() >= 35);
    for (member, value) in [
        ("name", json!("Production Key")),
        ("provider", json!("local")),
        ("rate_limit", json!(100)),
        ("budget_limit_usd", json!(500)),
        ("remaining_usd", json!(500)),
        ("has_real_api_key", json!(true)),
    ] {
        assert_eq!(made[member], value, "{made}");
    }
    assert!(made["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(lookup(&service, key)["known"]["id"], id);

    let granted = service.internal("admit", &admit("a", id, 5)).good();
    assert_eq!(
        granted["granted"]["credentials"],
        json!([["local", "sk-first"]])
    );
    assert_eq!(granted["granted"]["rate"]["requests"]["remaining"], 99);

    let version = |service: &Service| {
        let poll = json!({"version": 0, "vm": "a"});
        service.internal("policy", &poll).good()["keys_version"]
            .as_u64()
            .unwrap()
    };
    let before = version(&service);
    let path = format!("/admin/virtual-keys/{key}");
    let rotated = service.admin(
        "PUT",
        &format!("{path}/rotate"),
        Some(json!({"new_api_key": "sk-next"})),
    );
    assert!(!rotated.text.contains("sk-"), "{rotated:?}");
    rotated.good();
    assert!(version(&service) > before);
    // Workers give up what they have leased when limits change, those above keys too.
    let before = version(&service);
    let limit = json!({"scope": "global", "limit_usd": 900});
    service.admin("PUT", "/admin/budgets", Some(limit)).good();
    assert!(version(&service) > before);
    let granted = service.internal("admit", &admit("b", id, 5)).good();
    assert_eq!(
        granted["granted"]["credentials"],
        json!([["local", "sk-next"]])
    );

    let list = service.admin("GET", "/admin/virtual-keys", None);
    assert!(!list.text.contains(key) && !list.text.contains("sk-next"));
    assert_eq!(list.good()["data"].as_array().unwrap().len(), 2);
    service
        .admin("PATCH", &path, Some(json!({"is_active": false})))
        .good();
    assert_eq!(lookup(&service, key)["refused"]["code"], "key_disabled");
    service
        .admin(
            "PATCH",
            &path,
            Some(json!({"is_active": true, "expires_at": "2020-01-01"})),
        )
        .good();
    assert_eq!(lookup(&service, key)["refused"]["code"], "key_expired");
    let gone = service.admin("DELETE", &path, None).good();
    assert_eq!(gone["deleted"], true);
    assert_eq!(lookup(&service, key)["refused"]["code"], "key_revoked");
    service
        .admin("PATCH", &path, Some(json!({"is_active": true})))
        .good();
    assert_eq!(lookup(&service, key)["refused"]["code"], "key_revoked");
    assert_eq!(
        lookup(&service, "vk-nobody")["refused"]["code"],
        "invalid_api_key"
    );
    let refused = service.internal("admit", &admit("c", id, 5)).good();
    assert_eq!(refused["refused"]["code"], "key_revoked");

    service.terminate();
    let service = Service::start(folder.path());
    assert_eq!(lookup(&service, key)["refused"]["code"], "key_revoked");
    assert_eq!(lookup(&service, FILE_KEY)["known"]["name"], "file");
    assert!(version(&service) > before);
    for secret in [key, "sk-first", "sk-next"] {
        assert!(!service.log().contains(secret));
    }
}

#[test]
fn the_file_s_key_has_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path());
    let known = lookup(&service, FILE_KEY);
    let id = known["known"]["id"].as_str().unwrap();
    for (count, expect) in ["granted", "granted", "granted", "refused"]
        .into_iter()
        .enumerate()
    {
        let answer = service
            .internal("admit", &admit(&count.to_string(), id, 5))
            .good();
        assert!(!answer[expect].is_null(), "{count}: {answer}");
        if expect == "refused" {
            let refused = &answer["refused"];
            assert_eq!(refused["code"], "rate_limit_exceeded");
            assert_eq!(refused["rate"]["requests"]["remaining"], 0);
            assert!(
                refused["retry_after_s"]
                    .as_u64()
                    .is_some_and(|wait| (1..=120).contains(&wait))
            );
        }
    }
}

#[test]
fn what_a_budget_refuses_does_not_count_as_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path());
    let members = json!({"name": "k", "rate_limit": 2, "budget_limit_usd": 0.000001});
    let (id, _) = service.new_key(members);
    for exchange in ["a", "b", "c"] {
        let answer = service
            .internal("admit", &admit(exchange, &id, 1_001))
            .good();
        assert_eq!(answer["refused"]["code"], "budget_exceeded");
        assert_eq!(answer["refused"]["rate"]["requests"]["remaining"], 2);
    }
    let answer = service.internal("admit", &admit("d", &id, 1_000)).good();
    assert_eq!(
        answer["granted"]["rate"]["requests"]["remaining"], 1,
        "{answer}"
    );
}

#[test]
fn health_says_when_the_store_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path());
    let (id, _) = service.new_key(json!({"name": "k"}));
    let db = rusqlite::Connection::open(service.data().join("weir.db")).unwrap();
    db.execute_batch("BEGIN EXCLUSIVE").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let health = service.admin("GET", "/health", None);
    assert_eq!(
        (health.status, &health.json()["status"]),
        (503, &json!("unhealthy")),
        "{health:?}"
    );
    // Admissions need the journal alone.
    service.internal("admit", &admit("a", &id, 5)).good();
    let settle = json!({"records": [record("a", &id, 5)]});
    assert_eq!(service.internal("settle", &settle).status, 503);
    db.execute_batch("ROLLBACK").unwrap();
    assert_eq!(service.internal("settle", &settle).good()["durable"], 1);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(
        service.admin("GET", "/health", None).good()["status"],
        "healthy"
    );
}

#[test]
fn the_cache_answers_with_what_was_put() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path());
    let (id, _) = service.new_key(json!({"name": "k", "budget_limit_usd": 0}));
    let answer = json!({"provider": "local", "model": "m", "body": "{\"x\": \"é\"}", "stream": false,
                        "usage": {"input": 1, "output": 2}});
    let put = service.internal(
        "cache",
        &json!({"key": "abc", "ttl_s": 60, "answer": answer}),
    );
    assert_eq!(put.status, 204);
    let mut ask = admit("a", &id, 5);
    ask["cache"] = json!({"key": "abc", "read": true});
    let cached = service.internal("admit", &ask).good();
    assert_eq!(cached, json!({"cached": {"answer": answer}}));
    ask["cache"]["read"] = json!(false);
    assert_eq!(
        service.internal("admit", &ask).good()["refused"]["code"],
        "budget_exceeded"
    );
    for wrong in [json!({"key": "abc", "ttl_s": 1, "answer": {}}), json!([])] {
        assert_eq!(service.internal("cache", &wrong).status, 400);
    }
    assert_eq!(
        service.internal("settle", &json!({"records": 5})).status,
        400
    );
    assert_eq!(service.internal("nothing", &json!({})).status, 404);
}

#[test]
fn mistakes_are_told_in_openai_s_shape() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path());
    let socket = service.data().join("admin.sock");
    for headers in [
        "",
        "authorization: Bearer wrong\r\n",
        "authorization: Basic x\r\n",
        "authorization: x\r\n",
    ] {
        let answer = call(&socket, "GET", "/admin/virtual-keys", headers, "").unwrap();
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (401, &json!("invalid_api_key"))
        );
    }
    let check =
        |method: &str, path: &str, body: Option<Value>, status: u16, param: Option<&str>| {
            let answer = service.admin(method, path, body);
            let error = &answer.json()["error"];
            assert_eq!(
                (answer.status, error["param"].as_str()),
                (status, param),
                "{answer:?}"
            );
            assert!(
                error["message"].is_string() && error["type"].is_string(),
                "{answer:?}"
            );
        };
    let keys = "/admin/virtual-keys";
    check("POST", keys, Some(json!({})), 400, Some("name"));
    check(
        "POST",
        keys,
        Some(json!({"name": "x", "provider": "nobody"})),
        400,
        Some("provider"),
    );
    check(
        "POST",
        keys,
        Some(json!({"name": "x", "real_api_key": "sk"})),
        400,
        Some("provider"),
    );
    check(
        "POST",
        keys,
        Some(json!({"name": "x", "limit": 5})),
        400,
        Some("limit"),
    );
    check("POST", keys, Some(json!("x")), 400, None);
    check("PUT", keys, None, 405, None);
    check("GET", "/admin/virtual-keys/vk-nobody", None, 404, None);
    check("GET", "/admin/nothing", None, 404, None);
    check("GET", "/nothing", None, 404, None);
    check(
        "GET",
        "/admin/usage?start_date=x",
        None,
        400,
        Some("start_date"),
    );
    check(
        "POST",
        keys,
        Some(json!({"name": "x".repeat(300_000)})),
        413,
        None,
    );
    // A provider that only the catalogue knows is taken, with a warning.
    let early = service
        .admin(
            "POST",
            keys,
            Some(json!({"name": "x", "provider": "openai"})),
        )
        .good();
    assert!(early["warnings"][0].as_str().unwrap().contains("openai"));
}

#[test]
fn what_was_settled_shows_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path());
    let (id, _) = service.new_key(json!({"name": "k", "budget_limit_usd": 1}));
    service.internal("admit", &admit("a", &id, 60_000)).good();
    let renewed = service
        .internal("renew", &json!({"live": [["a", 5], ["b", 5]]}))
        .good();
    assert_eq!(renewed["extended"], 1);
    let records = json!({"records": [record("a", &id, 52_500), record("keyless", "", 0)]});
    assert_eq!(service.internal("settle", &records).good()["durable"], 2);

    let budgets = service.admin("GET", "/admin/budgets", None).good();
    for (place, limit) in [(0, 1_000), (1, 1)] {
        let budget = &budgets["data"][place];
        assert_eq!(
            (&budget["limit_usd"], &budget["held_usd"]),
            (&json!(limit), &json!(0)),
            "{budgets}"
        );
        assert_eq!(budget["spent_usd"].as_f64(), Some(0.000_052_5));
    }
    let usage = service.admin("GET", "/admin/usage", None).good();
    assert_eq!(usage["totals"]["requests"], 1);
    assert_eq!(usage["by_key"][0]["name"], id);
    let metrics = service.admin("GET", "/metrics", None).text;
    for line in [
        "llm_requests_total{provider=\"local\",model=\"m\",status=\"success\"} 2",
        "llm_cost_total_usd{provider=\"local\",model=\"m\"} 0.0000525",
        "cache_requests_total{result=\"miss\"} 2",
        "weir_pii_findings_total{type=\"EMAIL\"} 2",
        "weir_holds_open 0",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let log = service.log();
    let line = log
        .lines()
        .find(|line| line.contains("exchange done"))
        .unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&line["level"], &line["trace_id"]),
        (&json!("info"), &json!("a"))
    );

    service.internal("policy", &json!({"version": 0, "vm": "one"}));
    let health = service.admin("GET", "/health", None).good();
    assert_eq!(
        (&health["status"], &health["version"]),
        (&json!("healthy"), &json!("1.0.0"))
    );
    assert_eq!(health["parts"]["filter_vms"], 1);
}
