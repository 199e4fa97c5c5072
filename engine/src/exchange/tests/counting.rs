//! Prompts that a lease admits at a bound: whoever needs their number gets the exact one.

use super::*;
use crate::wire::LeaseGrant;

/// A world whose key has a lease of that much money and of so many tokens.
fn leased(amount_nano: NanoUsd, tokens: Option<u64>) -> World {
    let mut world = World::new();
    let lease = LeaseGrant {
        id: "lease-1".into(),
        amount_nano,
        tokens,
        until_ms: world.now_ms + 5_000,
        ..LeaseGrant::default()
    };
    let grant = Grant {
        lease: Some(lease),
        ..Grant::default()
    };
    world.granted_as(&[], &chat("gpt-4o-mini"), grant);
    world
}

fn sent(world: &mut World, body: &Value) -> (Exchange, Step) {
    let mut exchange = Exchange::new("wr-2".into(), world.now_ms);
    let head = head("POST", "/v1/chat/completions", &[]);
    assert!(matches!(
        exchange.on_head(&mut world.env(), head, false),
        Step::Wait
    ));
    let step = exchange.on_body(&mut world.env(), body.to_string().into_bytes());
    (exchange, step)
}

/// What the prompt has when it is counted at once.
fn exact(body: &Value) -> u64 {
    let (exchange, _) = World::new().granted(&[], body);
    assert_eq!(exchange.uncounted, None);
    exchange.tokens_in
}

fn said(times: usize) -> Value {
    let mut body = chat("gpt-4o-mini");
    body["max_tokens"] = json!(10);
    body["messages"][0]["content"] = json!("Say hi, and then say it again. ".repeat(times));
    body
}

#[test]
fn a_prompt_is_not_counted_where_its_answer_says_how_long_it_was() {
    let mut world = leased(1_000_000_000, None);
    let body = said(20);
    let (mut exchange, step) = sent(&mut world, &body);
    assert!(matches!(step, Step::Forward(_)), "{step:?}");
    assert!(exchange.uncounted.is_some());
    assert!(exchange.tokens_in >= exact(&body));
    let live_nano = exchange.live_cost().expect("it runs");
    assert!(
        live_nano
            < exchange.price(&Usage {
                input: exchange.tokens_in,
                ..Usage::default()
            })
    );
    world.answer(&mut exchange, "application/json", 200, ANSWER);
    let record = world.record(&mut exchange, None);
    assert!(exchange.uncounted.is_some(), "counted for nobody");
    assert_eq!((record.usage.input, record.metered), (150, false));
    assert_eq!(record.lease.as_deref(), Some("lease-1"));
}

#[test]
fn it_is_counted_where_nobody_else_has() {
    let body = said(20);
    let exact = exact(&body);
    let head_of = |status: &str, kind: &str| {
        let mut head = Headers::default();
        head.push(":status", status);
        head.push("content-type", kind);
        head
    };
    // An answer without usage.
    let mut world = leased(1_000_000_000, None);
    let (mut exchange, _) = sent(&mut world, &body);
    let silent = ANSWER.replace(
        r#","usage":{"prompt_tokens":150,"completion_tokens":50,"total_tokens":200}"#,
        "",
    );
    let step = world.answer(&mut exchange, "application/json", 200, &silent);
    let told = step.headers.expect("headers");
    assert_eq!(
        told.text("x-weir-tokens-in"),
        Some(exact.to_string().as_str())
    );
    let record = world.record(&mut exchange, None);
    assert_eq!((record.usage.input, record.metered), (exact, true));

    // An error, whose head says it.
    let (mut exchange, _) = sent(&mut world, &body);
    let step = world.answer(&mut exchange, "application/json", 400, "{}");
    let told = step.headers.expect("headers");
    assert_eq!(
        told.text("x-weir-tokens-in"),
        Some(exact.to_string().as_str())
    );

    // An answer that nobody can read, one without a body, and one that was cut off.
    let (mut exchange, _) = sent(&mut world, &body);
    let step = world.answer(&mut exchange, "application/json", 200, "{");
    let told = step.headers.expect("headers");
    assert_eq!(
        told.text("x-weir-tokens-in"),
        Some(exact.to_string().as_str())
    );
    let (mut exchange, _) = sent(&mut world, &body);
    let head = head_of("200", "application/json");
    let AnswerHead::Send(told) = exchange.on_answer_head(&mut world.env(), head, true, None) else {
        panic!("it goes on")
    };
    assert_eq!(
        told.text("x-weir-tokens-in"),
        Some(exact.to_string().as_str())
    );
    let (mut exchange, _) = sent(&mut world, &body);
    let head = head_of("200", "application/json");
    exchange.on_answer_head(&mut world.env(), head, false, None);
    let record = world.record(&mut exchange, Some("downstream_remote_disconnect"));
    assert_eq!((record.usage.input, record.metered), (exact, true));
    assert!(record.cost_nano > 0);
}

#[test]
fn what_a_lease_does_not_take_at_its_bound_it_may_take_when_counted() {
    let body = said(20);
    let bound_nano = {
        let mut world = leased(1_000_000_000, None);
        sent(&mut world, &body).0.held_nano
    };
    let mut world = leased(bound_nano - 1, None);
    let (exchange, step) = sent(&mut world, &body);
    assert!(matches!(step, Step::Forward(_)), "{step:?}");
    assert_eq!(
        (exchange.uncounted, exchange.tokens_in),
        (None, exact(&body))
    );
    assert!(exchange.held_nano < bound_nano);

    let mut world = leased(1, None);
    let (_, step) = sent(&mut world, &body);
    let Step::Ask(ask) = step else {
        panic!("{step:?}")
    };
    let asked: Value = serde_json::from_slice(&ask.body).expect("JSON");
    assert_eq!(asked["tokens_in"], json!(exact(&body)));
}

#[test]
fn what_limits_tokens_or_reads_them_has_them_counted() {
    let mut stream = said(20);
    stream["stream"] = json!(true);
    let mut image = said(20);
    let seen = json!({"type": "image_url", "image_url": {"url": "https://a.test/b.png"}});
    image["messages"][0]["content"] = json!([{"type": "text", "text": "hi"}, seen]);
    let mut world = leased(1_000_000_000, None);
    for body in [stream, image, said(2_000)] {
        let (exchange, step) = sent(&mut world, &body);
        assert!(
            matches!(step, Step::Forward(_) | Step::Reply(_)),
            "{step:?}"
        );
        assert_eq!(exchange.uncounted, None);
    }
    let body = said(20);
    let mut world = leased(1_000_000_000, Some(exact(&body)));
    let (exchange, step) = sent(&mut world, &body);
    assert!(matches!(step, Step::Forward(_)), "{step:?}");
    assert_eq!(
        (exchange.uncounted, exchange.tokens_in),
        (None, exact(&body))
    );
}

#[test]
fn no_prompt_has_more_tokens_than_its_bound() {
    let mut world = leased(1_000_000_000, None);
    let many: Vec<Value> = (0..50)
        .map(|_| json!({"role": "user", "content": "", "name": "a"}))
        .collect();
    for messages in [
        json!([{"role": "user", "content": ""}]),
        json!([{"role": "user", "content": "\u{1F9EA}\u{202e}\u{0}\u{7f}".repeat(40)}]),
        json!([{"role": "assistant", "content": null, "tool_calls": [
            {"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}]),
        json!(many),
    ] {
        let body = json!({"model": "gpt-4o-mini", "messages": messages, "max_tokens": 1});
        let (mut exchange, step) = sent(&mut world, &body);
        assert!(matches!(step, Step::Forward(_)), "{step:?}");
        let bound = exchange.tokens_in;
        assert!(exchange.count_prompt(&mut world.env()));
        assert!(
            exchange.tokens_in <= bound,
            "{} > {bound}",
            exchange.tokens_in
        );
    }
}
