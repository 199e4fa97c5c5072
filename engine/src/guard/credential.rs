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

/// A key that begins at `start` and whose prefix has a `-` or `_`.
pub(super) fn joined(scan: &mut Scanner<'_>, start: usize) -> Option<usize> {
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
    let after = scan.end_of(at, |byte| byte == b'-');
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

/// After the END line; of a block that was cut, after the last line that can belong to it.
fn pem_end(scan: &Scanner<'_>, body: usize) -> usize {
    const END: &[u8] = b"-----END ";
    let mut at = body;
    let mut end = body;
    loop {
        let word = scan.end_of(at, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
        });
        if word > at && (word - at >= 8 || scan.at(word - 1) == b'=') {
            end = word;
        } else if word > at && !matches!(scan.at(at), b'n' | b'r') {
            return end;
        }
        at = word;
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

/// A key that begins with the capital at `at`, or whose `eyJ` has its capital there.
pub(super) fn capital(scan: &mut Scanner<'_>, at: usize) -> Option<usize> {
    let start = match scan.at(at) {
        b'J' if scan.slice(at.saturating_sub(2), at) == b"ey" => at - 2,
        b'A' | b'S' | b'E' => at,
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

/// A signed token: the header decodes to a JSON object, then two more parts (RFC 7519).
fn jwt(scan: &Scanner<'_>, start: usize) -> Option<usize> {
    let part = |at: usize| scan.end_of(at, |byte| is_word(byte) || byte == b'-');
    let first = part(start);
    if scan.at(first) != b'.' || first - start < 12 {
        return None;
    }
    let second = part(first + 1);
    if second - first < 5 {
        return None;
    }
    let mut end = second;
    if scan.at(second) == b'.' {
        end = part(second + 1);
        if end == second + 1 {
            end = second;
        }
    }
    header_decodes(scan.slice(start, first)).then_some(end)
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
        let end = scan.end_of(authority, |byte| {
            is_word(byte) || matches!(byte, b'.' | b'/' | b'-')
        });
        scan.found(Kind::ApiKey, scheme, end);
        return Some(end);
    }
    let host = scan.end_of(authority, |byte| {
        byte.is_ascii_graphic() && !matches!(byte, b'/' | b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\')
    });
    let part = scan.slice(authority, host.min(authority + 1024));
    let mut after = authority;
    if let Some(sign) = part.iter().rposition(|byte| *byte == b'@') {
        let user = part.get(..sign)?;
        let colon = user.iter().position(|byte| *byte == b':');
        if let Some(colon) = colon
            && let Some(password) = user.get(colon + 1..)
            && !password.is_empty()
            && !is_placeholder(password)
            && !matches!(password.first(), Some(b'$' | b'<' | b'{' | b'%'))
            && !STAND_INS
                .iter()
                .any(|word| word.eq_ignore_ascii_case(password))
        {
            scan.found(Kind::UrlCredentials, authority, authority + sign);
            after = authority + sign + 1;
        }
    }
    query(scan, after).or((after > authority).then_some(after))
}

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

/// Bytes of an address read for its query.
const QUERY_BYTES_MAX: usize = 4096;

/// The first query parameter whose name says key or token.
fn query(scan: &mut Scanner<'_>, from: usize) -> Option<usize> {
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
    ];
    if from < scan.query_end {
        return None;
    }
    let end = scan.end_within(from, QUERY_BYTES_MAX, |byte| {
        byte.is_ascii_graphic()
            && !matches!(
                byte,
                b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\' | b')' | b'|'
            )
    });
    scan.query_end = end;
    let url = scan.slice(from, end);
    let mut at = from + url.iter().position(|byte| *byte == b'?')? + 1;
    while at < end {
        let stop = scan.end_of(at, |byte| byte != b'&').min(end);
        let pair = scan.slice(at, stop);
        if let Some(sign) = pair.iter().position(|byte| *byte == b'=') {
            let (name, value) = (pair.get(..sign)?, pair.get(sign + 1..)?);
            let len = value
                .iter()
                .position(|byte| matches!(byte, b',' | b';' | b'#'))
                .unwrap_or(value.len());
            let value = value.get(..len)?;
            let value = value.strip_suffix(b".").unwrap_or(value);
            let named = NAMES.iter().any(|known| known.eq_ignore_ascii_case(name));
            if named
                && value.len() >= 12
                && value.iter().any(u8::is_ascii_digit)
                && !is_placeholder(value)
            {
                let start = at + sign + 1;
                scan.found(Kind::UrlCredentials, start, start + value.len());
                return Some(start + value.len());
            }
        }
        at = stop + 1;
    }
    None
}
