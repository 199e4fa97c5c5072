use serde_json::json;

use super::super::Kind;
use super::*;

fn actions(rules: &serde_json::Value) -> Actions {
    let rules = Guardrails::parse(&json!({ "input": rules })).expect("rules");
    Actions::of(&rules.input.pii, None)
}

fn action(actions: &Actions, kind: Kind) -> Option<PiiAction> {
    actions.of_kind(kind).map(|treatment| treatment.action)
}

#[test]
fn each_type_gets_the_strictest_of_its_rules_in_any_order() {
    let mut rules = vec![
        json!({"type": "pii_detection", "action": "flag"}),
        json!({"type": "pii_detection", "action": "mask", "types": ["PHONE", "EMAIL"], "keep": 3}),
        json!({"type": "pii_detection", "action": "mask", "types": ["PHONE"], "keep": 2}),
        json!({"type": "pii_detection", "action": "deny", "types": ["SECRET"]}),
    ];
    for _ in 0..2 {
        let actions = actions(&json!(rules));
        assert_eq!(action(&actions, Kind::Ip), Some(PiiAction::Flag));
        let phone = actions.of_kind(Kind::Phone).expect("rule");
        assert_eq!((phone.action, phone.keep), (PiiAction::Mask, 2));
        assert_eq!(actions.of_kind(Kind::Email).expect("rule").keep, 3);
        assert_eq!(action(&actions, Kind::Secret), Some(PiiAction::Deny));
        rules.reverse();
    }
    let only = actions(&json!([{"type": "pii_detection", "action": "hash", "types": ["EMAIL"]}]));
    assert_eq!(action(&only, Kind::Phone), None);
}

#[test]
fn the_order_goes_by_what_leaves() {
    let names: Vec<&str> = PiiAction::ALL.into_iter().map(PiiAction::name).collect();
    assert_eq!(
        names,
        ["flag", "mask", "hash", "pseudonymize", "redact", "deny"]
    );
    assert!(PiiAction::ALL.is_sorted());
}

#[test]
fn secrets_are_never_to_be_restored() {
    let actions = Actions::from(PiiAction::Pseudonymize);
    for kind in Kind::ALL {
        let wanted = if is_secret(*kind) {
            PiiAction::Redact
        } else {
            PiiAction::Pseudonymize
        };
        assert_eq!(action(&actions, *kind), Some(wanted), "{kind:?}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (rules, member, word) in [
        (json!(5), "", ""),
        (json!({"inputs": []}), "inputs", "inputs"),
        (json!({"unread": "pass"}), "unread", "pass"),
        (json!({"report": 1}), "report", ""),
        (json!({"input": {}}), "input", ""),
        (json!({"input": [1]}), "input[0]", ""),
        (json!({"input": [{"action": "deny"}]}), "input[0].type", ""),
        (json!({"input": [{"type": "pii"}]}), "input[0].type", "pii"),
        (
            json!({"input": [{"type": "pii_detection", "action": "masc"}]}),
            "input[0].action",
            "masc",
        ),
        (
            json!({"input": [{"type": "pii_detection", "types": ["EMAIL", 1]}]}),
            "input[0].types[1]",
            "",
        ),
        (
            json!({"input": [{"type": "pii_detection", "types": []}]}),
            "input[0].types",
            "",
        ),
        (
            json!({"input": [{"type": "pii_detection", "action": "mask", "keep": 9}]}),
            "input[0].keep",
            "",
        ),
        (
            json!({"input": [{"type": "pii_detection", "action": "hash", "keep": 1}]}),
            "input[0].keep",
            "",
        ),
        (
            json!({"output": [{"type": "pii_detection", "action": "pseudonymize"}]}),
            "output[0].action",
            "",
        ),
        (
            json!({"output": [{"type": "content_safety", "threshold": 2}]}),
            "output[0].threshold",
            "",
        ),
        (
            json!({"output": [{"type": "pii_detection", "level": 2}]}),
            "output[0].level",
            "level",
        ),
    ] {
        let error = Guardrails::parse(&rules).expect_err("an error");
        assert_eq!(
            (error.member.as_str(), error.given.as_str()),
            (member, word)
        );
    }
}

#[test]
fn types_are_those_of_the_detectors() {
    let rules = json!({"output": [{"type": "pii_detection", "types": ["EMAIL", "STAFF"]}]});
    let rules = Guardrails::parse(&rules).expect("rules");
    let error = rules
        .check_types(&Detectors::default())
        .expect_err("unknown");
    assert_eq!(
        (error.member.as_str(), error.given.as_str()),
        ("output.types", "STAFF")
    );
    let config: crate::guard::GuardConfig = serde_json::from_value(json!({
        "custom": [{"name": "STAFF", "words": ["w-123"]}]
    }))
    .expect("detectors");
    let detectors = Detectors::compile(&config).expect("detectors");
    assert_eq!(rules.check_types(&detectors), Ok(()));
    let actions = Actions::of(&rules.output.pii, Some(&detectors));
    let staff = detectors.kind("STAFF").expect("kind");
    assert_eq!(action(&actions, staff), Some(PiiAction::Redact));
}

#[test]
fn rules_travel() {
    let rules = Guardrails::parse(&json!({
        "input": [
            {"type": "pii_detection", "action": "mask", "types": ["EMAIL"], "keep": 2},
            {"type": "pii_detection"},
        ],
        "output": [{"type": "pii_detection", "action": "deny"}],
        "unread": "allow", "report": true,
    }))
    .expect("rules");
    let text = serde_json::to_string(&rules).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Guardrails>(&text).expect("rules"),
        rules
    );
    assert_eq!(
        serde_json::to_string(&Guardrails::default()).expect("JSON"),
        "{}"
    );
}
