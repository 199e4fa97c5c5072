//! Pieces read as the whole does, however it is cut.

use proptest::prelude::*;

use super::Window;
use crate::guard::tests::{cases, text};
use crate::guard::{AllowList, CustomDetector, Detectors, Finding, GuardConfig, Kind};

fn configured() -> Detectors {
    let custom = |name: &str, patterns: &[&str], words: &[&str]| CustomDetector {
        name: name.to_owned(),
        patterns: patterns.iter().map(|text| (*text).to_owned()).collect(),
        words: words.iter().map(|text| (*text).to_owned()).collect(),
        ignore_case: true,
        ignore_accents: true,
    };
    let config = GuardConfig {
        custom: vec![
            custom("STAFF", &[r"\bEMP-\d{4,6}\b", r"x+y", r"[a-z]+ing$"], &[]),
            custom("PROJECT", &[], &["Hải Âu", "blue whale", "青鸟", "c++"]),
        ],
        allow: AllowList {
            values: vec!["Jane.Doe@example.com".to_owned()],
            patterns: vec![r"10\.0\.\d+\.\d+".to_owned()],
        },
        ..GuardConfig::default()
    };
    Detectors::compile(&config).unwrap()
}

/// The settled texts put together, with all findings.
fn in_pieces<'t>(
    detectors: &Detectors,
    pieces: impl Iterator<Item = &'t str>,
) -> (String, Vec<Finding>, usize) {
    let (mut window, mut text, mut found, mut most) =
        (Window::default(), String::new(), Vec::new(), 0);
    let mut settle = |window: &mut Window, end: bool| {
        let mut fresh = Vec::new();
        let settled = window.settle(detectors, end, &mut fresh);
        for finding in fresh {
            assert!(settled.get(finding.start..finding.end).is_some());
            let (start, end) = (finding.start + text.len(), finding.end + text.len());
            found.push(Finding {
                start,
                end,
                ..finding
            });
        }
        text.push_str(&settled);
    };
    for piece in pieces {
        window.push(piece);
        settle(&mut window, false);
        most = most.max(window.held());
    }
    settle(&mut window, true);
    (text, found, most)
}

fn whole(detectors: &Detectors, text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    detectors.scan(text, &mut found);
    found
}

fn letters(text: &str) -> impl Iterator<Item = &str> {
    text.char_indices()
        .filter_map(|(at, letter)| text.get(at..at + letter.len_utf8()))
}

#[test]
fn every_cut_of_every_case_gives_the_same() {
    for detectors in [Detectors::default(), configured()] {
        for (text, _) in cases() {
            let expected = whole(&detectors, &text);
            for (cut, _) in text.char_indices() {
                let (head, tail) = text.split_at(cut);
                let (joined, found, _) = in_pieces(&detectors, [head, tail].into_iter());
                assert_eq!(joined, text);
                assert_eq!(found, expected, "{head:?} + {tail:?}");
            }
            let (joined, found, _) = in_pieces(&detectors, letters(&text));
            assert_eq!(
                (joined.as_str(), &found),
                (text.as_str(), &expected),
                "letter by letter: {text:?}"
            );
        }
    }
}

#[test]
fn at_most_256_bytes_wait_that_are_no_secret() {
    let detectors = configured();
    for piece in [
        "a",
        "1",
        "A ",
        "a.",
        "1 ",
        "@",
        "-",
        "é",
        "漢",
        "(",
        "+",
        "Ab ",
        "x",
        "0x",
        "a@",
        ":",
        "=",
        "password=",
        "?token=",
        "eyJ",
        "1.1.",
        "'",
        "9-",
    ] {
        let text = piece.repeat(1200 / piece.len());
        let (_, found, most) = in_pieces(&detectors, letters(&text));
        let secret = found.iter().any(|found| {
            matches!(
                found.kind,
                Kind::Secret | Kind::ApiKey | Kind::UrlCredentials
            )
        });
        assert!(most <= 256 || secret, "{piece:?}: {most}");
    }
}

#[test]
fn a_heading_is_known_when_its_text_is_long_gone() {
    let mut text = "id,ssn,when\n".to_owned();
    let mut sql = "INSERT INTO t (id, cccd) VALUES ".to_owned();
    for row in 0..3000 {
        text.push_str(&format!("{row},{},2024-01-01\n", 123_450_001 + row));
        sql.push_str(&format!("('{row}', '{}'), ", 79_203_000_000_u64 + row));
    }
    let sql = sql.replace("'79", "'079");
    for (text, count) in [(text, 3000), (sql, 3000)] {
        let expected = whole(&Detectors::default(), &text);
        assert_eq!(expected.len(), count, "{:?}", text.get(..60));
        let (_, found, most) = in_pieces(&Detectors::default(), letters(&text));
        assert_eq!(found, expected);
        assert!(most <= 256, "{most}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_cut_of_any_text_gives_the_same(
        texts in proptest::collection::vec(text(), 1..4),
        cuts in proptest::collection::vec(0.0..1.0_f64, 0..12),
        custom in any::<bool>(),
    ) {
        let detectors = if custom { configured() } else { Detectors::default() };
        let text = texts.join("\n");
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| {
            let mut cut = (cut * text.len() as f64) as usize;
            while !text.is_char_boundary(cut) {
                cut -= 1;
            }
            cut
        }).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| text.get(pair[0]..pair[1]).unwrap());
        let (joined, found, _) = in_pieces(&detectors, pieces);
        prop_assert_eq!(&joined, &text);
        prop_assert_eq!(found, whole(&detectors, &text));
    }

    #[test]
    fn what_is_not_held_is_settled(text in text(), more in text()) {
        let detectors = Detectors::default();
        let hold = detectors.hold_from(&text);
        prop_assert!(text.is_char_boundary(hold));
        let before = |found: Vec<Finding>| -> Vec<Finding> {
            found.into_iter().filter(|found| found.start < hold).collect()
        };
        let longer = before(whole(&detectors, &format!("{text}{more}")));
        prop_assert_eq!(before(whole(&detectors, &text)), longer);
    }
}
