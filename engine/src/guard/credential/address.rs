//! Credentials inside of addresses of the web.

use super::super::Kind;
use super::super::scanner::{Scanner, is_word};
use super::super::token::is_placeholder;

/// `scheme://user:password@host` at the colon, or a token in the query of the address.
pub(in super::super) fn colon(scan: &mut Scanner<'_>, at: usize) -> Option<usize> {
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
pub(in super::super) fn query(scan: &mut Scanner<'_>, at: usize) -> Option<usize> {
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
