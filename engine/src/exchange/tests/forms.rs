//! Calls in other forms than a chat completion.

use super::*;
use crate::endpoint::Through;

/// A world whose first provider takes calls that pass, at a price.
fn world() -> World {
    let mut world = World::new();
    let provider = Provider {
        calls: vec![
            (Through::Audio, 6_000_000),
            (Through::Files, 0),
            (Through::Batches, 0),
        ],
        ..Provider::clone(world.policy.provider("openai").expect("provider"))
    };
    let anthropic = Provider::clone(world.policy.provider("anthropic").expect("provider"));
    let mut models: Vec<Model> = world.policy.listed().map(|m| Model::clone(m)).collect();
    models.push(Model {
        id: "whisper-1".into(),
        provider: "openai".into(),
        model: "whisper-large".into(),
        price: Price {
            per_call: 3_000_000,
            ..Price::default()
        },
        ..Model::default()
    });
    world.policy = PolicyIndex::new(Policy {
        providers: vec![provider, anthropic],
        models,
        defaults: world.policy.defaults().clone(),
    });
    world
}

struct Request<'a> {
    method: &'a str,
    path: &'a str,
    kind: &'a str,
    body: &'a [u8],
}

fn begin(world: &mut World, request: &Request<'_>, models: &[&str]) -> (Exchange, Step) {
    let mut exchange = Exchange::new("wr-1".into(), world.now_ms);
    let end = request.body.is_empty();
    let extra = [("content-type", request.kind)];
    let head = head(request.method, request.path, &extra);
    let mut step = exchange.on_head(&mut world.env(), head, end);
    if matches!(step, Step::Ask(_)) {
        let known = KeyAnswer::Known(KeyRecord {
            id: "key_1".into(),
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            ..KeyRecord::default()
        });
        step = exchange.on_key(&mut world.env(), Some(known));
    }
    if !end {
        step = exchange.on_body(&mut world.env(), request.body.to_vec());
    }
    (exchange, step)
}

fn granted(world: &mut World, exchange: &mut Exchange) -> Forward {
    let grant = Admission::Granted(Grant::default());
    match exchange.on_admission(&mut world.env(), Some(grant)) {
        Step::Forward(forward) => forward,
        step => panic!("{step:?}"),
    }
}

#[test]
fn an_upload_passes_with_its_own_price_and_the_providers_name_for_the_model() {
    let mut world = world();
    let body = b"--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--B\r\n\
        Content-Disposition: form-data; name=\"file\"\r\n\r\n\x00\xff\r\n--B--\r\n";
    let request = Request {
        method: "POST",
        path: "/v1/audio/transcriptions?x=1",
        kind: "multipart/form-data; boundary=B",
        body,
    };
    let (mut exchange, step) = begin(&mut world, &request, &[]);
    let quote = admit(&step).targets.remove(0);
    assert_eq!(
        (quote.input_nano, quote.output_nano_per_mtok),
        (3_000_000, 0)
    );
    let forward = granted(&mut world, &mut exchange);
    assert_eq!(
        forward.headers.text(":path"),
        Some("/v1/audio/transcriptions?x=1")
    );
    let sent = forward.body.expect("another model's name");
    let sent = String::from_utf8_lossy(&sent);
    assert!(sent.contains("\r\n\r\nwhisper-large\r\n--B\r\n"), "{sent}");
    assert_eq!(
        forward.headers.text("content-type"),
        Some("multipart/form-data; boundary=B")
    );

    let mut head = Headers::default();
    head.push(":status", "200");
    head.push("content-type", "text/plain");
    head.push("content-length", "5");
    let AnswerHead::Send(headers) = exchange.on_answer_head(&mut world.env(), head, false, None)
    else {
        panic!("the head goes on");
    };
    assert_eq!(headers.text("x-weir-cost-usd"), Some("0.003"));
    assert_eq!(headers.text("content-type"), Some("text/plain"));
    assert_eq!(headers.text("content-length"), Some("5"));
    // The rule for personal data is on and could not be applied.
    assert_eq!(
        headers.text("x-weir-guardrails-unenforced"),
        Some("pii_detection")
    );
    assert!(!exchange.wants_answer_body(0, true));
    let record = world.record(&mut exchange, Some("via_upstream"));
    assert_eq!((record.cost_nano, record.ending), (3_000_000, Ending::Done));
    assert_eq!(
        (record.endpoint.as_str(), record.model.as_str()),
        ("audio", "whisper-large")
    );
}

#[test]
fn a_call_without_body_passes_and_a_failed_one_costs_nothing() {
    let mut world = world();
    let request = Request {
        method: "GET",
        path: "/v1/files/file-1/content",
        kind: "",
        body: b"",
    };
    let (mut exchange, step) = begin(&mut world, &request, &[]);
    assert_eq!(admit(&step).targets.remove(0).input_nano, 0);
    let forward = granted(&mut world, &mut exchange);
    assert_eq!(
        forward.headers.text(":path"),
        Some("/v1/files/file-1/content")
    );
    assert_eq!(
        (forward.body, forward.headers.get("content-length")),
        (None, None)
    );

    let speech = Request {
        method: "POST",
        path: "/v1/audio/speech",
        kind: "application/json",
        body: br#"{"model":"tts-1","input":"mail jane@acme.com","voice":"v"}"#,
    };
    let (mut exchange, step) = begin(&mut world, &speech, &[]);
    assert_eq!(admit(&step).targets.remove(0).input_nano, 6_000_000);
    let forward = granted(&mut world, &mut exchange);
    let sent = forward.body.expect("redacted");
    assert!(String::from_utf8_lossy(&sent).contains("[EMAIL_REDACTED]"));
    let answer = world.answer(
        &mut exchange,
        "application/json",
        429,
        r#"{"error":{"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
    );
    assert!(String::from_utf8_lossy(&answer.body.expect("error")).contains("slow down"));
    let record = world.record(&mut exchange, None);
    assert_eq!((record.cost_nano, record.status), (0, 429));
}

#[test]
fn nobody_takes_what_is_not_listed_and_a_list_of_models_holds() {
    let mut world = world();
    let request = |path| Request {
        method: "POST",
        path,
        kind: "application/json",
        body: br#"{"model":"other","prompt":"x"}"#,
    };
    let (_, step) = begin(&mut world, &request("/v1/images/generations"), &[]);
    assert_eq!(refusal(step), (404, "not_found".into()));
    let (_, step) = begin(&mut world, &request("/v1/responses/resp_1/cancel"), &[]);
    assert_eq!(refusal(step), (404, "not_found".into()));
    let mut strict = super::forms::world();
    let (_, step) = begin(&mut strict, &request("/v1/audio/speech"), &["whisper-1"]);
    assert_eq!(refusal(step), (403, "model_not_allowed".into()));
    let (_, step) = begin(&mut strict, &request("/v1/batches"), &["whisper-1"]);
    assert_eq!(refusal(step), (403, "model_not_allowed".into()));
}

const MESSAGES: &[u8] = br#"{"model":"claude-3-sonnet","max_tokens":9,"odd":{"kept":1},
    "messages":[{"role":"user","content":"mail jane@acme.com"}]}"#;

#[test]
fn anthropics_own_form_reaches_anthropic_as_it_came() {
    let mut world = world();
    let request = Request {
        method: "POST",
        path: "/v1/messages?beta=true",
        kind: "application/json",
        body: MESSAGES,
    };
    let (mut exchange, step) = begin(&mut world, &request, &[]);
    assert_eq!(admit(&step).output_cap, Some(9));
    let forward = granted(&mut world, &mut exchange);
    assert_eq!(
        forward.headers.text(":path"),
        Some("/v1/messages?beta=true")
    );
    assert_eq!(
        forward.headers.text("anthropic-version"),
        Some("2023-06-01")
    );
    let sent = String::from_utf8(forward.body.expect("redacted")).expect("text");
    let expected = String::from_utf8_lossy(MESSAGES).replace("jane@acme.com", "[EMAIL_REDACTED]");
    assert_eq!(sent, expected);

    let answer = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":2,"odd":1}}"#;
    let step = world.answer(&mut exchange, "application/json", 200, answer);
    assert_eq!(
        String::from_utf8(step.body.expect("body")).expect("text"),
        answer
    );
    let record = world.record(&mut exchange, None);
    assert_eq!((record.usage.input, record.usage.output), (10, 2));
    assert_eq!((record.metered, record.cost_nano), (false, 2_700));
}

#[test]
fn a_native_stream_passes_byte_for_byte_and_its_cut_is_an_error() {
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
    let rest = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    for cut in [false, true] {
        let mut world = world();
        let body = String::from_utf8_lossy(MESSAGES).replace("\"odd\"", "\"stream\":true,\"odd\"");
        let request = Request {
            method: "POST",
            path: "/v1/messages",
            kind: "application/json",
            body: body.as_bytes(),
        };
        let (mut exchange, _) = begin(&mut world, &request, &[]);
        granted(&mut world, &mut exchange);
        let mut head = Headers::default();
        head.push(":status", "200");
        head.push("content-type", "text/event-stream");
        exchange.on_answer_head(&mut world.env(), head, false, None);
        let mut seen = Vec::new();
        let mut take = |exchange: &mut Exchange, bytes: &str, end| {
            let step = exchange.on_answer_body(&mut world.env(), bytes.as_bytes().to_vec(), end);
            seen.extend(step.body.unwrap_or_default());
        };
        take(&mut exchange, start, false);
        take(&mut exchange, if cut { "" } else { rest }, cut);
        let seen = String::from_utf8(seen).expect("text");
        let record = world.record(&mut exchange, None);
        if cut {
            let end = seen.strip_prefix(start).expect("what came");
            assert!(end.starts_with("event: error\ndata: {"), "{end}");
            assert_eq!(record.ending, Ending::UpstreamCut);
            assert!(record.metered && record.usage.output > 0, "{record:?}");
        } else {
            let comment = seen.strip_prefix(&format!("{start}{rest}")).expect("all");
            assert!(
                comment.starts_with(": weir {\"cache_hit\":false,"),
                "{comment}"
            );
            assert_eq!((record.usage.output, record.ending), (2, Ending::Done));
        }
    }
}

#[test]
fn a_response_in_the_background_would_cost_what_nobody_sees() {
    let call = crate::request::Call::parse(br#"{"model":"m","background":true}"#).expect("call");
    let native = crate::dialect::NativeCall {
        form: crate::dialect::Form::Native(crate::ingress::Ingress::Responses),
        path: "/v1/responses",
        call: Some(&call),
        is_json: true,
        has_version: false,
    };
    let target = crate::dialect::Target::new(Dialect::Openai, "m");
    let body = br#"{"model":"m","background":true}"#;
    let refused = crate::dialect::encode_native(&target, &native, body).expect_err("refused");
    assert_eq!(refused.param.as_deref(), Some("background"));
}

#[test]
fn responses_reach_a_provider_that_serves_them_as_they_came() {
    let stream = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"in_progress\",\"output\":[]}}\n\nevent: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"item_id\":\"m\",\"output_index\":0,\"content_index\":0,\"delta\":\"hi\"}\n\n";
    let end = "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"completed\",\"output\":[],\"usage\":{\"input_tokens\":10,\"output_tokens\":2,\"total_tokens\":12}}}\n\n";
    // Whole, without its last blank line, torn.
    for length in [end.len(), end.len() - 2, 40] {
        let torn = length == 40;
        let mut world = world();
        let provider = Provider {
            serves: vec![crate::ingress::Ingress::Responses],
            ..Provider::clone(world.policy.provider("openai").expect("provider"))
        };
        world.policy = PolicyIndex::new(Policy {
            providers: vec![provider],
            models: world.policy.listed().map(|m| Model::clone(m)).collect(),
            defaults: world.policy.defaults().clone(),
        });
        let body = br#"{"model":"gpt-4o-mini","stream":true,"input":"hi","previous_response_id":"resp_0","tools":[{"type":"web_search"}],"odd":[1]}"#;
        let request = Request {
            method: "POST",
            path: "/v1/responses",
            kind: "application/json",
            body,
        };
        let (mut exchange, _) = begin(&mut world, &request, &[]);
        let forward = granted(&mut world, &mut exchange);
        assert_eq!(forward.headers.text(":path"), Some("/v1/responses"));
        assert_eq!(forward.body, None);
        let mut head = Headers::default();
        head.push(":status", "200");
        head.push("content-type", "text/event-stream");
        exchange.on_answer_head(&mut world.env(), head, false, None);
        let mut seen = Vec::new();
        let tail = end.get(..length).expect("ASCII");
        for (bytes, last) in [(stream, false), (tail, true)] {
            let step = exchange.on_answer_body(&mut world.env(), bytes.as_bytes().to_vec(), last);
            seen.extend(step.body.unwrap_or_default());
        }
        let seen = String::from_utf8(seen).expect("text");
        let rest = seen.strip_prefix(stream).expect("what came");
        let record = world.record(&mut exchange, None);
        if torn {
            // Nothing of the torn event: an error of its own.
            assert!(
                rest.trim_start().starts_with("event: error\ndata: {"),
                "{rest}"
            );
            assert!(rest.contains("\"sequence_number\":2"), "{rest}");
            assert_eq!(record.ending, Ending::UpstreamCut);
        } else {
            assert!(rest.starts_with(end), "{rest}");
            assert_eq!((record.usage.input, record.usage.output), (10, 2));
            assert_eq!(record.endpoint, "responses");
        }
    }
}

#[test]
fn what_goes_on_at_the_provider_is_not_cached() {
    for (more, cached) in [
        ("", true),
        (r#","conversation":null"#, true),
        (r#","conversation":"conv_1""#, false),
    ] {
        let mut world = world();
        let body = format!(r#"{{"model":"gpt-4o-mini","input":"hi"{more}}}"#);
        let request = Request {
            method: "POST",
            path: "/v1/responses",
            kind: "application/json",
            body: body.as_bytes(),
        };
        let provider = Provider {
            serves: vec![crate::ingress::Ingress::Responses],
            ..Provider::clone(world.policy.provider("openai").expect("provider"))
        };
        world.policy = PolicyIndex::new(Policy {
            providers: vec![provider],
            models: world.policy.listed().map(|m| Model::clone(m)).collect(),
            defaults: Defaults {
                cache_ttl_s: Some(60),
                ..world.policy.defaults().clone()
            },
        });
        let (_, step) = begin(&mut world, &request, &[]);
        assert_eq!(admit(&step).cache.is_some(), cached, "{body}");
    }
}
