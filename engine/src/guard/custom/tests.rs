//! What operators add: what it finds, and what is refused.

use crate::guard::{AllowList, CustomDetector, Detectors, GuardConfig};

fn with(patterns: &[&str], words: &[&str]) -> GuardConfig {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    GuardConfig {
        custom: vec![CustomDetector {
            name: "OWN".to_owned(),
            patterns: owned(patterns),
            words: owned(words),
            ignore_case: true,
            ignore_accents: true,
        }],
        ..GuardConfig::default()
    }
}

fn found(config: &GuardConfig, text: &str) -> Vec<(String, String)> {
    let detectors = Detectors::compile(config).unwrap();
    let mut findings = Vec::new();
    detectors.scan(text, &mut findings);
    let named = |found: &crate::guard::Finding| {
        let value = text.get(found.start..found.end).unwrap();
        (detectors.name(found.kind).to_owned(), value.to_owned())
    };
    findings.iter().map(named).collect()
}

fn own(values: &[&str]) -> Vec<(String, String)> {
    values
        .iter()
        .map(|value| ("OWN".to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn patterns_match_as_regex_does() {
    for (pattern, text, expected) in [
        (
            r"\bEMP-\d{4,6}\b",
            "emp-1234, EMP-123456x, XEMP-1234, EMP-99999",
            &["emp-1234", "EMP-99999"][..],
        ),
        (r"abcd|c", "abcd c", &["abcd", "c"]),
        (r"[\d\s]{3}x", "1 2x", &["1 2x"]),
        (r"^id:\w+", "id:a id:b", &["id:a"]),
        (r"số \d+", "SỐ 12 và số 345", &["SỐ 12", "số 345"]),
        (r"ends$", "ends ends", &["ends"]),
        (r"a.c", "a漢c", &["a漢c"]),
    ] {
        assert_eq!(
            found(&with(&[pattern], &[]), text),
            own(expected),
            "{pattern}"
        );
    }
    assert_eq!(
        found(&with(&["x+"], &[]), &"x".repeat(600)).len(),
        3,
        "256 bytes at most"
    );
}

#[test]
fn words_stand_alone_and_fold() {
    let config = with(&[], &["Hải Âu", "blue  whale", "青鸟", "C++", "whale"]);
    for (text, expected) in [
        (
            "HAI AU, hải âu, Ha\u{309}i A\u{302}u, haiau",
            &["HAI AU", "hải âu", "Ha\u{309}i A\u{302}u"][..],
        ),
        ("a Blue\n whale and whales", &["Blue\n whale"]),
        ("看青鸟飞", &["青鸟"]),
        ("c++ and C++17", &["c++", "C++"]),
        ("the whale.", &["whale"]),
    ] {
        assert_eq!(found(&config, text), own(expected), "{text}");
    }
}

#[test]
fn overlapping_findings_are_one() {
    let config = with(&["mail to .{4}"], &[]);
    assert_eq!(
        found(&config, "mail to bob@example.com!"),
        own(&["mail to bob@example.com"])
    );
}

#[test]
fn what_is_allowed_is_not_reported() {
    let config = GuardConfig {
        allow: AllowList {
            values: vec!["Support@Example.com".to_owned()],
            patterns: vec![r"10\.\d+\.\d+\.\d+".to_owned(), r".*@weir\.test".to_owned()],
        },
        ..GuardConfig::default()
    };
    let text = "support@example.com, support@example.com.au, a@weir.test, 10.1.2.3 and 203.0.113.9";
    let kinds: Vec<String> = found(&config, text)
        .into_iter()
        .map(|(_, value)| value)
        .collect();
    assert_eq!(kinds, ["support@example.com.au", "203.0.113.9"]);
}

#[test]
fn what_is_off_has_to_be_asked_for() {
    let text = "Biển số 59P1-123.45";
    assert!(found(&GuardConfig::default(), text).is_empty());
    let config = GuardConfig {
        also: vec!["LICENCE_PLATE".to_owned()],
        ..GuardConfig::default()
    };
    let expected = ("LICENCE_PLATE".to_owned(), "59P1-123.45".to_owned());
    assert_eq!(found(&config, text), [expected]);
}

#[test]
fn mistakes_are_named() {
    let refused = |config: &GuardConfig| {
        let error = Detectors::compile(config).unwrap_err();
        (error.member, error.message)
    };
    for (pattern, says) in [
        ("(", "unclosed group"),
        ("a*", "the empty text"),
        (r"(a)\1", "backreferences"),
        (r"(?=a)b", "look-around"),
        (r"(.{1,200}){8}b.{200}c", "automaton above 256 KiB"),
    ] {
        let (member, message) = refused(&with(&["ok", pattern], &[]));
        assert_eq!(member, "custom[0].patterns[1]", "{pattern}");
        assert!(message.contains(says), "{pattern}: {message}");
    }
    for (name, says) in [("own", "capitals"), ("EMAIL", "built-in"), ("", "capitals")] {
        let mut config = with(&["ok"], &[]);
        if let Some(custom) = config.custom.first_mut() {
            custom.name = name.to_owned();
        }
        let (member, message) = refused(&config);
        assert!(
            member == "custom[0].name" && message.contains(says),
            "{message}"
        );
    }
    assert_eq!(refused(&with(&[], &[])).0, "custom[0]");
    assert_eq!(refused(&with(&[], &["a", " "])).0, "custom[0].words[1]");
    let config = GuardConfig {
        also: vec!["EMAILS".to_owned()],
        ..GuardConfig::default()
    };
    assert_eq!(refused(&config).0, "also[0]");
}
