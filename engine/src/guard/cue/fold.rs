//! Letters without case and accents, so that both normal forms and plain ASCII are one.

/// The letters of a word in lower case, without accents; 0 for what is none.
pub(in super::super) fn folded(word: &str) -> impl Iterator<Item = u8> {
    word.chars().filter_map(|letter| match letter {
        '\u{300}'..='\u{36f}' => None,
        _ if letter.is_ascii() => Some(letter.to_ascii_lowercase() as u32 as u8),
        _ => match fold(letter) {
            Folded::Letter(folded) => Some(folded),
            _ => Some(0),
        },
    })
}

/// The letter without its accents; nothing for an accent that stands alone.
pub(in super::super) fn folded_char(letter: char) -> Option<char> {
    if letter.is_ascii() {
        return Some(letter);
    }
    if matches!(letter, '\u{300}'..='\u{36f}') {
        return None;
    }
    match fold(letter) {
        Folded::Letter(folded) if letter.is_uppercase() => {
            Some(char::from(folded).to_ascii_uppercase())
        }
        Folded::Letter(folded) => Some(char::from(folded)),
        _ => Some(letter),
    }
}

#[derive(Clone, Copy)]
pub(super) enum Folded {
    Letter(u8),
    /// A character that is a word by itself.
    Word,
    Mark(char),
}

/// The ASCII letter under an accented one of Latin script; 0 for other characters.
pub(super) fn latin(code: u32) -> u8 {
    let slot = match code {
        0xc0..0x240 => code - 0xc0,
        0x1ea0..0x1f00 => code - 0x1ea0 + 0x180,
        _ => return 0,
    };
    LATIN.get(slot as usize).copied().unwrap_or_default()
}

static LATIN: [u8; 0x1e0] = latin_letters();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn latin_letters() -> [u8; 0x1e0] {
    let mut letters = [0; 0x1e0];
    let mut slot = 0;
    while slot < letters.len() {
        let code = if slot < 0x180 {
            slot + 0xc0
        } else {
            slot - 0x180 + 0x1ea0
        };
        if let Some(letter) = char::from_u32(code as u32)
            && let Folded::Letter(folded) = fold(letter)
        {
            letters[slot] = folded;
        }
        slot += 1;
    }
    letters
}

/// The ASCII letter under an accented one.
pub(super) const fn fold(letter: char) -> Folded {
    let folded = match letter {
        'À'..='Æ' | 'à'..='æ' | 'Ā'..='ą' | 'Ạ'..='ặ' => b'a',
        'Ç' | 'ç' | 'Ć'..='č' => b'c',
        'Ð' | 'ð' | 'Ď'..='đ' => b'd',
        'È'..='Ë' | 'è'..='ë' | 'Ē'..='ě' | 'Ẹ'..='ệ' => b'e',
        'Ĝ'..='ģ' => b'g',
        'Ì'..='Ï' | 'ì'..='ï' | 'Ĩ'..='ĳ' | 'Ỉ'..='ị' => b'i',
        'Ĺ'..='ł' => b'l',
        'Ñ' | 'ñ' | 'Ń'..='ŋ' => b'n',
        'Ò'..='Ö' | 'Ø' | 'ò'..='ö' | 'ø' | 'Ō'..='œ' | 'Ơ' | 'ơ' | 'Ọ'..='ợ' => b'o',
        'Ŕ'..='ř' => b'r',
        'ß' | 'Ś'..='š' => b's',
        'Ţ'..='ŧ' => b't',
        'Ù'..='Ü' | 'ù'..='ü' | 'Ũ'..='ų' | 'Ư' | 'ư' | 'Ụ'..='ự' => b'u',
        'Ý' | 'ý' | 'ÿ' | 'Ŷ'..='Ÿ' | 'Ỳ'..='ỹ' => b'y',
        'Ź'..='ž' => b'z',
        '：' => return Folded::Mark(':'),
        '。' | '！' | '？' => return Folded::Mark('|'),
        '，' | '、' => return Folded::Mark(','),
        '；' => return Folded::Mark(';'),
        '\u{a0}'..='\u{bf}' | '\u{2000}'..='\u{2bff}' | '\u{3000}'..='\u{303f}' => {
            return Folded::Mark(' ');
        }
        '\u{ff00}'..='\u{ff0f}' => return Folded::Mark(' '),
        _ => return Folded::Word,
    };
    Folded::Letter(folded)
}
