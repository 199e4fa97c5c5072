//! Personal data on its way in: every shape of content, every way to ask for a rule.

use std::sync::Arc;

use e2e::behaviour::Recorded;
use e2e::client::{Ask, marker, prompt};
use e2e::gateway::Gateway;
use e2e::provider::FakeProvider;
use e2e::run_cases;
use e2e::setup::{KEY, Setup};
use serde_json::{Value, json};

const MAIL: &str = "an.nguyen@example.com";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn personal_data_is_guarded() {
    let gateway = Arc::new(Gateway::start(Setup::default()).await);
    run_cases!(
        gateway,
        [
            redaction_of_the_quick_reference,
            every_content_shape,
            outside_the_messages,
            names_of_tools_are_reported_only,
            hidden_twins_are_refused,
            escaped_text,
            tool_arguments_stay_json,
            each_first_detector,
            look_alikes_stay,
            deny_by_request,
            flag_by_request,
            rule_of_the_key,
            strictest_rule_wins,
            translated_requests_too,
            every_attempt_of_a_fallback,
            nothing_in_logs_and_metrics,
            masks_and_hashes,
            hashes_are_the_tenants_own,
            the_strictest_rule_of_a_type,
            unknown_types_are_refused,
            a_rule_turns_on_what_it_names,
            files_are_read,
            files_without_text_are_refused,
            wasm_finds_what_native_code_finds,
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn personal_data_is_guarded_by_default() {
    let setup = Setup::default().with(|config| {
        config["defaults"]["guardrails"] =
            json!({"input": [{"type": "pii_detection", "action": "redact"}]});
    });
    let gateway = Arc::new(Gateway::start(setup).await);
    run_cases!(gateway, [default_rule, default_rule_cannot_be_weakened]);
}

fn rule(action: &str) -> Value {
    json!({"guardrails": {"input": [{"type": "pii_detection", "action": action}]}})
}

async fn seen_of(gateway: &Gateway, mark: &str) -> Recorded {
    FakeProvider::only(gateway.provider.requests(mark).await)
}

async fn redacted(gateway: &Gateway, body: &Value, mark: &str) -> Recorded {
    gateway
        .chat(body)
        .config(&rule("redact"))
        .send()
        .await
        .good();
    seen_of(gateway, mark).await
}

async fn redaction_of_the_quick_reference(gateway: Arc<Gateway>) {
    let mark = marker();
    let text = format!("{mark} Nhân viên Nguyễn Văn A, CMND 123456789");
    let seen = redacted(&gateway, &prompt("gpt-4o-mini", &text), &mark).await;
    let wanted = format!("{mark} Nhân viên [NAME_REDACTED], CMND [CMND_REDACTED]");
    assert_eq!(seen.json()["messages"][0]["content"], wanted);
}

async fn every_content_shape(gateway: Arc<Gateway>) {
    let mark = marker();
    let text = format!("write to {MAIL} now");
    let arguments = json!({"to": MAIL, "n": 1}).to_string();
    let body = json!({
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": text},
            {"role": "developer", "content": [{"type": "text", "text": text}]},
            {"role": "user", "content": text},
            {"role": "user", "content": [
                {"type": "text", "text": text}, {"type": "text", "text": mark},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "mail", "arguments": arguments}}]},
            {"role": "tool", "tool_call_id": "c1", "content": text},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": text}]},
            {"role": "assistant", "content": text, "function_call": {"name": "f", "arguments": arguments}},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": text}]},
            {"role": "user", "content": "end"},
        ],
    });
    let seen = redacted(&gateway, &body, &mark).await;
    // Exactly the addresses are gone; every other byte is where it was.
    assert_eq!(
        seen.body,
        body.to_string().replace(MAIL, "[EMAIL_REDACTED]")
    );
}

async fn outside_the_messages(gateway: Arc<Gateway>) {
    let mark = marker();
    let text = format!("ask {MAIL}");
    let mut body = prompt("gpt-4o-mini", &mark);
    let schema = json!({"type": "object", "description": text, "properties": {
        "description": {"type": "string", "description": text}}});
    body["tools"] = json!([{"type": "function", "function": {
        "name": "f", "description": text, "parameters": schema}}]);
    body["response_format"] = json!({"type": "json_schema",
        "json_schema": {"name": "n", "description": text, "schema": schema}});
    body["metadata"] = json!({"who": MAIL});
    body["user"] = json!(MAIL);
    body["stop"] = json!([MAIL, "END"]);
    body["prediction"] = json!({"type": "content", "content": [{"type": "text", "text": text}]});
    body["later"] = json!({"deep": [text]});
    body["messages"][0]["later"] = json!({"filename": text});
    let seen = redacted(&gateway, &body, &mark).await;
    assert_eq!(
        seen.body,
        body.to_string().replace(MAIL, "[EMAIL_REDACTED]")
    );
}

async fn names_of_tools_are_reported_only(gateway: Arc<Gateway>) {
    let mark = marker();
    let mut body = prompt("gpt-4o-mini", &mark);
    let properties = json!({MAIL: {"type": "string", "enum": [MAIL]}});
    body["tools"] = json!([{"type": "function", "function": {
        "name": "f", "parameters": {"type": "object", "properties": properties}}}]);
    let seen = redacted(&gateway, &body, &mark).await;
    assert_eq!(seen.body, body.to_string());
    let denied = gateway.chat(&body).config(&rule("deny")).send().await;
    denied.refused(400, "guardrail_violation");
}

async fn hidden_twins_are_refused(gateway: Arc<Gateway>) {
    let body = format!(
        "{{\"model\":\"gpt-4o-mini\",\"messages\":[{{\"role\":\"user\",\"content\":\"{MAIL}\",\
         \"content\":\"hello\"}}]}}"
    );
    let ask = gateway.chat_bytes(body).key(KEY).config(&rule("redact"));
    let refused = ask.send().await;
    refused.refused(400, "invalid_request");
    assert_eq!(refused.json()["error"]["param"], "messages[0].content");
}

async fn escaped_text(gateway: Arc<Gateway>) {
    let mark = marker();
    let body = format!(
        "{{\"model\":\"gpt-4o-mini\",\"messages\":[{{\"role\":\"user\",\"content\":\
         \"{mark} caf\\u00e9\\n\\u0061n.nguyen\\u0040example.com\\t\\\"end\\\" \\ud83d\\ude00\"}}]}}"
    );
    gateway
        .chat_bytes(body)
        .key(KEY)
        .config(&rule("redact"))
        .send()
        .await
        .good();
    let seen = seen_of(&gateway, &mark).await;
    let wanted = format!("{mark} café\n[EMAIL_REDACTED]\t\"end\" 😀");
    assert_eq!(
        seen.json()["messages"][0]["content"],
        wanted,
        "{}",
        seen.body
    );
}

async fn tool_arguments_stay_json(gateway: Arc<Gateway>) {
    let mark = marker();
    // The address is escaped twice: in the arguments and in the request.
    let inner = r#"{"to":"an.nguyen@example.com","note":"say \"hi\" to an.nguyen@example.com"}"#;
    let body = json!({"model": "gpt-4o-mini", "messages": [
        {"role": "user", "content": mark},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "mail", "arguments": inner}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
    ]});
    let seen = redacted(&gateway, &body, &mark).await.json();
    let arguments = &seen["messages"][1]["tool_calls"][0]["function"]["arguments"];
    let parsed: Value = serde_json::from_str(arguments.as_str().expect("text")).expect("JSON");
    assert_eq!(parsed["to"], "[EMAIL_REDACTED]");
    assert_eq!(parsed["note"], "say \"hi\" to [EMAIL_REDACTED]");
}

async fn each_first_detector(gateway: Arc<Gateway>) {
    for (text, value) in [
        ("mail an.nguyen@example.com please", "an.nguyen@example.com"),
        ("phone: +84 912 345 678", "912 345 678"),
        ("card 4111 1111 1111 1111 exp 12/30", "4111 1111 1111 1111"),
        ("IBAN DE89 3704 0044 0532 0130 00", "0532 0130 00"),
        ("my SSN is 536-22-1234", "536-22-1234"),
        ("the server 203.0.113.77 is down", "203.0.113.77"),
        ("CMND 123456789", "123456789"),
        ("CCCD 001099012345", "001099012345"),
        (
            "key sk-proj-Ab3dEf6hIj9kLmN0pQrStUvWxYz1234567890AbCdEf",
            "Ab3dEf6hIj9kLmN0",
        ),
        ("Họ và tên: Trần Thị Bình", "Trần Thị Bình"),
    ] {
        let mark = marker();
        let seen = redacted(
            &gateway,
            &prompt("gpt-4o-mini", &format!("{mark} {text}")),
            &mark,
        )
        .await;
        let content = seen.json()["messages"][0]["content"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(
            !content.contains(value) && content.contains("_REDACTED]"),
            "{text} became {content}"
        );
    }
}

async fn look_alikes_stay(gateway: Arc<Gateway>) {
    for text in [
        "order 4111 1111 1111 1112 shipped",
        "version 1.2.3.4 of the build 2024-11-21",
        "DE89 3704 0044 0532 0130 01",
        "call f(x) @ home, 100 % of 12,345,678",
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ] {
        let mark = marker();
        let body = prompt("gpt-4o-mini", &format!("{mark} {text}"));
        let seen = redacted(&gateway, &body, &mark).await;
        assert_eq!(seen.body, body.to_string());
    }
}

async fn deny_by_request(gateway: Arc<Gateway>) {
    let mark = marker();
    let body = prompt("gpt-4o-mini", &format!("{mark} {MAIL}"));
    let answer = gateway.chat(&body).config(&rule("deny")).send().await;
    answer.refused(400, "guardrail_violation");
    assert!(!answer.text().contains(MAIL), "{answer}");
    assert!(gateway.provider.requests(&mark).await.is_empty());
    let clean = prompt("gpt-4o-mini", &format!("{mark} nothing personal"));
    gateway
        .chat(&clean)
        .config(&rule("deny"))
        .send()
        .await
        .good();
}

async fn flag_by_request(gateway: Arc<Gateway>) {
    let mark = marker();
    let body = prompt("gpt-4o-mini", &format!("{mark} {MAIL}"));
    let answer = gateway.chat(&body).config(&rule("flag")).send().await;
    answer.good();
    assert_eq!(seen_of(&gateway, &mark).await.body, body.to_string());
    let headers = format!("{:?}", answer.header("x-weir-pii"));
    assert!(
        headers.contains("EMAIL"),
        "a flag is told in x-weir-pii: {answer}"
    );
}

async fn rule_of_the_key(gateway: Arc<Gateway>) {
    for action in ["redact", "deny"] {
        let members = json!({"provider": "openai", "guardrails": rule(action)["guardrails"]});
        let (key, _) = gateway.new_key(members).await;
        let mark = marker();
        let body = prompt("gpt-4o-mini", &format!("{mark} {MAIL}"));
        let answer = gateway.chat_as(&key, &body).send().await;
        if action == "deny" {
            answer.refused(400, "guardrail_violation");
            assert!(gateway.provider.requests(&mark).await.is_empty());
        } else {
            answer.good();
            assert!(!seen_of(&gateway, &mark).await.body.contains(MAIL));
        }
    }
}

async fn strictest_rule_wins(gateway: Arc<Gateway>) {
    let members = json!({"provider": "openai", "guardrails": rule("deny")["guardrails"]});
    let (key, _) = gateway.new_key(members).await;
    let body = prompt("gpt-4o-mini", MAIL);
    let answer = gateway
        .chat_as(&key, &body)
        .config(&rule("flag"))
        .send()
        .await;
    answer.refused(400, "guardrail_violation");
    // A configuration that says nothing about it takes nothing away either.
    let config = json!({"strategy": "single", "provider": "openai"});
    let answer = gateway.chat_as(&key, &body).config(&config).send().await;
    answer.refused(400, "guardrail_violation");
}

async fn translated_requests_too(gateway: Arc<Gateway>) {
    for stream in [false, true] {
        let mark = marker();
        let mut body = prompt("claude-3-sonnet", &format!("{mark} {MAIL}"));
        body["stream"] = json!(stream);
        let seen = redacted(&gateway, &body, &mark).await;
        assert_eq!(seen.path, "/anthropic/v1/messages");
        assert!(
            !seen.body.contains(MAIL) && seen.body.contains("[EMAIL_REDACTED]"),
            "{}",
            seen.body
        );
    }
}

async fn every_attempt_of_a_fallback(gateway: Arc<Gateway>) {
    let mark = marker();
    let mut config = rule("redact");
    config["strategy"] = json!("fallback");
    config["targets"] = json!([
        {"provider": "openai", "model": "fault-503"},
        {"provider": "anthropic", "model": "claude-3-sonnet"},
    ]);
    let body = prompt("gpt-4o-mini", &format!("{mark} {MAIL}"));
    gateway.chat(&body).config(&config).send().await.good();
    let seen = gateway.provider.requests(&mark).await;
    assert_eq!(seen.len(), 2, "{seen:#?}");
    assert!(seen.iter().all(|one| !one.body.contains(MAIL)), "{seen:#?}");
}

async fn nothing_in_logs_and_metrics(gateway: Arc<Gateway>) {
    let secret = format!("{}@example.org", marker());
    for action in ["deny", "redact", "flag"] {
        gateway
            .chat(&prompt("gpt-4o-mini", &secret))
            .config(&rule(action))
            .send()
            .await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let metrics = gateway.get("/metrics").send().await.text();
    for text in [gateway.sidecar_log(), gateway.envoy_log(), metrics] {
        assert!(
            !text.contains(&secret),
            "personal data where it must not be"
        );
    }
}

fn rules(rules: &Value) -> Value {
    json!({"guardrails": {"input": rules}})
}

async fn content_under(gateway: &Gateway, key: &str, rule: &Value, text: &str) -> String {
    let mark = marker();
    let body = prompt("gpt-4o-mini", &format!("{mark} {text}"));
    let ask = gateway.chat_as(key, &body).config(rule);
    ask.send().await.good();
    let seen = seen_of(gateway, &mark).await.json();
    let content = seen["messages"][0]["content"].as_str().unwrap_or_default();
    content
        .strip_prefix(&format!("{mark} "))
        .unwrap_or_default()
        .to_owned()
}

async fn masks_and_hashes(gateway: Arc<Gateway>) {
    let mask = rules(&json!([{"type": "pii_detection", "action": "mask", "keep": 4}]));
    let text = "card 4111 1111 1111 1111, password: Tr0ub4dor&3";
    let content = content_under(&gateway, KEY, &mask, text).await;
    assert_eq!(content, "card **** **** **** 1111, password: ***********");
    let hash = rules(&json!([{"type": "pii_detection", "action": "hash"}]));
    let first = content_under(&gateway, KEY, &hash, &format!("ask {MAIL}")).await;
    let second = content_under(
        &gateway,
        KEY,
        &hash,
        &format!("ask {}", MAIL.to_uppercase()),
    )
    .await;
    assert_eq!(first, second);
    let hex = first
        .strip_prefix("ask [EMAIL_")
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or_default();
    assert!(
        hex.len() == 12 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{first}"
    );
}

async fn hashes_are_the_tenants_own(gateway: Arc<Gateway>) {
    let hash = rules(&json!([{"type": "pii_detection", "action": "hash"}]));
    let mut seen = Vec::new();
    for tenant in ["acme", "acme", "other"] {
        let (key, _) = gateway
            .new_key(json!({"provider": "openai", "tenant": tenant}))
            .await;
        seen.push(content_under(&gateway, &key, &hash, MAIL).await);
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
}

async fn the_strictest_rule_of_a_type(gateway: Arc<Gateway>) {
    let of_key = json!({"input": [
        {"type": "pii_detection", "action": "mask"},
        {"type": "pii_detection", "action": "deny", "types": ["IBAN"]},
    ]});
    let members = json!({"provider": "openai", "guardrails": of_key});
    let (key, shown) = gateway.new_key(members).await;
    assert_eq!(shown["guardrails"]["input"]["pii"][1]["action"], "deny");
    let of_request = rules(&json!([
        {"type": "pii_detection", "action": "redact", "types": ["EMAIL"]},
        {"type": "pii_detection", "action": "flag", "types": ["IBAN", "CREDIT_CARD"]},
    ]));
    let text = format!("{MAIL} card 4111 1111 1111 1111");
    let content = content_under(&gateway, &key, &of_request, &text).await;
    assert_eq!(content, "[EMAIL_REDACTED] card **** **** **** 1111");
    let body = prompt("gpt-4o-mini", "IBAN DE89 3704 0044 0532 0130 00");
    let denied = gateway
        .chat_as(&key, &body)
        .config(&of_request)
        .send()
        .await;
    denied.refused(400, "guardrail_violation");
}

async fn a_rule_turns_on_what_it_names(gateway: Arc<Gateway>) {
    const VIN: &str = "1M8GDM9AXKP042788";
    let text = format!("the chassis says {VIN}, write to {MAIL}");
    let all = json!({"type": "pii_detection", "action": "redact"});
    let content = content_under(&gateway, KEY, &rules(&json!([all])), &text).await;
    assert!(content.contains(VIN), "{content}");
    let named = json!([all, {"type": "pii_detection", "action": "flag", "types": ["VIN"]}]);
    let content = content_under(&gateway, KEY, &rules(&named), &text).await;
    assert_eq!(
        content,
        "the chassis says [VIN_REDACTED], write to [EMAIL_REDACTED]"
    );
}

async fn unknown_types_are_refused(gateway: Arc<Gateway>) {
    let rule = rules(&json!([{"type": "pii_detection", "types": ["MAIL"]}]));
    let body = prompt("gpt-4o-mini", "hello");
    let refused = gateway.chat(&body).config(&rule).send().await;
    refused.refused(400, "invalid_config");
    assert_eq!(refused.json()["error"]["param"], "guardrails.input.types");
}

async fn default_rule(gateway: Arc<Gateway>) {
    let mark = marker();
    gateway
        .chat(&prompt("gpt-4o-mini", &format!("{mark} {MAIL}")))
        .send()
        .await
        .good();
    assert!(!seen_of(&gateway, &mark).await.body.contains(MAIL));
    let (key, _) = gateway.new_key(json!({"provider": "openai"})).await;
    let mark = marker();
    let ask: Ask = gateway.chat_as(&key, &prompt("claude-3-sonnet", &format!("{mark} {MAIL}")));
    ask.send().await.good();
    assert!(!seen_of(&gateway, &mark).await.body.contains(MAIL));
}

async fn default_rule_cannot_be_weakened(gateway: Arc<Gateway>) {
    let mark = marker();
    let body = prompt("gpt-4o-mini", &format!("{mark} {MAIL}"));
    gateway
        .chat(&body)
        .config(&rule("flag"))
        .send()
        .await
        .good();
    assert!(!seen_of(&gateway, &mark).await.body.contains(MAIL));
}

/// The filter reads sixteen bytes at a time, which nothing but wasm does: the labelled prompts say
/// that it finds the same.
async fn wasm_finds_what_native_code_finds(gateway: Arc<Gateway>) {
    let samples = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../bench/guard/samples/tuned.jsonl"
    );
    let lines = std::fs::read_to_string(samples).unwrap();
    let texts: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|case| case["text"].as_str().unwrap().to_owned())
        .collect();
    assert!(texts.len() >= 500);
    for batch in texts.chunks(100) {
        let mark = marker();
        let mut messages = vec![json!({"role": "user", "content": mark})];
        messages.extend(
            batch
                .iter()
                .map(|text| json!({"role": "user", "content": text})),
        );
        let body = json!({"model": "gpt-4o-mini", "messages": messages});
        let seen = redacted(&gateway, &body, &mark).await.json();
        for (index, text) in batch.iter().enumerate() {
            assert_eq!(
                seen["messages"][index + 1]["content"],
                engine::guard::redact(text).unwrap_or_else(|| text.clone())
            );
        }
    }
}

/// `ID: 7\nmail an.nguyen@example.com\n` in base64, and the same redacted.
const FILE: [&str; 2] = [
    "SUQ6IDcKbWFpbCBhbi5uZ3V5ZW5AZXhhbXBsZS5jb20K",
    "SUQ6IDcKbWFpbCBbRU1BSUxfUkVEQUNURURdCg==",
];

async fn files_are_read(gateway: Arc<Gateway>) {
    let mark = marker();
    let [file, wanted] = FILE;
    let url = |base64: &str| format!("data:text/plain;base64,{base64}");
    let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": [
        {"type": "text", "text": mark},
        {"type": "file", "file": {"filename": "a.txt", "file_data": url(file)}},
        {"type": "file", "file": {"filename": "b.txt", "file_data": file}},
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{file}")}},
        {"type": "input_audio", "input_audio": {"data": file, "format": "wav"}},
    ]}]});
    let seen = redacted(&gateway, &body, &mark).await.json();
    let part = |index: usize| seen["messages"][0]["content"][index].clone();
    assert_eq!(part(1)["file"]["file_data"], url(wanted));
    assert_eq!(part(2)["file"]["file_data"], wanted);
    assert_eq!(part(3), body["messages"][0]["content"][3], "images stay");
    assert_eq!(part(4), body["messages"][0]["content"][4], "sound stays");
}

async fn files_without_text_are_refused(gateway: Arc<Gateway>) {
    let body = |mark: &str| {
        let pdf = "data:application/pdf;base64,JVBERi0xLjQKJeLjz9MKMSAwIG9iago8PD4+CmVuZG9iago=";
        json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": [
            {"type": "text", "text": mark},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": pdf}}]}]})
    };
    let refused = gateway
        .chat(&body("x"))
        .config(&rule("redact"))
        .send()
        .await;
    refused.refused(400, "guardrail_violation");
    let said = refused.json()["error"]["message"].to_string();
    assert!(said.contains("holds no text"), "{said}");

    let mark = marker();
    let mut allowing = rule("redact");
    allowing["guardrails"]["unread"] = json!("allow");
    let answer = gateway.chat(&body(&mark)).config(&allowing).send().await;
    answer.good();
    assert_eq!(
        answer.header("x-weir-guardrails-unenforced"),
        Some("pii_detection")
    );
    assert_eq!(seen_of(&gateway, &mark).await.json(), body(&mark));
}
