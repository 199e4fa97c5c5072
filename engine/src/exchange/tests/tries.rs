//! What requests say of their tries, by what their route does without a word.

use std::rc::Rc;

use serde_json::json;

use super::{World, chat};
use crate::exchange::{HEADER_HOST, HEADER_IDLE, RouteTries};
use crate::headers::Headers;

const SAID: [&str; 5] = [
    "x-envoy-max-retries",
    "x-envoy-retry-on",
    "x-envoy-retriable-status-codes",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-ms",
];

/// The route of the configuration's own defaults.
fn usual() -> RouteTries {
    RouteTries {
        retries: 1,
        retry_on: vec![429, 503],
        timeout_ms: 1500,
    }
}

fn said(headers: &Headers) -> usize {
    SAID.iter()
        .filter(|name| headers.get(name).is_some())
        .count()
}

#[test]
fn a_route_that_tries_as_wanted_is_told_nothing() {
    let mut world = World::new();
    world.route = Some(Rc::new(usual()));
    let (_, forward) = world.granted(&[], &chat("gpt-4o-mini"));
    assert_eq!(said(&forward.headers), 0);
    assert_eq!(forward.headers.get(HEADER_IDLE), None);
    assert_eq!(forward.headers.text(HEADER_HOST), Some("openai.test"));
    assert_eq!(forward.headers.text(":authority"), Some("gateway"));
}

#[test]
fn every_other_wish_is_said_in_headers() {
    let others = [
        RouteTries {
            retries: 2,
            ..usual()
        },
        RouteTries {
            retry_on: vec![429],
            ..usual()
        },
        RouteTries {
            timeout_ms: 60_000,
            ..usual()
        },
    ];
    for other in others {
        let mut world = World::new();
        world.route = Some(Rc::new(other.clone()));
        let (_, forward) = world.granted(&[], &chat("gpt-4o-mini"));
        assert_eq!(said(&forward.headers), 5, "{other:?}");
        assert_eq!(forward.headers.text(HEADER_IDLE), Some("2"), "{other:?}");
    }
    let mut world = World::new();
    world.route = Some(Rc::new(usual()));
    let mut stream = chat("gpt-4o-mini");
    stream["stream"] = json!(true);
    let (_, forward) = world.granted(&[], &stream);
    assert_eq!(
        said(&forward.headers),
        3,
        "a stream has no limit on the whole"
    );
    assert_eq!(forward.headers.text(HEADER_IDLE), Some("2"));
}

#[test]
fn requests_without_a_limit_do_not_take_the_route_that_has_one() {
    let mut world = World::new();
    world.route = Some(Rc::new(usual()));
    world.change(|defaults| defaults.request_timeout_ms = 0);
    let (_, forward) = world.granted(&[], &chat("gpt-4o-mini"));
    assert_eq!(forward.headers.text(HEADER_IDLE), Some("0"));
    assert_eq!(said(&forward.headers), 3);
}

#[test]
fn a_route_limits_all_its_tries_together() {
    assert_eq!(usual().total_ms(), 2 * 1500 + 5_000);
    assert_eq!(
        RouteTries {
            timeout_ms: 0,
            ..usual()
        }
        .total_ms(),
        0
    );
}
