//! What the value after a word for a secret looks like: a secret, or what people write in its place.

/// Letters and digits, and capitals beside small letters or a sign of punctuation.
pub(super) fn is_strong(value: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| value.iter().any(kind);
    has(u8::is_ascii_digit)
        && has(u8::is_ascii_lowercase)
        && (has(u8::is_ascii_uppercase)
            || has(|byte| {
                matches!(
                    byte,
                    b'!' | b'#' | b'$' | b'%' | b'&' | b'*' | b'@' | b'~' | b'^'
                )
            }))
}

/// Upper-case letters and digits as passports of all countries have.
pub(super) fn is_passport(word: &[u8]) -> bool {
    matches!(word.len(), 7..=10)
        && word
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Letters, and beside them digits or signs that no name, path, number or expression has.
pub(super) fn has_kinds(value: &[u8]) -> bool {
    let strong = |byte: &u8| {
        byte.is_ascii_digit()
            || !byte.is_ascii_alphabetic()
                && !matches!(byte, b'.' | b'_' | b'-' | b'/' | b'[' | b']' | b'?')
    };
    let sign = |byte: &u8| matches!(byte, b'*' | b'!' | b'+' | b'&' | b'#' | b'@');
    let lead = value.iter().take_while(|byte| sign(byte)).count();
    let inner = value.get(lead..).unwrap_or_default();
    let path = value.starts_with(b"/") && !value.iter().any(u8::is_ascii_uppercase);
    let number = value.starts_with(b"0x") && value.len() <= 10;
    let expression = path || number || is_identifier(inner);
    !expression && inner.iter().any(u8::is_ascii_alphabetic) && inner.iter().any(strong)
}

/// `_bindgen_ty_3`, `self.dot2_token`: parts of letters with at most two digits at their end.
fn is_identifier(value: &[u8]) -> bool {
    if value.contains(&b'-') && value.iter().any(u8::is_ascii_uppercase) {
        return false;
    }
    let parts = value.split(|byte| matches!(byte, b'_' | b'.' | b'-' | b'/' | b'!' | b'&'));
    let plain = |part: &[u8]| {
        let letters = part
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count();
        let (letters, digits) = part.split_at(letters);
        digits.len() <= 2 && digits.iter().all(u8::is_ascii_digit) && is_camel(letters)
    };
    parts.clone().count() >= 3 && parts.clone().all(plain)
        || value.contains(&b'.') && parts.clone().count() >= 2 && parts.clone().all(plain)
}

/// Small letters, capitals, or words of two letters and more with a capital each.
fn is_camel(letters: &[u8]) -> bool {
    let loud = letters.iter().all(u8::is_ascii_uppercase);
    let hump = |pair: &[u8]| matches!(pair, [first, second] if first.is_ascii_uppercase() && second.is_ascii_uppercase());
    let cut = matches!(letters, [_, .., last] if last.is_ascii_uppercase());
    loud || !cut && !letters.windows(2).any(hump)
}

/// Letters whose capitals stand where neither a word nor `CamelCase` has them.
pub(super) fn is_mixed(value: &[u8]) -> bool {
    let capitals = value
        .iter()
        .filter(|byte| byte.is_ascii_uppercase())
        .count();
    let small = value
        .iter()
        .filter(|byte| byte.is_ascii_lowercase())
        .count();
    let humps = value
        .windows(2)
        .filter(|pair| matches!(pair, [first, second] if first.is_ascii_lowercase() && second.is_ascii_uppercase()))
        .count();
    let all_letters = capitals + small == value.len();
    let irregular = humps >= 3 && capitals * 4 >= value.len()
        || value.len() >= 12 && capitals * 5 >= value.len() * 2;
    all_letters && small * 6 >= value.len() && irregular
}

pub(super) fn is_mail(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| *byte == b'@');
    let (Some(_), Some(host), None) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    host.contains(&b'.') && !host.iter().any(u8::is_ascii_digit)
}

/// What people write in place of a secret.
const PLACEHOLDERS: [&[u8]; 16] = [
    b"xxxx",
    b"****",
    b"...",
    b"your",
    b"example",
    b"redacted",
    b"placeholder",
    b"process.env",
    b"changeme",
    b"${",
    b"{{",
    b"os.environ",
    b"getenv",
    b"0000000000",
    b"insert",
    b"dummy",
];

/// By each byte the placeholders that have it first, and those that have it second, a bit each.
static FIRST: [u16; 256] = with_letter(0);
static SECOND: [u16; 256] = with_letter(1);

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn with_letter(place: usize) -> [u16; 256] {
    let mut words = [0; 256];
    let mut word = 0;
    while word < PLACEHOLDERS.len() {
        let letter = PLACEHOLDERS[word][place];
        words[letter.to_ascii_lowercase() as usize] |= 1 << word;
        words[letter.to_ascii_uppercase() as usize] |= 1 << word;
        word += 1;
    }
    words
}

/// A value that stands for a secret and is none.
pub(in super::super) fn is_placeholder(value: &[u8]) -> bool {
    let seconds = value.get(1..).unwrap_or_default();
    matches!(value.first(), Some(b'$' | b'<' | b'{' | b'['))
        || value.iter().zip(seconds).enumerate().any(|(at, pair)| {
            let words = words_with(pair);
            words != 0 && begins_at(value.get(at..).unwrap_or_default(), words)
        })
}

/// The placeholders that begin with these two bytes.
fn words_with((first, second): (&u8, &u8)) -> u16 {
    let with = |words: &[u16; 256], byte: &u8| words.get(usize::from(*byte)).copied();
    with(&FIRST, first).unwrap_or_default() & with(&SECOND, second).unwrap_or_default()
}

/// One of `words`, a bit each, stands at the beginning of `value`, whatever its capitals.
fn begins_at(value: &[u8], words: u16) -> bool {
    let mut words = PLACEHOLDERS
        .iter()
        .enumerate()
        .filter(|(word, _)| words >> word & 1 == 1);
    words.any(|(_, word)| {
        let head = value.get(..word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word))
    })
}
