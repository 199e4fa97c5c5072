//! Phrases in a text, found in whatever spelling.

/// Phrases in plain letters, with how much each says, in percent.
pub(super) type Phrases = [(&'static str, u32)];

/// The text in lower case and without accents, with single spaces: what phrases are compared with.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_whitespace()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
        {
            if letter.is_whitespace() && !plain.ends_with(' ') {
                plain.push(' ');
            }
            continue;
        }
        // Marks of decomposed letters.
        if matches!(letter, '\u{300}'..='\u{36f}') {
            continue;
        }
        plain.extend(base(letter).to_lowercase());
    }
    plain
}

/// A letter without its accent, for Latin letters of the languages that phrases are in.
fn base(letter: char) -> char {
    match letter {
        'À'..='Å' | 'à'..='å' | 'Ă' | 'ă' | 'Ạ'..='ặ' => 'a',
        'Ç' | 'ç' => 'c',
        'Đ' | 'đ' | 'Ð' => 'd',
        'È'..='Ë' | 'è'..='ë' | 'Ẹ'..='ệ' => 'e',
        'Ì'..='Ï' | 'ì'..='ï' | 'Ĩ' | 'ĩ' | 'Ỉ'..='ị' => 'i',
        'Ñ' | 'ñ' => 'n',
        'Ò'..='Ö' | 'ò'..='ö' | 'Ơ' | 'ơ' | 'Ọ'..='ợ' => 'o',
        'Ù'..='Ü' | 'ù'..='ü' | 'Ũ' | 'ũ' | 'Ư' | 'ư' | 'Ụ'..='ự' => 'u',
        'Ý' | 'ý' | 'ÿ' | 'Ỳ'..='ỹ' => 'y',
        // Full-width forms hide a phrase from nobody but a program.
        '！'..='～' => char::from_u32(letter as u32 - 0xfee0).unwrap_or(letter),
        _ => letter,
    }
}

/// What the phrases in a text say together, in millionths: each takes its part of what is left to be
/// sure.
pub(super) fn find(phrases: &Phrases, plain: &str) -> u32 {
    let mut doubt = 1_000_000u64;
    for (phrase, percent) in phrases {
        if contains(plain, phrase) {
            doubt = doubt * u64::from(100 - percent) / 100;
        }
    }
    u32::try_from(1_000_000 - doubt).unwrap_or(u32::MAX)
}

/// Whether a phrase stands in the text, not inside a longer word.
pub(super) fn contains(plain: &str, phrase: &str) -> bool {
    let bytes = plain.as_bytes();
    memchr::memmem::find_iter(bytes, phrase.as_bytes()).any(|at| {
        let joins = |inside: Option<&u8>, outside: Option<&u8>| {
            let word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            word(inside) && word(outside)
        };
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        let after = bytes.get(at + phrase.len());
        !joins(phrase.as_bytes().first(), before) && !joins(phrase.as_bytes().last(), after)
    })
}
