//! E-mail addresses, from their `@`.

use super::Kind;
use super::scanner::{Scanner, is_word};

/// Longest local part (RFC 5321 section 4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;
/// More than the longest label (RFC 1035 section 2.3.4).
const LABEL_BYTES_MAX: usize = 70;
/// Longest domain; RFC 1035 allows 253, which nobody has.
const DOMAIN_BYTES_MAX: usize = 180;

pub(super) fn at_sign(scan: &mut Scanner<'_>, at: usize) -> usize {
    let Some((start, end)) = address(scan, at) else {
        return at + 1;
    };
    scan.found(Kind::Email, start, end);
    end
}

fn address(scan: &Scanner<'_>, at: usize) -> Option<(usize, usize)> {
    let mut start = scan.start_of(at, LOCAL_BYTES_MAX, is_local);
    while matches!(
        scan.at(start),
        b'.' | b'\'' | b'-' | b'/' | b'=' | b'&' | b'*' | b'?' | b'!'
    ) {
        start += 1;
    }
    // `key=bob@example.com`: what stands before the sign is a key.
    if let Some(sign) = scan
        .slice(start, at)
        .iter()
        .rposition(|byte| matches!(byte, b'=' | b'/' | b'?'))
    {
        start += sign + 1;
    }
    let local = scan.slice(start, at);
    // `git@host:path` and `ssh://user@host` name machines.
    if local.is_empty() || local == b"git" || scan.slice(0, start).ends_with(b"://") {
        return None;
    }
    let limit = at + 1 + DOMAIN_BYTES_MAX;
    let mut end = at + 1;
    let mut last_label = end;
    loop {
        let label = scan.end_within(end, LABEL_BYTES_MAX, |byte| {
            byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
        });
        if label == end || label > limit || scan.at(end) == b'-' {
            break;
        }
        last_label = end;
        end = label;
        if scan.at(end) != b'.' || !scan.at(end + 1).is_ascii_alphanumeric() {
            break;
        }
        end += 1;
    }
    while end > last_label && matches!(scan.byte_before(end), b'.' | b'-' | b'_') {
        end -= 1;
    }
    let top = scan.slice(last_label, end);
    let host = scan.slice(at + 1, last_label.saturating_sub(1));
    let site = host.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    let whole = !is_word(scan.at(end)) && scan.at(end) != b'@';
    (whole && is_top(top) && is_site(site, top)).then_some((start, end))
}

/// A top-level domain by its letters; not the ending of a file.
fn is_top(top: &[u8]) -> bool {
    const FILES: &[&[u8]] = &[
        b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"avif", b"ico", b"css", b"scss", b"js",
        b"mjs", b"ts", b"tsx", b"jsx", b"json", b"html", b"htm", b"md", b"txt", b"yaml", b"yml",
        b"toml", b"xml", b"py", b"rs", b"service", b"socket", b"timer", b"mp4", b"mp3", b"pdf",
        b"woff", b"ttf",
    ];
    let ace = top
        .get(..4)
        .is_some_and(|head| head.eq_ignore_ascii_case(b"xn--"));
    let named = top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic);
    (named || ace) && !FILES.iter().any(|file| file.eq_ignore_ascii_case(top))
}

/// `q@k.transpose` and `h@w.to` multiply matrices.
fn is_site(site: &[u8], top: &[u8]) -> bool {
    let short = matches!(
        top,
        b"com" | b"org" | b"net" | b"de" | b"me" | b"co" | b"io" | b"COM"
    );
    site.len() > 1 || site.len() == 1 && short
}

/// `atext` of RFC 5322 without what never stands in a real address and often beside one.
fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'.' | b'_' | b'-' | b'+' | b'%' | b'\'' | b'=' | b'/' | b'&' | b'#' | b'~'
        )
}
