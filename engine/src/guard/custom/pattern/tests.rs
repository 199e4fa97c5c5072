//! Matches are those of the regex crate's automata.

use proptest::prelude::*;
use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::{Anchored, Input, MatchKind};

use super::super::Verdict;
use super::{Pattern, ascii_classes};

/// The regex crate's automaton for a pattern.
fn theirs(pattern: &str, ignore_case: bool) -> Option<dense::DFA<Vec<u32>>> {
    let config = dense::Config::new()
        .start_kind(StartKind::Anchored)
        .match_kind(MatchKind::LeftmostFirst)
        .dfa_size_limit(Some(super::AUTOMATON_BYTES_MAX));
    dense::Builder::new()
        .configure(config)
        .syntax(regex_automata::util::syntax::Config::new().case_insensitive(ignore_case))
        .build(&ascii_classes(pattern))
        .ok()
}

fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => "[abkKé漢1_ -]{1,3}",
        1 => proptest::sample::select(vec![
            ".", r"\b", "^", "$", r"\A", r"\z", "(?m:^)", "(?m:$)", "(?Rm:^)", "(?Rm:$)", r"\d", r"\w",
            r"\s", r"\S", r"\W", "[^a]", "[a-fé-漢]", "[^a-z\n]", "(?i:k)", r"(?-u:\<)", r"(?-u:\>)",
            r"[\w-]", "(?s:.)", "\n", "\r", "()", "[a-z&&[^k]]",
        ]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 4, |part| {
        prop_oneof![
            proptest::collection::vec(part.clone(), 1..4).prop_map(|parts| parts.concat()),
            proptest::collection::vec(part.clone(), 1..4)
                .prop_map(|parts| format!("(?:{})", parts.join("|"))),
            (
                part,
                proptest::sample::select(vec![
                    "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{2,}", "{0,2}?", "{1,}?"
                ])
            )
                .prop_map(|(part, times)| format!("(?:{part}){times}")),
        ]
    })
}

/// Compares from each place of a text.
fn agree(pattern: &str, text: &str, ignore_case: bool) {
    let ours = Pattern::compile(pattern, ignore_case);
    let Some(theirs) = theirs(pattern, ignore_case) else {
        assert!(ours.is_err(), "{pattern:?} is taken");
        return;
    };
    let ours = match ours {
        Ok(ours) => ours,
        Err(says) => {
            assert_eq!(says, "the pattern matches the empty text", "{pattern:?}");
            return;
        }
    };
    for from in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
        let input = Input::new(text).anchored(Anchored::Yes).range(from..);
        let expected = theirs.try_search_fwd(&input).unwrap();
        let found = match ours.at(text.as_bytes(), from, true) {
            Verdict::Until(until) => Some(until),
            Verdict::No => None,
            Verdict::Open => panic!("open at the end"),
        };
        let expected = expected.map(|half| half.offset());
        assert_eq!(found, expected, "{pattern:?} at {from} of {text:?}");
        // What is settled before the end is the same whatever follows.
        for until in (from..text.len()).filter(|at| text.is_char_boundary(*at)) {
            match ours.at(text.get(..until).unwrap().as_bytes(), from, false) {
                Verdict::Open => {}
                Verdict::No => assert_eq!(found, None, "{pattern:?} up to {until} of {text:?}"),
                Verdict::Until(until) => assert_eq!(found, Some(until), "{pattern:?}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pattern_finds_what_the_regex_crate_finds(
        pattern in pattern(),
        text in "[abkK\u{212a}é漢字1_ \n\r-]{0,24}",
        ignore_case: bool,
    ) {
        agree(&pattern, &text, ignore_case);
    }
}

#[test]
fn what_is_rare_is_found_the_same() {
    for (pattern, text) in [
        ("x(?:|a)*", "xaa"),
        ("x(?:a|)*", "xaa"),
        ("x(?:|a)+", "xaa"),
        ("x(?:a??b?)*c", "xabbaac"),
        ("x(?:a*){2,}y", "xaay"),
        ("(?Rm:^).", "a\r\nb\rc\n\rd"),
        ("(?s:.)(?Rm:$)", "a\r\nb\rc\n\rd"),
        ("(?s:.)(?Rm:^)(?s:.)", "a\r\nb\rc\n\rd"),
        (r"a\b-|a\b.", "a- a-b ab a"),
        (r"(?-u:\b{start-half})ab(?-u:\b{end-half})", "ab abc cab"),
        (r"\w\b.\b\w", "a b c_d"),
        ("[K-k]+", "K\u{212a}k\u{17f}s"),
        ("[^k]+", "K\u{212a}kas"),
    ] {
        for ignore_case in [false, true] {
            agree(pattern, text, ignore_case);
        }
    }
}

#[test]
fn what_the_regex_crate_takes_is_taken() {
    for (pattern, ignore_case) in [
        (r"[\w.+-]{1,64}@[\w-]{1,63}(\.[\w-]{1,63}){1,4}", true),
        (r"(?i)\bproject[ -]?(alpha|beta|gamma|delta|omega)\b", false),
        (r".{1,120}@weir\.test", false),
        (r"[^\s]{8,64}", true),
        (r"\b(?:\d{4}[ -]?){3}\d{4}\b", false),
        (r"\p{L}{2,30}\d{3}", false),
        (
            r"(?:[A-ZÀ-Ỹ][a-zà-ỹ]{1,10} ){1,5}[A-ZÀ-Ỹ][a-zà-ỹ]{1,10}",
            true,
        ),
        (r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", true),
        (r"x.{0,200}y", false),
    ] {
        let taken = theirs(pattern, ignore_case).is_some();
        let says = Pattern::compile(pattern, ignore_case).err();
        assert!(!taken || says.is_none(), "{pattern}: {says:?}");
    }
}
