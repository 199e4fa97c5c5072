//! Check digits: the examples of the table hold, and hardly a neighbour of theirs does.

use crate::guard::{Detectors, GuardConfig, Kind, detectors};

/// Identifiers whose form alone is checked.
const WITHOUT_CHECK: &[Kind] = &[
    Kind::UsItin,
    Kind::UsMbi,
    Kind::UkNino,
    Kind::InPan,
    Kind::KrRrn,
    Kind::DkCpr,
    Kind::LicencePlate,
    Kind::MacAddress,
    Kind::Address,
];

#[test]
fn a_wrong_digit_is_seen() {
    let config = GuardConfig {
        also: detectors().iter().map(|row| row.name.to_owned()).collect(),
        ..GuardConfig::default()
    };
    let all = Detectors::compile(&config).unwrap();
    let first = Kind::ALL
        .iter()
        .position(|kind| *kind == Kind::UsItin)
        .unwrap();
    for row in detectors().iter().skip(first) {
        if WITHOUT_CHECK.contains(&row.kind) {
            continue;
        }
        let digits = row
            .example
            .char_indices()
            .filter(|(_, letter)| letter.is_ascii_digit());
        // The last digit of a Medicare card counts its issues.
        let unchecked = usize::from(row.kind == Kind::AuMedicare);
        let count = digits.clone().count() - unchecked;
        let mut missed = 0;
        for (at, letter) in digits.take(count) {
            let wrong = char::from_digit((letter.to_digit(10).unwrap() + 1) % 10, 10).unwrap();
            let mut text = row.example.to_owned();
            text.replace_range(at..=at, &wrong.to_string());
            let mut found = Vec::new();
            all.scan(&text, &mut found);
            missed += usize::from(found.iter().any(|found| found.kind == row.kind));
        }
        // A weight of eleven under a modulus of eleven guards nothing: Thailand has one.
        assert!(missed <= 1, "{}: {missed} of {count}", row.name);
    }
}

#[test]
fn a_number_needs_its_word() {
    for text in [
        "order 836 819 3036",
        "ref 362-241-549",
        "8188 4208 7830",
        "id 85071775183",
        "SKU AB123456C",
    ] {
        let mut found = Vec::new();
        Detectors::default().scan(text, &mut found);
        assert!(
            found.iter().all(|found| found.kind == Kind::Phone),
            "{text}: {found:?}"
        );
    }
}
