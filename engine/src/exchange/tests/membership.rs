//! What a request says of itself, for limits.

use super::*;

#[test]
fn a_request_says_as_much_of_itself_as_limits_ask_for() {
    let mut world = World::new();
    let mut admitted = |governed: crate::wire::Governed, extra: &[(&str, &str)], body: &Value| {
        world.change(|defaults| defaults.governed = governed);
        let mut exchange = Exchange::new("wr-1".into(), world.now_ms);
        let head = head("POST", "/v1/chat/completions", extra);
        exchange.on_peer(b"192.0.2.7:4711");
        if let Step::Ask(_) = exchange.on_head(&mut world.env(), head, false) {
            let known = KeyAnswer::Known(KeyRecord {
                id: "key_1".into(),
                ..KeyRecord::default()
            });
            exchange.on_key(&mut world.env(), Some(known));
        }
        let step = exchange.on_body(&mut world.env(), body.to_string().into_bytes());
        let Step::Ask(ask) = step else {
            panic!("{step:?}")
        };
        let admit: crate::wire::Admit = serde_json::from_slice(&ask.body).expect("admit");
        (admit.tags, admit.user, exchange.sharing.clone())
    };
    let body = json!({"model": "gpt-4o-mini", "user": "ada", "metadata": {"team": "x", "n": 7},
        "messages": [{"role": "user", "content": "hi"}]});
    let nothing = crate::wire::Governed::default();
    let header = [("x-portkey-metadata", r#"{"team":"y","odd":[1]}"#)];
    assert_eq!(
        admitted(nothing, &header, &body),
        (vec![], "ada".into(), "key_1".into())
    );
    let all = crate::wire::Governed {
        users: true,
        models: true,
        tags: vec!["team".into(), "n".into(), "odd".into()],
        addresses: true,
    };
    let (tags, _, sharing) = admitted(all.clone(), &header, &body);
    assert_eq!(tags, ["team=y", "n=7"]);
    assert_eq!(
        sharing,
        "key_1\nada\n192.0.2.7\nteam=y\nn=7\nopenai\ngpt-4o-mini"
    );
    let (tags, ..) = admitted(all, &[("x-weir-metadata", "not JSON")], &body);
    assert_eq!(tags, ["team=x", "n=7"]);
}
