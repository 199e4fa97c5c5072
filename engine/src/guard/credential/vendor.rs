//! Vendors whose keys have a prefix of their own.

use super::super::scanner::{Scanner, is_word};
use super::super::token::is_placeholder;
use Alphabet::{Alnum, Dotted, Hex, Url};

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
pub(super) struct Vendor {
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

/// Longer than any vendor's prefix.
const PREFIX_BYTES_MAX: usize = 16;

/// Keys whose prefix ends its first part with `-` or `_`; the longest prefix stands first.
pub(super) static JOINED: &[Vendor] = &[
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
pub(super) static CAPITAL: &[Vendor] = &[
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
pub(super) fn key(scan: &Scanner<'_>, vendors: &[Vendor], start: usize) -> Option<usize> {
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
pub(super) fn may_begin(scan: &Scanner<'_>, start: usize) -> bool {
    let Some(head) = scan.bytes.get(start..).and_then(<[u8]>::first_chunk) else {
        return true;
    };
    let (slot, bit) = beginning(*head);
    BEGINNINGS.get(slot).is_some_and(|bits| bits & bit != 0)
}

/// By the byte before the first sign of a prefix in [`JOINED`], the ones before that, a bit for each
/// of the lower five of theirs.
static JOINTS: [u32; 128] = joints();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn joints() -> [u32; 128] {
    let mut joints = [0; 128];
    let mut entry = 0;
    while entry < JOINED.len() {
        let prefix = JOINED[entry].prefix;
        let mut sign = 0;
        while prefix[sign].is_ascii_alphanumeric() {
            sign += 1;
        }
        joints[prefix[sign - 1] as usize] |= 1 << (prefix[sign - 2] & 0x1f);
        entry += 1;
    }
    joints
}

/// The `-` or `_` at `at` may be the first sign of a vendor's prefix.
pub(super) fn may_join(scan: &Scanner<'_>, at: usize) -> bool {
    let Some([.., second, last]) = scan.bytes.get(..at) else {
        return false;
    };
    let joints = JOINTS.get(usize::from(*last)).copied().unwrap_or_default();
    joints >> (second & 0x1f) & 1 == 1
}
