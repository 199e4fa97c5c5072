//! Caps and garbage: a defined answer to everything, and a VM that stays alive.

use std::sync::Arc;
use std::time::Duration;

use e2e::client::{Answer, marker, prompt, raw};
use e2e::gateway::Gateway;
use e2e::provider::FakeProvider;
use e2e::run_cases;
use e2e::setup::{KEY, Setup};
use serde_json::{Value, json};

const CAP_BYTES: usize = 64 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caps_and_garbage() {
    let gateway = Arc::new(Gateway::start(Setup::default()).await);
    run_cases!(
        gateway,
        [
            headers_that_are_not_utf8,
            deeply_nested_json,
            ten_thousand_messages,
            empty_messages,
            null_content,
            bodies_that_are_no_request,
            members_of_the_wrong_type,
            odd_model_names,
            large_body_within_the_cap,
            long_headers,
            many_headers,
            odd_http,
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_at_and_over_the_cap() {
    let setup = Setup::default().with(|config| {
        config["limits"] = json!({"request_body_bytes": CAP_BYTES});
    });
    let gateway = Arc::new(Gateway::start(setup).await);
    run_cases!(
        gateway,
        [body_at_the_cap, body_over_the_cap, body_far_over_the_cap]
    );
}

/// A request of exactly `bytes` bytes.
fn sized(bytes: usize, mark: &str) -> String {
    let empty = prompt("gpt-4o-mini", mark).to_string().len();
    let filler = " x".repeat(bytes)[..bytes - empty].to_owned();
    let body = prompt("gpt-4o-mini", &format!("{mark}{filler}")).to_string();
    assert_eq!(body.len(), bytes);
    body
}

async fn body_at_the_cap(gateway: Arc<Gateway>) {
    for bytes in [CAP_BYTES - 1, CAP_BYTES] {
        let mark = marker();
        let body = sized(bytes, &mark);
        gateway
            .chat_bytes(body.clone())
            .key(KEY)
            .send()
            .await
            .good();
        assert_eq!(
            FakeProvider::only(gateway.provider.requests(&mark).await).body,
            body
        );
    }
}

async fn body_over_the_cap(gateway: Arc<Gateway>) {
    let mark = marker();
    let answer = gateway
        .chat_bytes(sized(CAP_BYTES + 1, &mark))
        .key(KEY)
        .send()
        .await;
    answer.refused(413, "request_too_large");
    let body = sized(CAP_BYTES + 1, &mark).into_bytes();
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
        body.chunks(1_000).map(|piece| Ok(piece.to_vec())).collect();
    let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    gateway
        .chat_bytes(stream)
        .key(KEY)
        .send()
        .await
        .refused(413, "request_too_large");
    assert!(gateway.provider.requests(&mark).await.is_empty());
}

async fn body_far_over_the_cap(gateway: Arc<Gateway>) {
    // Told by its length; nothing of it needs to be sent.
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: weir\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: 4000000000\r\n\r\n"
    );
    let answer = raw(
        gateway.ports.listen,
        head.as_bytes(),
        Duration::from_secs(4),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer:?}");
    // Chunked, past the filter's cap and past Envoy's buffer.
    let body = vec![b' '; 4 * 1024 * 1024];
    let stream = futures_util::stream::iter(
        body.chunks(64 * 1024)
            .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
            .collect::<Vec<_>>(),
    );
    let builder = gateway
        .http
        .post(gateway.url("/v1/chat/completions"))
        .bearer_auth(KEY);
    match builder
        .body(reqwest::Body::wrap_stream(stream))
        .send()
        .await
    {
        Ok(answer) => assert_eq!(answer.status(), 413),
        // The answer came while we were still writing, and the connection was closed under us.
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
}

async fn headers_that_are_not_utf8(gateway: Arc<Gateway>) {
    for name in [
        "user-agent",
        "x-anything",
        "x-portkey-trace-id",
        "traceparent",
        "x-weir-cache",
        "accept",
        "content-type",
        "x-portkey-metadata",
        "x-request-id",
        "cookie",
        "openai-organization",
    ] {
        for value in [
            b"\xff\xfe\x80".as_slice(),
            b"caf\xe9",
            b"\xf0\x9f\x98",
            b"\xed\xa0\x80",
        ] {
            let body = prompt("gpt-4o-mini", "x").to_string();
            let builder = gateway
                .http
                .post(gateway.url("/v1/chat/completions"))
                .body(body);
            let ask = e2e::client::Ask { builder }.key(KEY).header(name, value);
            let answer = ask.send().await;
            assert_eq!(answer.status, 200, "{name}: {value:?}: {answer}");
        }
    }
    for name in ["x-portkey-config", "x-weir-config"] {
        let ask = gateway
            .chat(&prompt("gpt-4o-mini", "x"))
            .header(name, b"{\"strategy\":\"\xff\"}");
        ask.send().await.refused(400, "invalid_config");
    }
    // In the request line's neighbours too.
    let head = b"GET /v1/models HTTP/1.1\r\nHost: we\xffir\r\nAuthorization: Bearer \xff\r\n\r\n";
    let answer = raw(gateway.ports.listen, head, Duration::from_secs(2)).await;
    assert!(answer.starts_with("HTTP/1.1 40"), "{answer:?}");
}

async fn deeply_nested_json(gateway: Arc<Gateway>) {
    let nested = |depth: usize, mark: &str| {
        format!(
            "{{\"model\":\"gpt-4o-mini\",\"messages\":[{{\"role\":\"user\",\"content\":\"{mark}\"}}],\
             \"x\":{}1{}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    let mark = marker();
    gateway
        .chat_bytes(nested(120, &mark))
        .key(KEY)
        .send()
        .await
        .good();
    let mark = marker();
    for depth in [128, 1_000, 100_000, 1_000_000] {
        let answer = gateway
            .chat_bytes(nested(depth, &mark))
            .key(KEY)
            .send()
            .await;
        answer.refused(400, "invalid_json");
    }
    for open in ["[", "{\"a\":", "{\"messages\":["] {
        let answer = gateway
            .chat_bytes(open.repeat(200_000))
            .key(KEY)
            .send()
            .await;
        answer.refused(400, "invalid_json");
    }
    // Depth inside tool arguments, which are a document in a string.
    let mut body = prompt("gpt-4o-mini", &mark);
    let arguments = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
    body["messages"].as_array_mut().expect("messages").insert(
        0,
        json!({
        "role": "assistant", "content": null, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}]}),
    );
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        body["model"] = json!(model);
        let config =
            json!({"guardrails": {"input": [{"type": "pii_detection", "action": "redact"}]}});
        let answer = gateway.chat(&body).config(&config).send().await;
        assert!(matches!(answer.status, 200 | 400), "{answer}");
    }
    // A route configuration is JSON too.
    let config = "[".repeat(20_000);
    let answer = gateway
        .chat(&prompt("gpt-4o-mini", "x"))
        .header("x-portkey-config", config)
        .send()
        .await;
    answer.refused(400, "invalid_config");
}

async fn ten_thousand_messages(gateway: Arc<Gateway>) {
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        let mark = marker();
        let mut messages: Vec<Value> = (0..10_000)
            .map(|index| {
                let role = if index % 2 == 0 { "user" } else { "assistant" };
                json!({"role": role, "content": format!("message {index}")})
            })
            .collect();
        messages.push(json!({"role": "user", "content": mark}));
        let body = json!({"model": model, "messages": messages});
        let config =
            json!({"guardrails": {"input": [{"type": "pii_detection", "action": "redact"}]}});
        let answer = gateway.chat(&body).config(&config).send().await;
        answer.good();
        assert_eq!(answer.content(), format!("Echo: {mark}"));
        let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
        assert_eq!(
            seen.json()["messages"].as_array().map(Vec::len),
            Some(10_001)
        );
    }
}

async fn empty_messages(gateway: Arc<Gateway>) {
    let answer = gateway
        .chat(&json!({"model": "gpt-4o-mini", "messages": []}))
        .send()
        .await;
    answer.refused(400, "invalid_request");
    assert_eq!(answer.json()["error"]["param"], "messages", "{answer}");
}

async fn null_content(gateway: Arc<Gateway>) {
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        let body = json!({"model": model, "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null},
            {"role": "user", "content": "still there?"},
        ]});
        let answer = gateway.chat(&body).send().await;
        answer.good();
        // Without an assistant turn between them Anthropic's two user turns become one.
        assert!(answer.content().ends_with("still there?"), "{answer}");
        for content in [
            json!(null),
            json!(""),
            json!([]),
            json!([{"type": "text", "text": ""}]),
        ] {
            let body = json!({"model": model, "messages": [{"role": "user", "content": content}]});
            let answer = gateway.chat(&body).send().await;
            assert!(
                matches!(answer.status, 200 | 400),
                "{model} {content}: {answer}"
            );
        }
    }
}

async fn refused_as_no_request(gateway: &Gateway, body: &[u8]) -> Answer {
    let answer = gateway.chat_bytes(body.to_vec()).key(KEY).send().await;
    let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
    assert_eq!(answer.status, 400, "{shown:?}: {answer}");
    assert!(
        matches!(answer.code().as_str(), "invalid_json" | "invalid_request"),
        "{shown:?}: {answer}"
    );
    answer
}

async fn bodies_that_are_no_request(gateway: Arc<Gateway>) {
    let good = prompt("gpt-4o-mini", "x").to_string();
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut binary: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    binary[0] = b'{';
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b" ".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        b"{".to_vec(),
        b"\"text\"".to_vec(),
        b"{\"model\":\"gpt-4o-mini\"}".to_vec(),
        b"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}".to_vec(),
        b"model=gpt-4o-mini&messages=hi".to_vec(),
        b"\x1f\x8b\x08\x00garbage".to_vec(),
        utf16,
        binary,
        format!("{good}{good}").into_bytes(),
        format!("{good},").into_bytes(),
        good.replace("\"x\"", "NaN").into_bytes(),
        good.replace("\"x\"", "'x'").into_bytes(),
        good.replace("\"x\"", "\"\\x\"").into_bytes(),
        good.replace("\"x\"", "\"a\nb\"").into_bytes(),
        good.as_bytes()[..good.len() - 1].to_vec(),
        good.replace('x', "\u{0}").into_bytes(),
        [
            b"{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\""
                .as_slice(),
            b"\xff\xfe\"}]}",
        ]
        .concat(),
    ];
    for body in bodies {
        refused_as_no_request(&gateway, &body).await;
    }
    // Half a surrogate pair is JSON to some readers and not to others: any defined answer will do.
    let lone = good.replace("\"x\"", "\"\\ud800\"");
    let answer = gateway.chat_bytes(lone).key(KEY).send().await;
    assert!(matches!(answer.status, 200 | 400), "{answer}");
}

async fn members_of_the_wrong_type(gateway: Arc<Gateway>) {
    let good = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x"}]});
    for (name, value) in [
        ("model", json!(5)),
        ("model", json!(null)),
        ("model", json!("")),
        ("messages", json!("hello")),
        ("messages", json!([5])),
        ("messages", json!([null])),
        ("messages", json!([{"content": "no role"}])),
        ("messages", json!([{"role": 5, "content": "x"}])),
        ("messages", json!([{"role": "user", "content": 5}])),
        ("stream", json!("yes")),
    ] {
        let mut body = good.clone();
        body[name] = value.clone();
        let answer = refused_as_no_request(&gateway, body.to_string().as_bytes()).await;
        let param = answer.json()["error"]["param"].to_string();
        assert!(param.contains(name), "{name} {value}: {answer}");
    }
    for (name, value) in [
        ("max_tokens", json!(-1)),
        ("max_tokens", json!(1e300)),
        ("max_tokens", json!("many")),
        ("max_completion_tokens", json!(u64::MAX)),
        ("n", json!(0)),
        ("n", json!(1_000_000_000_u64)),
        ("n", json!(-3)),
        ("stream_options", json!(5)),
        ("tools", json!("hammer")),
        ("tools", json!([1, null, {}])),
        ("tool_choice", json!([])),
        ("user", json!({})),
        ("response_format", json!(5)),
        ("stop", json!({})),
    ] {
        for model in ["gpt-4o-mini", "claude-3-sonnet"] {
            let mut body = good.clone();
            body["model"] = json!(model);
            body[name] = value.clone();
            let answer = gateway.chat(&body).send().await;
            assert!(
                answer.status == 200 || (400..500).contains(&answer.status),
                "{name} {value}: {answer}"
            );
        }
    }
}

async fn odd_model_names(gateway: Arc<Gateway>) {
    for name in [
        "a\r\nx-evil: 1",
        "\u{0}",
        "../../etc/passwd",
        "é\u{202e}",
        "\"",
        &"m".repeat(100_000),
    ] {
        let answer = gateway.chat(&prompt(name, "x")).send().await;
        assert!((400..500).contains(&answer.status), "{answer}");
        assert_eq!(answer.header("x-evil"), None, "{answer}");
        answer.json();
    }
}

async fn large_body_within_the_cap(gateway: Arc<Gateway>) {
    let mark = marker();
    let image = format!(
        "data:image/png;base64,{}",
        "iVBORw0KGgoAAAANSUhEUgAA".repeat(200_000)
    );
    let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": mark}]}]});
    gateway.chat(&body).send().await.good();
    let seen = FakeProvider::only(gateway.provider.requests(&mark).await);
    assert_eq!(seen.body, body.to_string());
}

async fn long_headers(gateway: Arc<Gateway>) {
    let body = prompt("gpt-4o-mini", "x");
    let config = json!({"strategy": "single", "provider": "openai", "x": "y".repeat(40_000)});
    let answer = gateway.chat(&body).config(&config).send().await;
    answer.refused(400, "invalid_config");
    for bytes in [10_000, 200_000] {
        let ask = gateway.chat(&body).header("x-long", "y".repeat(bytes));
        let answer = ask.send().await;
        assert!(matches!(answer.status, 200 | 431), "{bytes}: {answer}");
    }
}

async fn many_headers(gateway: Arc<Gateway>) {
    for count in [80, 500] {
        let mut ask = gateway.chat(&prompt("gpt-4o-mini", "x"));
        for index in 0..count {
            ask = ask.header(&format!("x-many-{index}"), "v");
        }
        let answer = ask.send().await;
        assert!(matches!(answer.status, 200 | 431), "{count}: {answer}");
    }
}

async fn odd_http(gateway: Arc<Gateway>) {
    let body = prompt("gpt-4o-mini", "x").to_string();
    let length = body.len();
    let mut wrong = Vec::new();
    // No Host; two lengths; length and chunked; a client that promises more than it sends.
    for head in [
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {length}\r\nContent-Length: 5\r\n\r\n{body}"
        ),
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{body}"
        ),
        format!("POST //v1//chat/completions HTTP/1.0\r\nAuthorization: Bearer {KEY}\r\n\r\n"),
    ] {
        let answer = raw(
            gateway.ports.listen,
            head.as_bytes(),
            Duration::from_secs(2),
        )
        .await;
        if !(answer.is_empty() || answer.starts_with("HTTP/1.1 4")) {
            wrong.push(format!("{head}\n-> {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let cut = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        length + 10
    );
    let answer = raw(
        gateway.ports.listen,
        cut.as_bytes(),
        Duration::from_millis(300),
    )
    .await;
    assert!(
        answer.is_empty(),
        "half a body was taken for a whole one: {answer}"
    );
}
