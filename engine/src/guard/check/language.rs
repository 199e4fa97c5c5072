//! Which language a text is in, by its letters and its commonest words: good for whole sentences of
//! the languages named here, a guess for less.

use super::words::plain;

/// Languages that can be told by their letters alone: name, and ranges of characters.
#[rustfmt::skip]
const SCRIPTS: &[(&str, &[(char, char)])] = &[
    ("ja", &[('\u{3040}', '\u{30ff}')]),
    ("ko", &[('\u{1100}', '\u{11ff}'), ('\u{ac00}', '\u{d7a3}')]),
    ("zh", &[('\u{4e00}', '\u{9fff}'), ('\u{3400}', '\u{4dbf}')]),
    ("ru", &[('\u{0400}', '\u{04ff}')]),
    ("el", &[('\u{0370}', '\u{03ff}')]),
    ("ar", &[('\u{0600}', '\u{06ff}')]),
    ("he", &[('\u{0590}', '\u{05ff}')]),
    ("hi", &[('\u{0900}', '\u{097f}')]),
    ("th", &[('\u{0e00}', '\u{0e7f}')]),
];

/// Commonest words of languages in Latin letters, without accents.
#[rustfmt::skip]
const WORDS: &[(&str, &[&str])] = &[
    ("en", &["the", "and", "is", "of", "to", "in", "that", "it", "you", "for", "with", "this", "are", "what", "how", "please", "my", "have", "can", "was", "not", "on"]),
    ("vi", &["la", "va", "cua", "co", "khong", "cho", "toi", "ban", "nhung", "duoc", "mot", "cac", "nay", "voi", "trong", "hay", "thi", "nguoi", "xin", "chao", "gi", "lam"]),
    ("de", &["der", "die", "und", "ist", "das", "nicht", "ich", "sie", "ein", "eine", "mit", "auf", "wie", "fur", "den", "zu", "bitte", "wir", "was", "von"]),
    ("fr", &["le", "les", "et", "est", "des", "une", "que", "pour", "dans", "pas", "vous", "je", "qui", "avec", "sur", "comment", "du", "mon", "ce", "la"]),
    ("es", &["el", "los", "y", "es", "que", "una", "por", "para", "con", "las", "como", "del", "mi", "esta", "pero", "se", "no", "la", "de", "un"]),
    ("pt", &["o", "os", "e", "que", "uma", "para", "com", "nao", "voce", "como", "por", "mais", "isso", "eu", "em", "um", "do", "da", "ao", "se"]),
    ("it", &["il", "che", "di", "e", "per", "non", "una", "sono", "con", "come", "questo", "della", "gli", "mi", "ho", "un", "la", "si", "anche", "ma"]),
    ("nl", &["de", "het", "een", "en", "van", "is", "niet", "ik", "dat", "op", "te", "met", "voor", "zijn", "hoe", "wat", "je", "aan", "ook", "als"]),
];

/// Languages that can be asked for.
pub(crate) fn known() -> impl Iterator<Item = &'static str> {
    let latin = WORDS.iter().map(|(name, _)| *name);
    latin.chain(SCRIPTS.iter().map(|(name, _)| *name))
}

/// Letters that a text must have before anything is said of it.
const LETTERS_MIN: usize = 12;

/// The language of a text; `None` when it cannot be told.
pub(super) fn language(text: &str) -> Option<&'static str> {
    let letters = text.chars().filter(|letter| letter.is_alphabetic());
    let total = letters.clone().count();
    if total < LETTERS_MIN / 2 {
        return None;
    }
    let of_script = |ranges: &[(char, char)]| {
        let inside = |letter: &char| {
            ranges
                .iter()
                .any(|(from, to)| (from..=to).contains(&letter))
        };
        letters.clone().filter(inside).count()
    };
    // Japanese is written with Chinese letters too: some of its own make it Japanese.
    let japanese = of_script(SCRIPTS.first().map_or(&[], |(_, ranges)| ranges));
    if japanese * 10 >= total {
        return Some("ja");
    }
    for (name, ranges) in SCRIPTS {
        if of_script(ranges) * 2 >= total {
            return Some(name);
        }
    }
    if total < LETTERS_MIN {
        return None;
    }
    let plain = plain(text);
    let mut best = (None, 0);
    let mut second = 0;
    for (name, words) in WORDS {
        let mut hits = plain
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| words.contains(word))
            .count();
        if *name == "vi" {
            // Letters that only Vietnamese has.
            hits += 2 * text
                .chars()
                .filter(|letter| matches!(letter, 'ơ' | 'ư' | 'đ' | 'Ơ' | 'Ư' | 'Đ' | 'Ạ'..='ỹ'))
                .count();
        }
        if hits > best.1 {
            second = best.1;
            best = (Some(*name), hits);
        } else {
            second = second.max(hits);
        }
    }
    best.0.filter(|_| best.1 > second)
}
