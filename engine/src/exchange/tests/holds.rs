//! Streams and what is held for them.

use super::*;
use crate::wire::Renewed;

/// A stream of one event that says `text`.
fn saying(text: &str) -> Vec<u8> {
    let delta = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]});
    format!("data: {delta}\n\n").into_bytes()
}

fn streamed() -> Value {
    let mut body = chat("gpt-4o-mini");
    body["stream"] = json!(true);
    body
}

fn begun(world: &mut World, exchange: &mut Exchange) {
    let mut head = Headers::default();
    head.push(":status", "200");
    head.push("content-type", "text/event-stream");
    exchange.on_answer_head(&mut world.env(), head, false, None);
}

#[test]
fn who_leaves_while_a_hold_is_asked_to_grow_pays_no_more_than_was_held() {
    let mut world = World::new();
    let hold_nano = 30_000;
    let grant = Grant {
        hold_nano,
        hard: true,
        ..Grant::default()
    };
    let (mut exchange, _) = world.granted_as(&[], &streamed(), grant);
    begun(&mut world, &mut exchange);
    let text = "one two three four five six seven eight nine ten ".repeat(8);
    let step = exchange.on_answer_body(&mut world.env(), saying(&text), false);
    assert!(step.ask.is_some() && step.wait.is_some(), "{step:?}");
    let record = world.record(&mut exchange, Some("downstream_remote_disconnect"));
    assert_eq!(
        (record.ending, record.cost_nano),
        (Ending::ClientGone, hold_nano)
    );
}

#[test]
fn a_hold_that_is_low_and_then_used_up_within_one_chunk_is_asked_to_grow() {
    let mut world = World::new();
    let grant = Grant {
        hold_nano: 100 * 600,
        hard: true,
        sliced: true,
        ..Grant::default()
    };
    let (mut exchange, _) = world.granted_as(&[], &streamed(), grant);
    begun(&mut world, &mut exchange);
    let chunk = saying("one two three four five ").repeat(40);
    let step = exchange.on_answer_body(&mut world.env(), chunk, false);
    let rest = step.wait.expect("it waits");
    assert!(!rest.is_empty());
    assert!(step.ask.is_some(), "it waits for nothing");
    let more = Renewed {
        grown_nano: 10_000_000,
        ..Renewed::default()
    };
    exchange.on_grown(&mut world.env(), Some(more));
    let step = exchange.on_answer_body(&mut world.env(), rest.clone(), false);
    assert!(step.wait.is_none());
    assert_eq!(step.body, Some(rest));
}

#[test]
fn a_stream_that_is_held_for_its_checks_is_read_whole_whatever_is_held_for_it() {
    let mut world = World::new();
    let rules = json!({"guardrails": {"output": [{"type": "regex", "pattern": "at last$", "mode": "allow"}]}});
    let grant = Grant {
        hold_nano: 100 * 600,
        hard: true,
        ..Grant::default()
    };
    for (last, status) in [("at last", "200"), ("never", "400")] {
        let rules = rules.to_string();
        let asked = [("x-weir-config", rules.as_str())];
        let mut exchange = Exchange::new("wr-1".into(), world.now_ms);
        let head = head("POST", "/v1/chat/completions", &asked);
        exchange.on_head(&mut world.env(), head, false);
        exchange.on_key(
            &mut world.env(),
            Some(KeyAnswer::Known(KeyRecord::default())),
        );
        let step = exchange.on_body(&mut world.env(), streamed().to_string().into_bytes());
        let asked = admit(&step);
        assert!(
            !asked.stream,
            "no part of it is delivered before the whole is there"
        );
        exchange.on_admission(&mut world.env(), Some(Admission::Granted(grant.clone())));
        begun(&mut world, &mut exchange);
        let mut whole = saying("one two three four five ").repeat(40);
        whole.extend(saying(last));
        whole.extend(b"data: [DONE]\n\n");
        let step = exchange.on_answer_body(&mut world.env(), whole, true);
        assert!(step.ask.is_none() && step.wait.is_none(), "{step:?}");
        let told = step.headers.expect("headers");
        assert_eq!(told.text(":status"), Some(status));
    }
}
