use super::*;

fn text(body: &[u8]) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}

#[test]
fn every_status_has_a_place_at_openai_clients() {
    let body = br#"{"type":"error","error":{"type":"x_error","message":"m"},"request_id":"r"}"#;
    for (upstream, status, kind, code) in [
        (400, 400, "invalid_request_error", "null"),
        (401, 502, "upstream_error", "\"upstream_auth\""),
        (402, 502, "upstream_error", "\"upstream_billing\""),
        (403, 502, "upstream_error", "\"upstream_auth\""),
        (404, 404, "invalid_request_error", "\"model_not_found\""),
        (408, 504, "timeout_error", "\"upstream_timeout\""),
        (409, 409, "invalid_request_error", "null"),
        (413, 413, "invalid_request_error", "\"request_too_large\""),
        (422, 400, "invalid_request_error", "null"),
        (424, 502, "server_error", "\"upstream_error\""),
        (429, 429, "rate_limit_error", "\"rate_limit_exceeded\""),
        (500, 500, "server_error", "\"upstream_error\""),
        (502, 503, "server_error", "\"upstream_error\""),
        (503, 503, "server_error", "\"upstream_error\""),
        (504, 504, "timeout_error", "\"upstream_timeout\""),
        (520, 502, "server_error", "\"upstream_error\""),
        (529, 503, "overloaded_error", "\"upstream_overloaded\""),
        (302, 502, "server_error", "\"upstream_error\""),
    ] {
        let answer = decode_error(Dialect::Anthropic, upstream, body);
        let expect =
            format!(r#"{{"error":{{"message":"m","type":"{kind}","param":null,"code":{code}}}}}"#);
        assert_eq!(
            (answer.status, text(&answer.body)),
            (status, expect),
            "{upstream}"
        );
    }
}

#[test]
fn an_error_in_openai_shape_passes_byte_for_byte() {
    let body =
        br#"{ "error" : {"message":"m","type":"t","param":null,"code":"c","innererror":{}}}"#;
    let answer = decode_error(Dialect::Openai, 400, body);
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (400, body.as_slice())
    );
    let answer = decode_error(Dialect::Openai, 422, body);
    let expect = r#"{"error":{"message":"m","type":"t","param":null,"code":"c"}}"#;
    assert_eq!((answer.status, text(&answer.body).as_str()), (400, expect));
}

#[test]
fn a_bad_provider_key_is_not_the_clients() {
    let openai = br#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#;
    let gemini = br#"[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":"t","reason":"API_KEY_INVALID"}]}}]"#;
    for (status, body) in [(401, openai.as_slice()), (400, gemini.as_slice())] {
        let answer = decode_error(Dialect::Openai, status, body);
        assert_eq!(answer.status, 502);
        let body = text(&answer.body);
        assert!(body.contains(r#""type":"upstream_error""#), "{body}");
        assert!(body.contains(r#""code":"upstream_auth""#), "{body}");
        assert!(body.contains("API key"), "{body}");
    }
}

#[test]
fn reads_a_message_out_of_any_shape() {
    let long = format!("{}ế", "x".repeat(ERROR_MESSAGE_BYTES_MAX - 1));
    let cut = "x".repeat(ERROR_MESSAGE_BYTES_MAX - 1);
    for (body, message) in [
        (r#"{"error":"text"}"#, "text"),
        (r#"{"message":"text","type":"t"}"#, "text"),
        (r#"{"detail":"text"}"#, "text"),
        (r#"{"detail":[{"loc":["body"],"msg":"text"}]}"#, "text"),
        (
            r#"{"object":"error","message":"text","code":40401}"#,
            "text",
        ),
        (r#"[{"error":{"message":"text"}}]"#, "text"),
        ("text", "text"),
        (" \n", "The provider answered with HTTP status 500"),
        ("", "The provider answered with HTTP status 500"),
        ("{}", "The provider answered with HTTP status 500"),
        ("[]", "The provider answered with HTTP status 500"),
        ("null", "The provider answered with HTTP status 500"),
        (
            r#"{"error":{}}"#,
            "The provider answered with HTTP status 500",
        ),
        (
            "<html><head><TITLE> 502 Bad Gateway</TITLE></head></html>",
            "502 Bad Gateway",
        ),
        ("<html>", "The provider answered with HTTP status 500"),
        (&long, &cut),
    ] {
        let answer = decode_error(Dialect::Openai, 500, body.as_bytes());
        let root = json::document(&answer.body).unwrap();
        let error = json::member(&answer.body, root, "error").unwrap();
        let said = json::member(&answer.body, error, "message").unwrap();
        assert_eq!(json::string(&answer.body, said).unwrap(), message, "{body}");
        assert_eq!(answer.status, 500);
    }
    let answer = decode_error(Dialect::Openai, 500, b"\xff\xfe{");
    assert!(json::document(&answer.body).is_ok());
}

#[test]
fn a_used_up_quota_is_final_and_a_rate_limit_is_not() {
    let openai = r#"{"error":{"message":"m","type":"KIND","param":null,"code":"KIND"}}"#;
    for (kind, is_final) in [("insufficient_quota", true), ("rate_limit_exceeded", false)] {
        let body = openai.replace("KIND", kind);
        let answer = decode_error(Dialect::Openai, 429, body.as_bytes());
        assert_eq!((answer.status, answer.is_final), (429, is_final));
        assert_eq!(answer.body, body.as_bytes());
    }
}

#[test]
fn agents_learn_that_a_prompt_is_too_long() {
    let body = br#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#;
    let answer = decode_error(Dialect::Anthropic, 400, body);
    assert_eq!(answer.status, 400);
    assert!(text(&answer.body).contains(r#""code":"context_length_exceeded""#));
}

#[test]
fn the_first_event_decides() {
    let status = |dialect, stream: &str, end| match first_event(dialect, stream.as_bytes(), end) {
        FirstEvent::NeedMore => 1,
        FirstEvent::Good => 0,
        FirstEvent::Failed { status, body } => {
            assert!(json::document(&body).is_ok());
            status
        }
    };
    let openai = |stream, end| status(Dialect::Openai, stream, end);
    assert_eq!(openai("", false), 1);
    assert_eq!(openai("", true), 502);
    assert_eq!(openai(": wait\n\n", false), 1);
    assert_eq!(openai(": wait\n\n", true), 502);
    assert_eq!(openai("data: {\"choices\":[]", false), 1);
    assert_eq!(openai("data: {\"choices\":[]", true), 502);
    assert_eq!(openai("data: {\"choices\":[]}", true), 0);
    assert_eq!(openai("data: {\"choices\":[]}\n\n", false), 0);
    assert_eq!(openai("data: [DONE]\n\n", false), 0);
    assert_eq!(
        openai(
            "data: {\"error\":{\"message\":\"m\",\"code\":529}}\n\n",
            false
        ),
        503
    );
    assert_eq!(openai("data: {\"error\":\"slow\"}\n\n", false), 502);
    assert_eq!(
        openai(
            "data: {\"error\":{\"code\":\"insufficient_quota\"}}\n\n",
            false
        ),
        429
    );
    assert_eq!(
        openai(
            "data: {\"error\":{\"code\":\"invalid_api_key\"}}\n\n",
            false
        ),
        502
    );
    assert_eq!(openai("data: {\"error\":null}\n\n", false), 0);
    assert_eq!(
        openai("event: error\ndata: {\"message\":\"m\"}\n\n", false),
        502
    );
    assert_eq!(openai("data: {cut}\n\n", false), 502);
    assert_eq!(
        openai(
            "{\"error\":{\"message\":\"m\",\"type\":\"server_error\"}}",
            true
        ),
        500
    );
    assert_eq!(openai("{\"error\":{\"mess", false), 1);
    assert_eq!(openai("{\"choices\":[]}", true), 502);
    let endless = "x".repeat(crate::limits::EVENT_BYTES_MAX + 1);
    assert_eq!(openai(&endless, false), 502);

    let anthropic = |stream: &str, end| status(Dialect::Anthropic, stream, end);
    let start =
        "data: {\"type\":\"message_start\",\"message\":{}}\n\ndata: {\"type\":\"ping\"}\n\n";
    let block = |kind: &str| {
        format!(
            "{start}data: {{\"type\":\"content_block_start\",\"content_block\":{{\"type\":\"{kind}\"}}}}\n\n"
        )
    };
    let error = "data: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";
    assert_eq!(anthropic(start, false), 1);
    assert_eq!(anthropic(start, true), 502);
    assert_eq!(anthropic(&block("text"), false), 1);
    assert_eq!(anthropic(&block("tool_use"), false), 0);
    assert_eq!(
        anthropic(&format!("{}{error}", block("thinking")), false),
        503
    );
    let delta = "data: {\"type\":\"content_block_delta\"}\n\n";
    assert_eq!(
        anthropic(&format!("{}{delta}{error}", block("text")), false),
        0
    );
    assert_eq!(anthropic("data: {\"type\":\"message_stop\"}\n\n", false), 0);
}
