//! Keys with a vendor's prefix, signed tokens, private keys, and credentials in addresses.

use super::Kind;
use super::scanner::{Scanner, is_word};
use super::token::is_placeholder;

/// Characters of the part after the prefix.
#[derive(Clone, Copy)]
enum Alphabet {
    Alnum,
    Hex,
    /// Letters, digits, `_`, `-`.
    Url,
    /// The same and `.`.
    Dotted,
}

/// A vendor's key: its prefix and how many characters follow.
struct Vendor {
    prefix: &'static [u8],
    alphabet: Alphabet,
    least: usize,
    most: usize,
}

const fn vendor(prefix: &'static str, alphabet: Alphabet, least: usize, most: usize) -> Vendor {
    Vendor {
        prefix: prefix.as_bytes(),
        alphabet,
        least,
        most,
    }
}

use Alphabet::{Alnum, Dotted, Hex, Url};

/// Longer than any vendor's prefix.
const PREFIX_BYTES_MAX: usize = 16;

/// Keys whose prefix ends its first part with `-` or `_`; the longest prefix stands first.
static JOINED: &[Vendor] = &[
    vendor("sk-ant-", Url, 20, 200),
    vendor("sk-proj-", Url, 20, 220),
    vendor("sk-svcacct-", Url, 20, 220),
    vendor("sk-admin-", Url, 20, 220),
    vendor("sk-or-v1-", Hex, 64, 64),
    vendor("sk-or-", Url, 20, 100),
    vendor("sk-lf-", Url, 20, 100),
    vendor("sk-", Url, 20, 220),
    vendor("vk-", Url, 8, 200),
    vendor("pplx-", Alnum, 32, 64),
    vendor("ghp_", Alnum, 36, 36),
    vendor("gho_", Alnum, 36, 36),
    vendor("ghu_", Alnum, 36, 36),
    vendor("ghs_", Alnum, 36, 36),
    vendor("ghr_", Alnum, 36, 76),
    vendor("github_pat_", Url, 22, 93),
    vendor("glpat-", Dotted, 20, 60),
    vendor("gldt-", Url, 20, 60),
    vendor("glrt-", Url, 20, 60),
    vendor("glcbt-", Url, 20, 60),
    vendor("glptt-", Url, 20, 60),
    vendor("xoxb-", Url, 20, 200),
    vendor("xoxp-", Url, 20, 200),
    vendor("xoxa-", Url, 20, 200),
    vendor("xoxr-", Url, 20, 200),
    vendor("xoxs-", Url, 20, 200),
    vendor("xoxe-", Url, 20, 300),
    vendor("xapp-", Url, 20, 200),
    vendor("sk_live_", Alnum, 16, 247),
    vendor("sk_test_", Alnum, 16, 247),
    vendor("rk_live_", Alnum, 16, 247),
    vendor("rk_test_", Alnum, 16, 247),
    vendor("whsec_", Alnum, 24, 64),
    vendor("npm_", Alnum, 36, 36),
    vendor("hf_", Alnum, 30, 40),
    vendor("gsk_", Alnum, 40, 64),
    vendor("dop_v1_", Hex, 64, 64),
    vendor("doo_v1_", Hex, 64, 64),
    vendor("shpat_", Hex, 32, 32),
    vendor("shpss_", Hex, 32, 32),
    vendor("shpca_", Hex, 32, 32),
    vendor("shppa_", Hex, 32, 32),
    vendor("pypi-", Url, 60, 300),
    vendor("rubygems_", Hex, 48, 48),
    vendor("r8_", Alnum, 37, 40),
    vendor("lin_api_", Alnum, 40, 48),
    vendor("secret_", Alnum, 43, 43),
    vendor("ntn_", Alnum, 43, 50),
    vendor("key-", Hex, 32, 32),
    vendor("dckr_pat_", Url, 27, 27),
    vendor("hvs.", Url, 24, 120),
    vendor("tvly-", Url, 30, 40),
    vendor("xai-", Alnum, 60, 100),
    vendor("nvapi-", Url, 60, 70),
    vendor("figd_", Url, 40, 60),
    vendor("sq0atp-", Url, 22, 22),
    vendor("sq0csp-", Url, 43, 43),
    vendor("pat-na1-", Url, 36, 36),
    vendor("pscale_tkn_", Dotted, 32, 64),
    vendor("dapi-", Hex, 32, 34),
];

/// Keys that begin with a capital.
static CAPITAL: &[Vendor] = &[
    vendor("AKIA", Alnum, 16, 16),
    vendor("ASIA", Alnum, 16, 16),
    vendor("AIza", Url, 35, 35),
    vendor("SG.", Dotted, 66, 66),
    vendor("SK", Hex, 32, 32),
    vendor("EAACEdEose0cBA", Alnum, 20, 300),
    vendor("ATATT3", Url, 150, 250),
];

fn fits(alphabet: Alphabet, byte: u8) -> bool {
    match alphabet {
        Alnum => byte.is_ascii_alphanumeric(),
        Hex => byte.is_ascii_hexdigit(),
        Url => is_word(byte) || byte == b'-',
        Dotted => is_word(byte) || matches!(byte, b'-' | b'.'),
    }
}

/// End of the vendor's key that begins at `start`.
fn key(scan: &Scanner<'_>, vendors: &[Vendor], start: usize) -> Option<usize> {
    let rest = scan.bytes.get(start..)?;
    if rest.len() < PREFIX_BYTES_MAX && vendors.iter().any(|vendor| vendor.prefix.starts_with(rest))
    {
        scan.touch();
    }
    let vendor = vendors
        .iter()
        .find(|vendor| vendor.prefix.first() == rest.first() && rest.starts_with(vendor.prefix))?;
    let body = start + vendor.prefix.len();
    let mut end = scan.end_within(body, vendor.most + 1, |byte| fits(vendor.alphabet, byte));
    while matches!(scan.byte_before(end), b'.' | b'-') && end > body {
        end -= 1;
    }
    let value = scan.slice(body, end);
    let whole = (vendor.least..=vendor.most).contains(&value.len()) && !is_word(scan.at(end));
    // A name such as `sk-learn-contrib-module` has no digit and only lower case.
    let mixed = value
        .iter()
        .any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    (whole && mixed && !is_placeholder(value)).then_some(end)
}

/// `-` or `_` that may end a vendor's prefix, or begin a private key.
pub(super) fn joint(scan: &mut Scanner<'_>, at: usize) -> usize {
    if scan.at(at) == b'-' && scan.at(at + 1) == b'-' {
        return dashes(scan, at);
    }
    let start = scan.start_of(at, 9, |byte| byte.is_ascii_alphanumeric());
    if at - start < 2
        || matches!(scan.byte_before(start), b'_' | b'-')
        || is_word(scan.byte_before(start))
    {
        return at + 1;
    }
    joined(scan, start).unwrap_or(at + 1)
}

/// A set of the first three bytes of all prefixes in [`JOINED`]; it may hold some too many.
static BEGINNINGS: [u64; 32] = beginnings();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn beginnings() -> [u64; 32] {
    let mut set = [0; 32];
    let mut entry = 0;
    while entry < JOINED.len() {
        let prefix = JOINED[entry].prefix;
        let (slot, bit) = beginning([prefix[0], prefix[1], prefix[2]]);
        set[slot] |= bit;
        entry += 1;
    }
    set
}

/// Where three bytes stand in [`BEGINNINGS`].
const fn beginning([first, second, third]: [u8; 3]) -> (usize, u64) {
    let mixed = (first as usize * 31 + second as usize) * 31 + third as usize;
    (mixed / 64 % 32, 1 << (mixed % 64))
}

/// A vendor's prefix may begin at `start`.
fn may_begin(scan: &Scanner<'_>, start: usize) -> bool {
    let Some(head) = scan.bytes.get(start..).and_then(<[u8]>::first_chunk) else {
        return true;
    };
    let (slot, bit) = beginning(*head);
    BEGINNINGS.get(slot).is_some_and(|bits| bits & bit != 0)
}

/// A key that begins at `start` and whose prefix has a `-` or `_`.
pub(super) fn joined(scan: &mut Scanner<'_>, start: usize) -> Option<usize> {
    if !may_begin(scan, start) {
        return None;
    }
    let before = scan.byte_before(start);
    if is_word(before) || before == b'-' {
        return None;
    }
    let end = key(scan, JOINED, start)?;
    scan.found(Kind::ApiKey, start, end);
    Some(end)
}

/// A private key in PEM, from its first dash to the end of its last line.
fn dashes(scan: &mut Scanner<'_>, at: usize) -> usize {
    const BEGIN: &[u8] = b"-----BEGIN ";
    const LABEL_BYTES_MAX: usize = 48;
    let after = scan.end_within(at, 64, |byte| byte == b'-');
    if after - at != 5 || !scan.slice(at, at + BEGIN.len()).eq(BEGIN) {
        return after;
    }
    let head = scan.slice(at + BEGIN.len(), at + BEGIN.len() + LABEL_BYTES_MAX);
    let Some(label) = head.windows(5).position(|window| window == b"-----") else {
        return after;
    };
    let private = head.get(..label).is_some_and(|label| {
        label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK")
    });
    if !private {
        return after;
    }
    let body = at + BEGIN.len() + label + 5;
    let end = pem_end(scan, body);
    scan.found(Kind::Secret, at, end);
    end
}

/// Longest private key that is taken as one.
const PEM_BYTES_MAX: usize = 65_536;

/// After the END line; of a block that was cut, after the last line that can belong to it.
fn pem_end(scan: &Scanner<'_>, body: usize) -> usize {
    const END: &[u8] = b"-----END ";
    let mut at = body;
    let mut end = body;
    loop {
        let word = scan.end_within(at, PEM_BYTES_MAX, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
        });
        if at - body > PEM_BYTES_MAX {
            return end;
        }
        if word > at && (word - at >= 8 || scan.at(word - 1) == b'=') {
            end = word;
        } else if word > at && !matches!(scan.at(at), b'n' | b'r') {
            if !is_last_line(scan, at, word) {
                return end;
            }
            end = word;
        }
        at = word;
        scan.touch_within(at, END.len() + 53);
        let rest = scan.bytes.get(at..).unwrap_or_default();
        if rest.starts_with(END) {
            let label = rest.get(END.len()..).unwrap_or_default();
            let close = label
                .windows(5)
                .take(48)
                .position(|window| window == b"-----");
            return close.map_or(at + END.len(), |close| at + END.len() + close + 5);
        }
        match scan.at(at) {
            // `Proc-Type:` and `DEK-Info:` headers of an encrypted key.
            b'\n' | b'\r' | b' ' | b'\t' | b'"' | b'+' | b',' => at += 1,
            b'\\' => at += 2,
            _ => return end,
        }
    }
}

/// The short word from `at` to `end` can end a block: it is no word of a sentence, or the END line
/// follows.
fn is_last_line(scan: &Scanner<'_>, at: usize, end: usize) -> bool {
    let word = scan.slice(at, end);
    let odd = word.iter().skip(1).any(|byte| !byte.is_ascii_lowercase());
    let after = scan.end_within(end, 4, |byte| matches!(byte, b'\n' | b'\r' | b'\\' | b'n'));
    odd || scan.slice(after, after + 5) == b"-----"
}

/// A key that begins with the capital at `at`, or whose `eyJ` has its capital there.
pub(super) fn capital(scan: &mut Scanner<'_>, at: usize) -> Option<usize> {
    let start = match scan.at(at) {
        b'J' if scan.slice(at.saturating_sub(2), at) == b"ey" => at - 2,
        first @ (b'A' | b'S' | b'E') => {
            // The second letters of the prefixes in `CAPITAL`.
            let second = scan.at(at + 1);
            let known = match first {
                b'A' => matches!(second, b'K' | b'S' | b'I' | b'T'),
                b'S' => matches!(second, b'G' | b'K'),
                _ => second == b'A',
            };
            if !known {
                return None;
            }
            at
        }
        _ => return None,
    };
    if is_word(scan.byte_before(start)) || scan.byte_before(start) == b'-' {
        return None;
    }
    let end = if start < at {
        jwt(scan, start)
    } else {
        key(scan, CAPITAL, start)
    }?;
    scan.found(Kind::ApiKey, start, end);
    Some(end)
}

/// Longest header of a signed token.
const HEADER_BYTES_MAX: usize = 180;
/// Longest of its other parts.
const PAYLOAD_BYTES_MAX: usize = 16_384;

/// A signed token: the header decodes to a JSON object, then two more parts (RFC 7519).
fn jwt(scan: &Scanner<'_>, start: usize) -> Option<usize> {
    let part =
        |at: usize, most: usize| scan.end_within(at, most, |byte| is_word(byte) || byte == b'-');
    let first = part(start, HEADER_BYTES_MAX);
    if scan.at(first) != b'.' || first - start < 12 || !header_decodes(scan.slice(start, first)) {
        return None;
    }
    let second = part(first + 1, PAYLOAD_BYTES_MAX);
    if second - first < 5 {
        return None;
    }
    let mut end = second;
    if scan.at(second) == b'.' {
        end = part(second + 1, PAYLOAD_BYTES_MAX);
        if end == second + 1 {
            end = second;
        }
    }
    Some(end)
}

/// The base64url text begins an object with a quoted name of letters: `{"alg"`, `{"typ"`, `{"kid"`.
fn header_decodes(text: &[u8]) -> bool {
    let mut decoded = [0u8; 9];
    let mut len = 0;
    for four in text.chunks(4).take(3) {
        let mut bits = 0u32;
        for byte in four {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'-' => 62,
                b'_' => 63,
                _ => return false,
            };
            bits = bits << 6 | u32::from(value);
        }
        let [_, triple @ ..] = bits.to_be_bytes();
        for (slot, byte) in decoded.iter_mut().skip(len).zip(triple) {
            *slot = byte;
        }
        len += 3;
    }
    let inner = decoded.trim_ascii_start();
    matches!(inner, [b'{', rest @ ..] if matches!(rest.trim_ascii_start(), [b'"', letter, ..] if letter.is_ascii_alphabetic()))
}

/// `scheme://user:password@host` at the colon, or a token in the query of the address.
pub(super) fn colon(scan: &mut Scanner<'_>, at: usize) -> Option<usize> {
    if scan.at(at + 1) != b'/' || scan.at(at + 2) != b'/' {
        return None;
    }
    let scheme = scan.start_of(at, 24, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
    });
    if scheme == at {
        return None;
    }
    let authority = at + 3;
    if scan
        .slice(authority, authority + 24)
        .starts_with(b"hooks.slack.com/services")
    {
        let end = scan.end_within(authority, USERINFO_BYTES_MAX, |byte| {
            is_word(byte) || matches!(byte, b'.' | b'/' | b'-')
        });
        scan.found(Kind::ApiKey, scheme, end);
        return Some(end);
    }
    let host = scan.end_within(authority, USERINFO_BYTES_MAX, |byte| {
        byte.is_ascii_graphic() && !matches!(byte, b'/' | b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\')
    });
    let part = scan.slice(authority, host);
    let sign = part.iter().rposition(|byte| *byte == b'@')?;
    let user = part.get(..sign)?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    let password = user.get(colon + 1..)?;
    let open = matches!(password.first(), None | Some(b'$' | b'<' | b'{' | b'%'));
    let stand_in = STAND_INS
        .iter()
        .any(|word| word.eq_ignore_ascii_case(password));
    if open || stand_in || is_placeholder(password) {
        return None;
    }
    scan.found(Kind::UrlCredentials, authority, authority + sign);
    Some(authority + sign + 1)
}

/// Longest user and password in an address.
const USERINFO_BYTES_MAX: usize = 180;

/// What manuals write in place of a password.
const STAND_INS: &[&[u8]] = &[
    b"password",
    b"passwd",
    b"pass",
    b"pwd",
    b"pw",
    b"secret",
    b"token",
    b"xxx",
    b"mypassword",
    b"passwort",
    b"senha",
    b"contrasena",
    b"matkhau",
];

/// Bytes before a parameter in which its address begins.
const QUERY_BYTES_MAX: usize = 512;
/// Longest value of a parameter; a signed token can be one.
const VALUE_BYTES_MAX: usize = 4096;

/// The value after the `=` at `at`, when it is a parameter of an address whose name says key.
pub(super) fn query(scan: &mut Scanner<'_>, at: usize) -> Option<usize> {
    const NAMES: &[&[u8]] = &[
        b"auth",
        b"token",
        b"access_token",
        b"api_key",
        b"apikey",
        b"api-key",
        b"key",
        b"sig",
        b"signature",
        b"secret",
        b"client_secret",
        b"password",
        b"passwd",
        b"pwd",
        b"pass",
        b"auth_token",
        b"refresh_token",
        b"private_token",
        b"x-amz-signature",
        b"x-amz-security-token",
        b"sas",
        b"code",
        b"jwt",
        b"session_token",
        b"id_token",
        b"subscription-key",
        b"app_key",
        b"appkey",
        b"access_key",
        b"accesskey",
        b"hmac",
        b"authorization",
    ];
    let start = scan.start_of(at, 24, |byte| is_word(byte) || byte == b'-');
    if !matches!(scan.byte_before(start), b'?' | b'&') {
        return None;
    }
    let name = scan.slice(start, at);
    NAMES
        .iter()
        .find(|known| known.eq_ignore_ascii_case(name))?;
    let address = scan.start_of(start, QUERY_BYTES_MAX, |byte| {
        byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`')
    });
    let head = scan.slice(address, start);
    head.windows(3).position(|window| window == b"://")?;
    let mut end = scan.end_within(at + 1, VALUE_BYTES_MAX, |byte| {
        byte.is_ascii_graphic()
            && !matches!(
                byte,
                b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\' | b')' | b'|' | b'&' | b',' | b';' | b'#'
            )
    });
    if scan.byte_before(end) == b'.' {
        end -= 1;
    }
    let value = scan.slice(at + 1, end);
    let opaque = value.len() >= 12 && value.iter().any(u8::is_ascii_digit);
    if !opaque || is_placeholder(value) {
        return None;
    }
    scan.found(Kind::UrlCredentials, at + 1, end);
    Some(end)
}
