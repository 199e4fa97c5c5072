//! Whole exchanges as sequences of events, without a host.

use serde_json::{Value, json};

use super::*;
use crate::guard::Guardrails;
use crate::wire::{
    Admission, Cached, CachedAnswer, Defaults, Dialect, Grant, KeyAnswer, Model, PiiAction, Policy,
    Price, Provider, Refused, UsageRecord,
};

mod attempts;
mod counting;
mod forms;
mod holds;
mod membership;
mod tries;

struct World {
    policy: PolicyIndex,
    keys: KeyTable,
    tokenizers: Tokenizers,
    leases: Leases,
    now_ms: u64,
    route: Option<Rc<RouteTries>>,
}

impl World {
    fn new() -> World {
        let provider = |name: &str, dialect, auth_header: &str, base_path: &str| Provider {
            name: name.into(),
            dialect,
            authority: format!("{name}.test"),
            base_path: base_path.into(),
            auth_header: auth_header.into(),
            auth_prefix: if auth_header == "authorization" {
                "Bearer ".into()
            } else {
                String::new()
            },
            api_key: Some(format!("sk-{name}")),
            ..Provider::default()
        };
        let model = |id: &str, provider: &str| Model {
            id: id.into(),
            provider: provider.into(),
            model: id.into(),
            max_output: 1000,
            price: Price {
                input: 150_000_000,
                output: 600_000_000,
                ..Price::default()
            },
            listed: true,
            ..Model::default()
        };
        let policy = PolicyIndex::new(Policy {
            providers: vec![
                provider("openai", Dialect::Openai, "authorization", "/v1"),
                provider("anthropic", Dialect::Anthropic, "x-api-key", ""),
            ],
            models: vec![
                model("gpt-4o-mini", "openai"),
                model("claude-3-sonnet", "anthropic"),
                Model {
                    max_output: 100,
                    ..model("short", "openai")
                },
            ],
            defaults: Defaults {
                retry_attempts: 1,
                retry_on: vec![429, 503],
                request_timeout_ms: 1500,
                guardrails: Guardrails {
                    allow_unread: true,
                    ..Guardrails::input(PiiAction::Redact)
                },
                ..Defaults::default()
            },
        });
        World {
            policy,
            keys: KeyTable::default(),
            tokenizers: Tokenizers::default(),
            leases: Leases::default(),
            now_ms: 1_000_000,
            route: None,
        }
    }

    /// The same policy with other defaults.
    fn change(&mut self, change: impl FnOnce(&mut Defaults)) {
        let mut defaults = self.policy.defaults().clone();
        change(&mut defaults);
        let providers = self.policy.providers();
        self.policy = PolicyIndex::new(Policy {
            providers: providers.map(|it| Provider::clone(it)).collect(),
            models: self.policy.listed().map(|it| Model::clone(it)).collect(),
            defaults,
        });
    }

    fn env(&mut self) -> Env<'_> {
        Env {
            now_ms: self.now_ms,
            random: 7,
            policy: Some(&self.policy),
            keys: &mut self.keys,
            tokenizers: &mut self.tokenizers,
            leases: &mut self.leases,
            body_bytes_max: 10_000,
        }
    }

    /// An exchange that has been granted, and what it forwards.
    fn granted(&mut self, extra: &[(&str, &str)], body: &Value) -> (Exchange, Forward) {
        let grant = Grant {
            hold_nano: 5,
            ..Grant::default()
        };
        self.granted_as(extra, body, grant)
    }

    fn granted_as(
        &mut self,
        extra: &[(&str, &str)],
        body: &Value,
        grant: Grant,
    ) -> (Exchange, Forward) {
        let mut exchange = Exchange::new("wr-1".into(), self.now_ms);
        if let Some(tries) = &self.route {
            exchange.on_route(tries.clone());
        }
        let head = head("POST", "/v1/chat/completions", extra);
        if let Step::Ask(_) = exchange.on_head(&mut self.env(), head, false) {
            let known = KeyAnswer::Known(KeyRecord {
                id: "key_1".into(),
                ..KeyRecord::default()
            });
            assert!(matches!(
                exchange.on_key(&mut self.env(), Some(known)),
                Step::Wait
            ));
        }
        let step = exchange.on_body(&mut self.env(), body.to_string().into_bytes());
        assert!(
            matches!(&step, Step::Ask(ask) if ask.path == crate::wire::PATH_ADMIT),
            "{step:?}"
        );
        match exchange.on_admission(&mut self.env(), Some(Admission::Granted(grant))) {
            Step::Forward(forward) => (exchange, forward),
            step => panic!("{step:?}"),
        }
    }

    fn answer(
        &mut self,
        exchange: &mut Exchange,
        kind: &str,
        status: u16,
        body: &str,
    ) -> AnswerBody {
        let mut head = Headers::default();
        head.push(":status", status.to_string());
        head.push("content-type", kind);
        head.push("content-length", body.len().to_string());
        let details = (status >= 400).then_some("via_upstream");
        let step = exchange.on_answer_head(&mut self.env(), head, false, details);
        assert_eq!(step, AnswerHead::Hold);
        exchange.on_answer_body(&mut self.env(), body.as_bytes().to_vec(), true)
    }

    fn record(&mut self, exchange: &mut Exchange, details: Option<&str>) -> UsageRecord {
        exchange.on_end(&mut self.env(), details).expect("record")
    }
}

fn head(method: &str, path: &str, extra: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    headers.push(":method", method);
    headers.push(":path", path);
    headers.push(":authority", "gateway");
    headers.push("authorization", "Bearer vk-1");
    headers.push("x-mine", b"\xff");
    for (name, value) in extra {
        headers.push(name, value);
    }
    headers
}

fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Say hi"}]})
}

const ANSWER: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":150,"completion_tokens":50,"total_tokens":200},"odd":{"kept":1}}"#;

const FALLBACK: &str = r#"{"strategy":"fallback","targets":[{"provider":"openai","model":"gpt-4o-mini","on_errors":["429","timeout"]},{"provider":"anthropic","model":"claude-3-sonnet"}]}"#;

fn refusal(step: Step) -> (u16, String) {
    let Step::Reply(reply) = step else {
        panic!("{step:?}")
    };
    let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
    (
        reply.status,
        body["error"]["code"].as_str().expect("code").to_owned(),
    )
}

fn admit(step: &Step) -> crate::wire::Admit {
    let Step::Ask(ask) = step else {
        panic!("{step:?}")
    };
    serde_json::from_slice(&ask.body).expect("admit")
}

#[test]
fn heads_are_refused_before_a_body_is_read() {
    let mut world = World::new();
    for (method, path, extra, status, code) in [
        ("POST", "/v1/nothing", vec![], 404, "not_found"),
        (
            "GET",
            "/v1/chat/completions",
            vec![],
            405,
            "method_not_allowed",
        ),
        (
            "POST",
            "/v1/chat/completions",
            vec![("content-length", "10001")],
            413,
            "request_too_large",
        ),
    ] {
        let mut exchange = Exchange::new("wr-1".into(), 0);
        let step = exchange.on_head(&mut world.env(), head(method, path, &extra), false);
        assert_eq!(refusal(step), (status, code.to_owned()), "{path}");
    }
    let mut exchange = Exchange::new("wr-1".into(), 0);
    let mut bare = Headers::default();
    bare.push(":method", "POST");
    bare.push(":path", "/v1/chat/completions");
    let step = exchange.on_head(&mut world.env(), bare, false);
    assert_eq!(refusal(step), (401, "missing_api_key".into()));
    let record = world.record(&mut exchange, None);
    assert_eq!((record.ending, record.cost_nano), (Ending::Refused, 0));
}

#[test]
fn a_key_is_asked_for_once_and_its_refusal_is_the_callers() {
    let mut world = World::new();
    let mut exchange = Exchange::new("wr-1".into(), 0);
    let path = "/v1/chat/completions";
    assert!(matches!(
        exchange.on_head(&mut world.env(), head("POST", path, &[]), false),
        Step::Ask(_)
    ));
    let refused = Refused {
        code: "key_revoked".into(),
        message: String::new(),
        retry_after_s: None,
        rate: Rates::default(),
    };
    let step = exchange.on_key(&mut world.env(), Some(KeyAnswer::Refused(refused)));
    assert_eq!(refusal(step), (401, "key_revoked".into()));
    let mut again = Exchange::new("wr-2".into(), 0);
    let step = again.on_head(&mut world.env(), head("POST", path, &[]), false);
    assert_eq!(refusal(step), (401, "key_revoked".into()));
    let mut third = Exchange::new("wr-3".into(), 0);
    world.now_ms += 2_000;
    assert!(matches!(
        third.on_head(&mut world.env(), head("POST", path, &[]), false),
        Step::Ask(_)
    ));
    assert_eq!(
        refusal(third.on_key(&mut world.env(), None)),
        (503, "state_unavailable".into())
    );
}

#[test]
fn a_body_may_come_before_the_key_is_known() {
    let mut world = World::new();
    let mut exchange = Exchange::new("wr-1".into(), 0);
    exchange.on_head(
        &mut world.env(),
        head("POST", "/v1/chat/completions", &[]),
        false,
    );
    let body = chat("gpt-4o-mini").to_string().into_bytes();
    assert!(matches!(
        exchange.on_body(&mut world.env(), body),
        Step::Wait
    ));
    let step = exchange.on_key(
        &mut world.env(),
        Some(KeyAnswer::Known(KeyRecord::default())),
    );
    assert!(matches!(step, Step::Ask(ask) if ask.path == crate::wire::PATH_ADMIT));
}

#[test]
fn one_target_needs_no_adapter_and_carries_only_its_own_credentials() {
    let mut world = World::new();
    let extra = [
        ("x-portkey-trace-id", "t-1"),
        ("x-stainless-os", "x"),
        ("accept-encoding", "gzip"),
    ];
    let (exchange, forward) = world.granted(&extra, &chat("gpt-4o-mini"));
    assert!(!exchange.has_adapter());
    let headers = &forward.headers;
    for (name, value) in [
        (":path", "/v1/chat/completions"),
        (":authority", "openai.test"),
        ("authorization", "Bearer sk-openai"),
        (HEADER_TARGET, "openai/direct"),
        ("x-envoy-max-retries", "1"),
        ("x-envoy-retriable-status-codes", "429,503"),
        ("x-envoy-upstream-rq-per-try-timeout-ms", "1500"),
        ("x-envoy-upstream-rq-timeout-ms", "8000"),
    ] {
        assert_eq!(headers.text(name), Some(value), "{name}");
    }
    assert_eq!(headers.get("x-mine"), Some(b"\xff".as_slice()));
    for name in ["x-portkey-trace-id", "x-stainless-os", "accept-encoding"] {
        assert_eq!(headers.get(name), None, "{name}");
    }
    assert_eq!(
        headers
            .iter()
            .filter(|(name, _)| *name == b"authorization")
            .count(),
        1
    );
}

#[test]
fn an_answer_gains_metadata_and_keeps_everything_else() {
    let mut world = World::new();
    let (mut exchange, _) = world.granted(&[], &chat("gpt-4o-mini"));
    let step = world.answer(&mut exchange, "application/json", 200, ANSWER);
    let body: Value = serde_json::from_slice(&step.body.expect("body")).expect("JSON");
    assert_eq!(body["metadata"]["cost_usd"].as_f64(), Some(0.000_052_5));
    assert_eq!(
        (&body["metadata"]["provider"], &body["odd"]["kept"]),
        (&json!("openai"), &json!(1))
    );
    let headers = step.headers.expect("headers");
    assert_eq!(headers.text("x-weir-cost-usd"), Some("0.0000525"));
    assert_eq!(headers.text("x-weir-tokens-out"), Some("50"));
    let record = world.record(&mut exchange, None);
    assert_eq!(
        (record.cost_nano, record.ending, record.metered),
        (52_500, Ending::Done, false)
    );
}

#[test]
fn personal_data_is_redacted_before_anything_leaves() {
    let mut world = World::new();
    let mut body = chat("gpt-4o-mini");
    body["messages"][0]["content"] = json!("mail ann@example.com");
    let (mut exchange, forward) = world.granted(&[], &body);
    let sent = String::from_utf8(forward.body.expect("body")).expect("UTF-8");
    assert!(sent.contains("mail [EMAIL_REDACTED]"), "{sent}");
    let record = world.record(&mut exchange, None);
    assert_eq!(record.pii, [("EMAIL".to_owned(), 1)]);
}

#[test]
fn a_body_that_serves_as_it_came_is_not_written_again() {
    let mut world = World::new();
    let mut body = chat("gpt-4o-mini");
    let (_, forward) = world.granted(&[], &body);
    assert_eq!(forward.body, None);
    let length = body.to_string().len().to_string();
    assert_eq!(forward.headers.text("content-length"), Some(&*length));
    let (mut exchange, _) = world.granted(&[("x-weir-config", FALLBACK)], &body);
    let first = exchange.on_attempt(&world.env()).expect("attempt");
    assert_eq!(first.body, None);
    body["messages"][0]["content"] = json!("mail ann@example.com");
    let (mut exchange, _) = world.granted(&[("x-weir-config", FALLBACK)], &body);
    let first = exchange.on_attempt(&world.env()).expect("attempt");
    assert!(first.body.is_some(), "Envoy has the one that names Ann");
}

#[test]
fn what_is_redacted_for_the_provider_is_kept_in_the_ledger() {
    let mut world = World::new();
    let mut body = chat("gpt-4o-mini");
    let schema = json!({"type": "object", "properties": {
        "to": {"description": "like ann@example.com", "enum": ["bob@example.com"]}}});
    body["tools"] = json!([{"type": "function", "function": {
        "name": "mail", "description": "asks ann@example.com", "parameters": schema}}]);
    body["metadata"] = json!({"owner": "ann@example.com"});
    body["user"] = json!("ann@example.com");
    body["stop"] = json!(["ann@example.com"]);
    let (mut exchange, forward) = world.granted(&[], &body);
    let sent = String::from_utf8(forward.body.expect("body")).expect("UTF-8");
    let wanted = body
        .to_string()
        .replace("ann@example.com", "[EMAIL_REDACTED]");
    assert_eq!(sent, wanted);
    let record = world.record(&mut exchange, None);
    assert_eq!(record.user, "ann@example.com");
    assert_eq!(record.pii, [("EMAIL".to_owned(), 6)]);
}

#[test]
fn a_stream_is_priced_at_its_end_and_a_client_that_leaves_pays_for_what_came() {
    let mut world = World::new();
    let mut body = chat("gpt-4o-mini");
    body["stream"] = json!(true);
    let piece = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there, you\"}}]}\n\n";
    let finish = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let usage = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":150,\"completion_tokens\":50,\"total_tokens\":200}}\n\ndata: [DONE]\n\n";

    let (mut exchange, forward) = world.granted(&[], &body);
    assert_eq!(forward.headers.text(HEADER_IDLE), Some("2"));
    let sent = String::from_utf8(forward.body.expect("body")).expect("UTF-8");
    assert!(sent.contains("include_usage"), "{sent}");
    let whole = format!("{piece}{finish}{usage}");
    let step = world.answer(&mut exchange, "text/event-stream", 200, &whole);
    let out = String::from_utf8(step.body.expect("body")).expect("UTF-8");
    assert!(
        out.contains(": weir {") && out.ends_with("data: [DONE]\n\n"),
        "{out}"
    );
    assert!(!out.contains("\"prompt_tokens\""), "not asked for: {out}");
    assert_eq!(world.record(&mut exchange, None).cost_nano, 52_500);

    let (mut exchange, _) = world.granted(&[], &body);
    let mut head = Headers::default();
    head.push(":status", "200");
    head.push("content-type", "text/event-stream");
    exchange.on_answer_head(&mut world.env(), head, false, None);
    let step = exchange.on_answer_body(&mut world.env(), piece.as_bytes().to_vec(), false);
    assert_eq!(step.body.as_deref(), Some(piece.as_bytes()));
    assert!(exchange.live_cost().is_some_and(|cost| cost > 0));
    let record = world.record(&mut exchange, Some("downstream_remote_disconnect"));
    assert_eq!(record.ending, Ending::ClientGone);
    assert!(
        record.metered && record.usage.output == 4 && record.cost_nano > 0,
        "{record:?}"
    );
}

#[test]
fn an_answer_that_breaks_off_unseen_has_the_status_that_its_client_gets() {
    let mut world = World::new();
    for (kind, stream) in [("application/json", false), ("text/event-stream", true)] {
        let mut body = chat("gpt-4o-mini");
        body["stream"] = json!(stream);
        let (mut exchange, _) = world.granted(&[], &body);
        let mut head = Headers::default();
        head.push(":status", "200");
        head.push("content-type", kind);
        exchange.on_answer_head(&mut world.env(), head, false, None);
        exchange.on_answer_body(&mut world.env(), b"{\"id\": \"chatc".to_vec(), false);
        let details = "upstream_reset_after_response_started{connection_termination}";
        let record = world.record(&mut exchange, Some(details));
        assert_eq!(record.ending, Ending::UpstreamCut);
        // Nothing of it was sent on: Envoy answers in its place.
        let told = (record.status, record.code.as_str());
        assert_eq!(told, (502, "upstream_unavailable"));
        assert_eq!(record.cost_nano > 0, !stream, "{record:?}");
    }
}

#[test]
fn a_hit_is_free_and_replayed_as_it_was_asked_for() {
    let mut world = World::new();
    let mut exchange = Exchange::new("wr-1".into(), 0);
    let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x"}]});
    let extra = [("x-weir-config", r#"{"cache":{"mode":"simple","ttl":9}}"#)];
    exchange.on_head(
        &mut world.env(),
        head("POST", "/v1/chat/completions", &extra),
        false,
    );
    exchange.on_key(
        &mut world.env(),
        Some(KeyAnswer::Known(KeyRecord::default())),
    );
    exchange.on_body(&mut world.env(), body.to_string().into_bytes());
    let answer = CachedAnswer {
        provider: "openai".into(),
        model: "gpt-4o-mini".into(),
        body: ANSWER.into(),
        stream: false,
        usage: Usage {
            input: 150,
            output: 50,
            ..Usage::default()
        },
    };
    let cached = Admission::Cached(Cached {
        answer,
        rate: Rates::default(),
    });
    let Step::Reply(reply) = exchange.on_admission(&mut world.env(), Some(cached)) else {
        panic!("no reply")
    };
    let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(
        body["metadata"],
        json!({"cache_hit": true, "provider": "openai", "cost_usd": 0})
    );
    assert_eq!(reply.headers.text("x-weir-cache"), Some("hit"));
    let record = world.record(&mut exchange, None);
    assert_eq!((record.cost_nano, record.cache), (0, CacheStatus::Hit));
}

#[test]
fn the_sidecars_silence_is_a_refusal() {
    let mut world = World::new();
    let mut exchange = Exchange::new("wr-1".into(), 0);
    exchange.on_head(
        &mut world.env(),
        head("POST", "/v1/chat/completions", &[]),
        false,
    );
    exchange.on_key(
        &mut world.env(),
        Some(KeyAnswer::Known(KeyRecord::default())),
    );
    exchange.on_body(
        &mut world.env(),
        chat("gpt-4o-mini").to_string().into_bytes(),
    );
    let step = exchange.on_admission(&mut world.env(), None);
    assert_eq!(refusal(step), (503, "state_unavailable".into()));
}
