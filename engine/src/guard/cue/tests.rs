use super::index::look_up;
use super::phrases::PHRASES;
use super::words::{REACH_WORDS, Words};
use super::*;

/// What stands before a phrase and after it.
const FRAMES: [(&str, &str); 12] = [
    ("", " "),
    ("", ": "),
    ("x ", " = "),
    ("12 ", " "),
    ("{\"a\": 1, \"", "\": \""),
    ("Yes. ", " - "),
    ("one\n", "\n"),
    ("the ", ", 77, "),
    ("A1 | ", " | "),
    ("is ", " (really!) "),
    ("my", "："),
    ("l'", "' "),
];

fn framed() -> impl Iterator<Item = String> {
    PHRASES.iter().flat_map(|(phrase, _)| {
        let shouted = phrase.to_uppercase();
        let texts = FRAMES.map(|(before, after)| {
            [
                format!("{before}{phrase}{after}"),
                format!("{before}{shouted}{after}"),
                format!("{before}{}{after}", phrase.replace(' ', "_")),
            ]
        });
        texts.into_iter().flatten()
    })
}

#[test]
fn what_is_read_without_a_reader_is_what_the_reader_reads() {
    for text in framed() {
        for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            let words = || Words::before(&text, at, REACH_WORDS, &[]);
            let read = words().nearest(|cue| !cue.is_of_person());
            let Context {
                cue,
                distance,
                clean,
            } = before(&text, at, &[]);
            assert_eq!(
                (cue, distance, clean),
                (read.cue, read.distance, read.clean),
                "{text:?} at {at}"
            );
        }
    }
}

#[test]
fn a_phrase_is_missed_by_none_who_asks_for_its_kind() {
    for text in framed() {
        let any = ending(&text, text.len(), Ends::Any);
        let read = Words::before(&text, text.len(), NAME_PHRASE_WORDS, &[]).phrase(0);
        assert_eq!(any, read, "{text:?}");
        for (ends, wanted) in [
            (Ends::Person, any.filter(|cue| cue.is_of_person())),
            (
                Ends::Value,
                any.filter(|cue| matches!(cue, Cue::Secret | Cue::Address)),
            ),
        ] {
            if wanted.is_some() {
                assert_eq!(ending(&text, text.len(), ends), wanted, "{text:?}");
            }
        }
    }
}

#[test]
fn phrases_are_found_as_they_are_written() {
    for (phrase, cue) in PHRASES {
        let words = Words::before(phrase, phrase.len(), NAME_PHRASE_WORDS, &[]);
        if look_up(words.whole()).is_some() {
            assert_eq!(
                ending(phrase, phrase.len(), Ends::Any),
                Some(*cue),
                "{phrase:?}"
            );
        }
    }
}
