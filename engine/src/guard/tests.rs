//! Every detector against labelled texts, and what must hold for any text.

mod files;

use proptest::prelude::*;

use super::{
    Detectors, Finding, GuardConfig, Inspection, Kind, cue, detectors, inspect, redact, scan,
};
use crate::json::Edits;
use crate::request::ChatRequest;
use crate::wire::PiiAction;

const CASES: &str = include_str!("../../testdata/guard/cases.txt");

fn found(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    scan(text, &mut findings);
    findings
}

/// A case without its marks, and what they say.
fn parse(line: &str) -> (String, Vec<(String, usize, usize)>) {
    let line = line
        .replace('~', "")
        .replace("\\n", "\n")
        .replace("\\t", "\t");
    let (mut text, mut expected) = (String::new(), Vec::new());
    let mut rest = line.as_str();
    while let Some((before, after)) = rest.split_once("{{") {
        let (mark, after) = after.split_once("}}").unwrap();
        let (kind, value) = mark.split_once('|').unwrap();
        text.push_str(before);
        expected.push((kind.to_owned(), text.len(), text.len() + value.len()));
        text.push_str(value);
        rest = after;
    }
    text.push_str(rest);
    (text, expected)
}

pub(super) fn cases() -> impl Iterator<Item = (String, Vec<(String, usize, usize)>)> {
    CASES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(parse)
}

#[test]
fn labelled_texts_are_found_exactly() {
    let mut wrong = Vec::new();
    for (text, expected) in cases() {
        let found: Vec<_> = found(&text)
            .iter()
            .map(|found| (found.kind.name().to_owned(), found.start, found.end))
            .collect();
        if found != expected {
            let named: Vec<_> = found
                .iter()
                .map(|(kind, start, end)| format!("{kind} {:?}", text.get(*start..*end)))
                .collect();
            wrong.push(format!("{text:?} gave {named:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases().count(),
        wrong.join("\n")
    );
}

#[test]
fn every_network_has_its_lengths() {
    let numbers = [
        "213130001234564",
        "180030001234565",
        "630430001234",
        "503830001239",
        "6762300012340",
    ];
    for number in numbers {
        let said = format!("new card {number} is active");
        let redacted = redact(&said);
        assert_eq!(
            redacted.as_deref(),
            Some("new card [CREDIT_CARD_REDACTED] is active")
        );
        let mistyped = format!("new card {} is active", number.replacen("123", "132", 1));
        assert_eq!(redact(&mistyped), None);
    }
}

#[test]
fn a_group_of_many_digits_is_neither_octet_nor_year() {
    assert_eq!(redact("born 01/02/19909203001234"), None);
    assert_eq!(redact("41111111111111110.0.0.11"), None);
}

#[test]
fn both_normal_forms_and_no_accents_read_alike() {
    for text in [
        "Căn cước công dân 079203001234",
        "Ca\u{306}n cu\u{31b}o\u{31b}\u{301}c co\u{302}ng da\u{302}n 079203001234",
        "CAN CUOC CONG DAN 079203001234",
    ] {
        assert_eq!(
            redact(text).unwrap().split(' ').next_back(),
            Some("[CCCD_REDACTED]"),
            "{text}"
        );
    }
}

#[test]
fn the_example_of_the_manual_holds() {
    assert_eq!(
        redact("Nhân viên Nguyễn Văn A, CMND 123456789").unwrap(),
        "Nhân viên [NAME_REDACTED], CMND [CMND_REDACTED]"
    );
}

#[test]
fn every_kind_has_one_row_and_a_token_of_its_name() {
    assert_eq!(detectors().len(), Kind::ALL.len());
    for (row, kind) in detectors().iter().zip(Kind::ALL) {
        assert_eq!(
            (row.kind, row.name, row.token),
            (*kind, kind.name(), kind.token())
        );
        assert_eq!(row.token, format!("[{}_REDACTED]", row.name));
    }
}

#[test]
fn the_examples_of_the_table_are_found() {
    let config = GuardConfig {
        also: detectors().iter().map(|row| row.name.to_owned()).collect(),
        ..GuardConfig::default()
    };
    let all = Detectors::compile(&config).unwrap();
    for row in detectors() {
        let mut findings = Vec::new();
        all.scan(row.example, &mut findings);
        let [found] = findings.as_slice() else {
            panic!("{}: {findings:?}", row.example)
        };
        assert_eq!(found.kind, row.kind, "{}", row.example);
    }
}

#[test]
fn nothing_is_allocated_for_a_text_without_findings() {
    let mut findings = Vec::new();
    scan(
        "The quick brown fox jumps over 13 lazy dogs, version 1.2.3.",
        &mut findings,
    );
    assert_eq!(findings.capacity(), 0);
}

/// The body of a request whose only message says `content` (JSON text).
fn body(content: &str) -> Vec<u8> {
    format!(r#"{{"model":"m","x":[1, 2 ],"messages":[{{"role":"user","content":{content}}}]}}"#)
        .into_bytes()
}

fn inspected(body: &[u8], action: PiiAction) -> (Inspection, String) {
    let request = ChatRequest::parse(body).unwrap();
    let mut edits = Edits::default();
    let inspection = inspect(body, &request.texts, action, &mut edits);
    assert_eq!(inspection.edits_made, !edits.is_empty());
    (inspection, String::from_utf8(edits.apply(body)).unwrap())
}

fn redacted(content: &str) -> String {
    inspected(&body(content), PiiAction::Redact).1
}

fn with_content(content: &str) -> String {
    String::from_utf8(body(content)).unwrap()
}

#[test]
fn findings_are_cut_out_of_the_body_and_nothing_else_moves() {
    assert_eq!(
        redacted(r#""a \"b\" \u00e9 bob@example.com\n\ud83d\ude00 \/ 0912345678\t""#),
        with_content(r#""a \"b\" \u00e9 [EMAIL_REDACTED]\n\ud83d\ude00 \/ [PHONE_REDACTED]\t""#)
    );
}

#[test]
fn an_escaped_finding_is_replaced_by_its_escaped_form() {
    assert_eq!(
        redacted(r#""x bob\u0040example.com y""#),
        with_content(r#""x [EMAIL_REDACTED] y""#)
    );
    assert_eq!(
        redacted(r#""CMND:\t123456789\n\n""#),
        with_content(r#""CMND:\t[CMND_REDACTED]\n\n""#)
    );
}

#[test]
fn parts_are_scanned() {
    assert_eq!(
        redacted(
            r#"[{"type":"text","text":"My SSN is 219-09-9999"},{"type":"image_url","image_url":{"url":"https://e.com/a.png"}}]"#
        ),
        with_content(
            r#"[{"type":"text","text":"My SSN is [SSN_REDACTED]"},{"type":"image_url","image_url":{"url":"https://e.com/a.png"}}]"#
        )
    );
}

#[test]
fn flag_and_deny_count_and_leave_the_body() {
    let body = body(r#""bob@example.com and amy@example.com, SSN 219-09-9999""#);
    for action in [PiiAction::Flag, PiiAction::Deny] {
        let (inspection, after) = inspected(&body, action);
        assert_eq!(inspection.counts, [(Kind::Email, 2), (Kind::Ssn, 1)]);
        assert_eq!(after.as_bytes(), body);
    }
}

/// A request whose assistant calls a tool with `arguments` (text).
fn call(arguments: &str) -> Vec<u8> {
    let arguments = serde_json::to_string(arguments).unwrap();
    format!(
        r#"{{"model":"m","messages":[{{"role":"assistant","content":null,"tool_calls":[{{"id":"c","type":"function","function":{{"name":"f","arguments":{arguments}}}}}]}}]}}"#
    )
    .into_bytes()
}

fn redacted_arguments(arguments: &str) -> String {
    let (_, after) = inspected(&call(arguments), PiiAction::Redact);
    let after: serde_json::Value = serde_json::from_str(&after).unwrap();
    after["messages"][0]["tool_calls"][0]["function"]["arguments"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn tool_arguments_are_read_as_the_document_they_are() {
    for (arguments, expected) in [
        (
            r#"{"to":"bob@example.com"}"#,
            r#"{"to":"[EMAIL_REDACTED]"}"#,
        ),
        (
            r#"{"to":"bob\u0040example.com", "n": 1}"#,
            r#"{"to":"[EMAIL_REDACTED]", "n": 1}"#,
        ),
        (
            r#"{"card":4111111111111111,"n":1}"#,
            r#"{"card":"[CREDIT_CARD_REDACTED]","n":1}"#,
        ),
        (
            r#"{"cmnd":123456789,"order":123456789}"#,
            r#"{"cmnd":"[CMND_REDACTED]","order":123456789}"#,
        ),
        (
            r#"{"phones":["5125550143","\n"]}"#,
            r#"{"phones":["[PHONE_REDACTED]","\n"]}"#,
        ),
        (
            r#"{"bob@example.com":true}"#,
            r#"{"[EMAIL_REDACTED]":true}"#,
        ),
        (
            r#"{"a":{"b":[{"q":"x \"bob@example.com\" y"}]}}"#,
            r#"{"a":{"b":[{"q":"x \"[EMAIL_REDACTED]\" y"}]}}"#,
        ),
        ("not JSON: bob@example.com", "not JSON: [EMAIL_REDACTED]"),
        (r#"{"to":"bob@example.com""#, r#"{"to":"[EMAIL_REDACTED]""#),
        (
            r#"{"a":1.5e300,"b":-12345678}"#,
            r#"{"a":1.5e300,"b":-12345678}"#,
        ),
    ] {
        assert_eq!(redacted_arguments(arguments), expected, "{arguments}");
    }
}

fn fragment() -> impl Strategy<Value = String> {
    let known: Vec<String> = cases().map(|(text, _)| text).collect();
    prop_oneof![
        4 => proptest::sample::select(known),
        2 => "[ -~]{0,12}",
        2 => "[0-9@:._+()/ -]{0,24}",
        1 => any::<String>(),
        1 => proptest::sample::select(vec!["：", "\n", "é", "\u{301}", "名前は", "\u{a0}", "–", "\\", "\"", "😀"])
            .prop_map(str::to_owned),
    ]
}

pub(super) fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(fragment(), 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn findings_are_sorted_apart_and_on_borders(text in text()) {
        let mut end = 0;
        for finding in found(&text) {
            prop_assert!(finding.start >= end && finding.start < finding.end);
            prop_assert!(text.get(finding.start..finding.end).is_some());
            end = finding.end;
        }
    }

    #[test]
    fn redaction_ends_with_itself(pieces in proptest::collection::vec(
        proptest::sample::select(cases().map(|(text, _)| text).collect::<Vec<_>>()), 1..4)) {
        let text = pieces.join("\n");
        let once = redact(&text).unwrap_or(text);
        prop_assert_eq!(redact(&once), None, "{}", once);
    }

    #[test]
    fn an_inspected_body_stays_the_same_document(text in text(), arguments in any::<bool>()) {
        let body = if arguments { call(&text) } else { body(&serde_json::to_string(&text).unwrap()) };
        let (_, after) = inspected(&body, PiiAction::Redact);
        let after: serde_json::Value = serde_json::from_str(&after).unwrap();
        let message = &after["messages"][0];
        if arguments {
            prop_assert!(message["tool_calls"][0]["function"]["arguments"].is_string());
        } else {
            let expected = redact(&text).unwrap_or(text);
            prop_assert_eq!(message["content"].as_str(), Some(expected.as_str()));
        }
    }

    #[test]
    fn context_reads_any_text(text in text()) {
        for at in 0..=text.len() {
            cue::before(&text, at, &[]);
        }
    }
}
