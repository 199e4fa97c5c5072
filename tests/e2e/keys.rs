//! Virtual keys: their whole life, and that nobody without one gets anywhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::client::{Answer, Ask, marker, prompt, raw};
use e2e::gateway::Gateway;
use e2e::provider::FakeProvider;
use e2e::run_cases;
use e2e::setup::{KEY, Setup};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn virtual_keys_live_and_die() {
    let gateway = Arc::new(Gateway::start(Setup::default()).await);
    run_cases!(
        gateway,
        [
            created_key_is_shown_once,
            three_headers_carry_a_key,
            bad_keys_are_refused,
            refusal_comes_before_the_body,
            disabled_and_enabled_again,
            revoked_for_good,
            expired,
            rotation_needs_nothing_of_clients,
            changed_by_patch,
            model_list_is_kept,
            admin_needs_its_token,
            admin_explains_mistakes,
            store_holds_no_key_in_clear,
        ]
    );
}

/// Repeats a chat until it gives the wanted status: every worker learns of a change within a
/// moment, not at once.
async fn chat_until(gateway: &Gateway, key: &str, status: u16) -> Answer {
    let started = Instant::now();
    loop {
        // Fresh connections, so that each worker is asked.
        let mut last = None;
        for _ in 0..6 {
            let builder = reqwest::Client::new().post(gateway.url("/v1/chat/completions"));
            let body = prompt("gpt-4o-mini", "turn").to_string();
            let answer = Ask {
                builder: builder.body(body),
            }
            .key(key)
            .send()
            .await;
            if answer.status != status {
                last = Some(answer);
                break;
            }
            last = Some(answer);
        }
        let last = last.expect("an answer");
        if last.status == status {
            return last;
        }
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "never {status}: {last}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn created_key_is_shown_once(gateway: Arc<Gateway>) {
    let members = json!({
        "name": "Production Key", "provider": "openai", "real_api_key": "sk-real-once",
        "rate_limit": 100, "budget_limit_usd": 500,
    });
    let (key, record) = gateway.new_key(members).await;
    assert!(key.starts_with("vk-") && key.len() >= 24, "{key}");
    assert_eq!(record["name"], "Production Key");
    assert_eq!(record["provider"], "openai");
    assert_eq!(record["rate_limit"], 100);
    assert_eq!(record["budget_limit_usd"].as_f64(), Some(500.0));
    let created = record["created_at"].as_str().expect("created_at");
    assert!(created.ends_with('Z') && created.contains('T'), "{created}");
    assert!(
        record["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("key_")),
        "{record}"
    );
    assert!(!record.to_string().contains("sk-real-once"), "{record}");
    gateway
        .chat_as(&key, &prompt("gpt-4o-mini", "hello"))
        .send()
        .await
        .good();

    let list = gateway.admin("GET", "/admin/virtual-keys", None).await;
    list.good();
    let one = gateway
        .admin("GET", &format!("/admin/virtual-keys/{key}"), None)
        .await;
    one.good();
    assert_eq!(one.json()["name"], "Production Key");
    for answer in [&list, &one] {
        let text = answer.text();
        assert!(text.contains("Production Key"), "{text}");
        assert!(
            !text.contains(&key) && !text.contains("sk-real-once"),
            "{text}"
        );
    }
    let id = record["id"].as_str().expect("id");
    let by_id = gateway
        .admin("GET", &format!("/admin/virtual-keys/{id}"), None)
        .await;
    assert_eq!(by_id.json()["id"], id);
}

async fn three_headers_carry_a_key(gateway: Arc<Gateway>) {
    for (name, value) in [
        ("authorization", format!("Bearer {KEY}")),
        ("authorization", format!("bearer {KEY}")),
        ("api-key", KEY.to_owned()),
        ("x-api-key", KEY.to_owned()),
    ] {
        let body = prompt("gpt-4o-mini", "hello").to_string();
        gateway
            .chat_bytes(body)
            .header(name, value)
            .send()
            .await
            .good();
    }
}

async fn bad_keys_are_refused(gateway: Arc<Gateway>) {
    let mark = marker();
    let body = prompt("gpt-4o-mini", &mark).to_string();
    gateway
        .chat_bytes(body.clone())
        .send()
        .await
        .refused(401, "missing_api_key");
    let long = "v".repeat(2_000);
    let odd: [(&str, Vec<u8>); 9] = [
        ("authorization", b"Bearer vk-unknown".to_vec()),
        ("authorization", b"Bearer sk-other".to_vec()),
        ("authorization", b"Bearer ".to_vec()),
        ("authorization", b"Bearer".to_vec()),
        ("authorization", b"Basic dXNlcjpwYXNz".to_vec()),
        ("authorization", b"Bearer vk-\xff\xfe".to_vec()),
        ("authorization", format!("Bearer vk-{long}").into_bytes()),
        ("x-api-key", b"vk-unknown".to_vec()),
        ("api-key", b"\xc3\x28".to_vec()),
    ];
    for (name, value) in odd {
        let answer = gateway
            .chat_bytes(body.clone())
            .header(name, &value)
            .send()
            .await;
        answer.refused(401, "invalid_api_key");
        let text = answer.text();
        assert!(!text.contains("vk-unknown"), "a key in an answer: {text}");
    }
    assert!(
        gateway.provider.requests(&mark).await.is_empty(),
        "a request without a key went on"
    );
}

async fn refusal_comes_before_the_body(gateway: Arc<Gateway>) {
    for more in ["", "Expect: 100-continue\r\n"] {
        for key in ["vk-unknown", "\u{fffd}"] {
            let head = format!(
                "POST /v1/chat/completions HTTP/1.1\r\nHost: weir\r\n\
                 Authorization: Bearer {key}\r\nContent-Type: application/json\r\n\
                 Content-Length: 100000\r\n{more}\r\n"
            );
            let answer = raw(
                gateway.ports.listen,
                head.as_bytes(),
                Duration::from_secs(3),
            )
            .await;
            // Envoy itself may invite the body; the refusal does not wait for it.
            let refusal = answer.lines().find(|line| line.starts_with("HTTP/1.1 4"));
            assert!(
                refusal.is_some_and(|line| line.contains("401")),
                "{more:?} {key:?}: {answer:?}"
            );
            assert!(answer.contains("invalid_api_key"), "{answer}");
        }
    }
}

async fn disabled_and_enabled_again(gateway: Arc<Gateway>) {
    let (key, record) = gateway.new_key(json!({"provider": "openai"})).await;
    chat_until(&gateway, &key, 200).await;
    let path = format!("/admin/virtual-keys/{}", record["id"].as_str().expect("id"));
    let answer = gateway
        .admin("PATCH", &path, Some(json!({"is_active": false})))
        .await;
    answer.good();
    assert_eq!(answer.json()["is_active"], false);
    chat_until(&gateway, &key, 403)
        .await
        .refused(403, "key_disabled");
    gateway
        .admin("PATCH", &path, Some(json!({"is_active": true})))
        .await
        .good();
    chat_until(&gateway, &key, 200).await;
}

async fn revoked_for_good(gateway: Arc<Gateway>) {
    let (key, _) = gateway.new_key(json!({"provider": "openai"})).await;
    chat_until(&gateway, &key, 200).await;
    let path = format!("/admin/virtual-keys/{key}");
    let answer = gateway.admin("DELETE", &path, None).await;
    assert!((200..300).contains(&answer.status), "{answer}");
    chat_until(&gateway, &key, 401)
        .await
        .refused(401, "key_revoked");
    let mark = marker();
    gateway
        .chat_as(&key, &prompt("gpt-4o-mini", &mark))
        .send()
        .await
        .refused(401, "key_revoked");
    assert!(gateway.provider.requests(&mark).await.is_empty());
    gateway
        .admin("PATCH", &path, Some(json!({"is_active": true})))
        .await;
    chat_until(&gateway, &key, 401)
        .await
        .refused(401, "key_revoked");
}

async fn expired(gateway: Arc<Gateway>) {
    let past = json!({"provider": "openai", "expires_at": "2020-01-01T00:00:00Z"});
    let answer = gateway
        .admin("POST", "/admin/virtual-keys", Some(json!({"name": "p"})))
        .await;
    assert!((200..300).contains(&answer.status), "{answer}");
    let created = gateway.admin(
        "POST",
        "/admin/virtual-keys",
        Some({
            let mut members = past;
            members["name"] = json!(marker());
            members
        }),
    );
    let created = created.await;
    // A key that is born dead may be refused as a mistake, or made and never work.
    if (200..300).contains(&created.status) {
        let key = created.json()["virtual_key"]
            .as_str()
            .expect("virtual_key")
            .to_owned();
        gateway
            .chat_as(&key, &prompt("gpt-4o-mini", "x"))
            .send()
            .await
            .refused(401, "key_expired");
    } else {
        assert_eq!(created.status, 400, "{created}");
    }
    let soon = std::time::SystemTime::now() + Duration::from_secs(3);
    let unix = soon
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let (key, _) = gateway
        .new_key(json!({"provider": "openai", "expires_at": rfc3339(unix)}))
        .await;
    gateway
        .chat_as(&key, &prompt("gpt-4o-mini", "alive"))
        .send()
        .await
        .good();
    tokio::time::sleep(Duration::from_millis(3_300)).await;
    chat_until(&gateway, &key, 401)
        .await
        .refused(401, "key_expired");
}

/// Civil time of Unix seconds, by counting days.
fn rfc3339(unix: u64) -> String {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut days, seconds) = (unix / 86_400, unix % 86_400);
    let mut year = 1970;
    while days >= if leap(year) { 366 } else { 365 } {
        days -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!(
        "{year}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
        days + 1
    )
}

async fn rotation_needs_nothing_of_clients(gateway: Arc<Gateway>) {
    let members = json!({"provider": "openai", "real_api_key": "sk-rotate-first"});
    let (key, _) = gateway.new_key(members).await;
    let used = async |text: String| {
        gateway
            .chat_as(&key, &prompt("gpt-4o-mini", &text))
            .send()
            .await
            .good();
        let seen = FakeProvider::only(gateway.provider.requests(&text).await);
        seen.header("authorization").unwrap_or_default().to_owned()
    };
    assert_eq!(used(marker()).await, "Bearer sk-rotate-first");
    // The quick reference's curl sends no content type of its own.
    let builder = gateway
        .http
        .put(gateway.url(&format!("/admin/virtual-keys/{key}/rotate")))
        .bearer_auth(e2e::setup::ADMIN_TOKEN)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(r#"{"new_api_key": "sk-rotate-second"}"#);
    let answer = Ask { builder }.send().await;
    answer.good();
    assert!(!answer.text().contains("sk-rotate"), "{answer}");
    assert_eq!(used(marker()).await, "Bearer sk-rotate-second");
}

async fn changed_by_patch(gateway: Arc<Gateway>) {
    let (key, record) = gateway.new_key(json!({"provider": "openai"})).await;
    let path = format!("/admin/virtual-keys/{}", record["id"].as_str().expect("id"));
    let change = json!({"name": "renamed", "rate_limit": 7, "budget_limit_usd": 12.5});
    let answer = gateway.admin("PATCH", &path, Some(change)).await;
    answer.good();
    let after = gateway.admin("GET", &path, None).await.json();
    assert_eq!(
        (&after["name"], &after["rate_limit"]),
        (&json!("renamed"), &json!(7))
    );
    assert_eq!(after["budget_limit_usd"].as_f64(), Some(12.5));
    let answer = chat_until(&gateway, &key, 200).await;
    assert_eq!(
        answer.header("x-ratelimit-limit-requests"),
        Some("7"),
        "{answer}"
    );
}

async fn model_list_is_kept(gateway: Arc<Gateway>) {
    let members = json!({"provider": "openai", "models": ["gpt-4o-mini"]});
    let (key, _) = gateway.new_key(members).await;
    gateway
        .chat_as(&key, &prompt("gpt-4o-mini", "hello"))
        .send()
        .await
        .good();
    let mark = marker();
    let other = gateway
        .chat_as(&key, &prompt("claude-3-sonnet", &mark))
        .send()
        .await;
    other.refused(403, "model_not_allowed");
    // Not by a detour either.
    let config = json!({"strategy": "single", "provider": "anthropic", "model": "claude-3-sonnet"});
    let detour = gateway
        .chat_as(&key, &prompt("gpt-4o-mini", &mark))
        .config(&config)
        .send()
        .await;
    detour.refused(403, "model_not_allowed");
    assert!(gateway.provider.requests(&mark).await.is_empty());
}

async fn admin_needs_its_token(gateway: Arc<Gateway>) {
    for path in ["/admin/virtual-keys", "/admin/virtual-keys/vk-x"] {
        for token in [None, Some(""), Some("wrong"), Some(KEY)] {
            let mut ask = gateway.get(path);
            if let Some(token) = token {
                ask = ask.key(token);
            }
            let answer = ask.send().await;
            assert!(
                matches!(answer.status, 401 | 403),
                "{path} {token:?}: {answer}"
            );
        }
    }
}

async fn admin_explains_mistakes(gateway: Arc<Gateway>) {
    let post = async |body: Value| {
        gateway
            .admin("POST", "/admin/virtual-keys", Some(body))
            .await
    };
    for (body, word) in [
        (json!({"name": "x", "provider": "nobody"}), "nobody"),
        (json!({"name": "x", "rate_limit": -1}), "rate_limit"),
        (
            json!({"name": "x", "budget_limit_usd": "lots"}),
            "budget_limit_usd",
        ),
        (json!({"name": "x", "rate_limitt": 5}), "rate_limit"),
        (json!([]), ""),
    ] {
        let answer = post(body.clone()).await;
        assert_eq!(answer.status, 400, "{body}: {answer}");
        assert!(answer.text().contains(word), "{body}: {answer}");
    }
    // JSON has several spellings of a number; Python's json writes small ones with an exponent.
    let (_, record) = gateway
        .new_key(json!({"provider": "openai", "budget_limit_usd": 1e-5}))
        .await;
    assert_eq!(
        record["budget_limit_usd"].as_f64(),
        Some(0.000_01),
        "{record}"
    );
    let missing = gateway
        .admin("GET", "/admin/virtual-keys/vk-nobody", None)
        .await;
    assert_eq!(missing.status, 404, "{missing}");
}

async fn store_holds_no_key_in_clear(gateway: Arc<Gateway>) {
    let members = json!({"provider": "openai", "real_api_key": "sk-must-not-be-on-disk"});
    let (key, _) = gateway.new_key(members).await;
    gateway
        .chat_as(&key, &prompt("gpt-4o-mini", "hello"))
        .send()
        .await
        .good();
    let folder = gateway.ledger().parent().expect("data").to_owned();
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("data").flatten() {
        let Ok(bytes) = std::fs::read(entry.path()) else {
            continue;
        };
        files += 1;
        for secret in [key.as_str(), "sk-must-not-be-on-disk", KEY] {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} stands in {}", entry.path().display());
        }
    }
    assert!(files > 0, "nothing to look at");
    for log in [gateway.sidecar_log(), gateway.envoy_log()] {
        assert!(
            !log.contains(&key) && !log.contains("sk-must-not-be-on-disk"),
            "a key in a log"
        );
    }
}
