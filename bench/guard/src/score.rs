//! The scorer: exact and overlapping spans by type, false alarms on negative prompts, and what
//! redaction leaves and loses.
//!
//! A finding is exact when type and span are the label's or one of its alternatives; it overlaps
//! when intersection over union is at least one half. One finding satisfies one label. API keys,
//! secrets and credentials in addresses may stand for one another.

use std::collections::BTreeMap;
use std::fmt::Write;

use engine::guard::{Detectors, Kind};

use crate::cases::{Case, Entity};

/// The judged types, and what the detectors call them.
pub const TYPES: [(&str, Kind); 15] = [
    ("EMAIL", Kind::Email),
    ("PHONE", Kind::Phone),
    ("CREDIT_CARD", Kind::Card),
    ("IBAN", Kind::Iban),
    ("US_SSN", Kind::Ssn),
    ("IP_ADDRESS", Kind::Ip),
    ("VN_CMND", Kind::Cmnd),
    ("VN_CCCD", Kind::Cccd),
    ("API_KEY", Kind::ApiKey),
    ("SECRET", Kind::Secret),
    ("CRYPTO", Kind::Crypto),
    ("URL_CREDENTIALS", Kind::UrlCredentials),
    ("DATE_OF_BIRTH", Kind::DateOfBirth),
    ("PASSPORT", Kind::Passport),
    ("PERSON", Kind::Name),
];
/// How many of [`TYPES`] are the common six.
const COMMON: usize = 6;
const CREDENTIALS: [&str; 3] = ["API_KEY", "SECRET", "URL_CREDENTIALS"];

type Span = (usize, usize);

/// A finding of a judged type, in code points.
struct Found {
    span: Span,
    kind: &'static str,
}

/// Hits and misses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub hits: usize,
    pub false_alarms: usize,
    pub misses: usize,
}

impl Tally {
    /// Precision, recall and their harmonic mean; 0 where nothing is.
    pub fn rates(self) -> (f64, f64, f64) {
        let ratio = |part: usize, whole: usize| {
            if whole == 0 {
                0.0
            } else {
                part as f64 / whole as f64
            }
        };
        let precision = ratio(self.hits, self.hits + self.false_alarms);
        let recall = ratio(self.hits, self.hits + self.misses);
        let f1 = ratio(
            2 * self.hits,
            2 * self.hits + self.false_alarms + self.misses,
        );
        (precision, recall, f1)
    }

    fn add(&mut self, other: Self) {
        self.hits += other.hits;
        self.false_alarms += other.false_alarms;
        self.misses += other.misses;
    }
}

/// What a set of cases says of the detectors.
#[derive(Debug, Default)]
pub struct Score {
    pub prompts: usize,
    pub exact: BTreeMap<&'static str, Tally>,
    pub overlap: BTreeMap<&'static str, Tally>,
    pub negatives: usize,
    /// Findings in negative prompts that no label excuses.
    pub false_on_negatives: usize,
    pub negatives_touched: usize,
    /// The same of types that are not judged.
    pub other_on_negatives: BTreeMap<String, usize>,
    pub labels: usize,
    /// Labels whose value survives redaction, wholly or for the most part.
    pub leaked: usize,
    pub positives: usize,
    pub without_leak: usize,
    /// Characters that nobody labelled, and how many of them redaction loses.
    pub other_chars: usize,
    pub other_lost: usize,
    /// What went wrong, for a reader: type, case, text.
    pub errors: Vec<String>,
}

/// Scans and judges every case.
pub fn score(detectors: &Detectors, cases: &[Case]) -> Score {
    let mut score = Score::default();
    for case in cases {
        score.case(detectors, case);
    }
    score
}

fn overlap(a: Span, b: Span) -> usize {
    a.1.min(b.1).saturating_sub(a.0.max(b.0))
}

fn union_share(a: Span, b: Span) -> f64 {
    let shared = overlap(a, b);
    if shared == 0 {
        return 0.0;
    }
    shared as f64 / (a.1.max(b.1) - a.0.min(b.0)) as f64
}

fn spans(entity: &Entity) -> impl Iterator<Item = Span> + '_ {
    std::iter::once((entity.start, entity.end)).chain(entity.alt.iter().copied())
}

/// A finding of type `found` may be the label's.
fn stands_for(found: &str, label: &str) -> bool {
    found == label || CREDENTIALS.contains(&found) && CREDENTIALS.contains(&label)
}

fn is_ignored(found: &Found, case: &Case) -> bool {
    let half = |shared: usize| 2 * shared >= found.span.1 - found.span.0;
    case.ignore.iter().any(|ignored| {
        let span = (ignored.start, ignored.end);
        let inside = half(overlap(found.span, span));
        match ignored.kind.strip_prefix("INSIDE_") {
            Some(kind) => inside && !stands_for(found.kind, kind),
            None => inside || union_share(found.span, span) >= 0.5,
        }
    })
}

/// Pairs labels with findings one to one, best first.
fn pair(case: &Case, found: &[Found], exact: bool) -> (Vec<bool>, Vec<bool>) {
    let mut pairs = Vec::new();
    for (label, entity) in case.entities.iter().enumerate() {
        for (index, found) in found.iter().enumerate() {
            if !stands_for(found.kind, &entity.kind) {
                continue;
            }
            let best = spans(entity)
                .map(|span| {
                    if exact {
                        f64::from(u8::from(span == found.span))
                    } else {
                        union_share(span, found.span)
                    }
                })
                .fold(0.0, f64::max);
            if best >= 0.5 {
                pairs.push((best, label, index));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut labels = vec![false; case.entities.len()];
    let mut used = vec![false; found.len()];
    for (_, label, index) in pairs {
        if !labels[label] && !used[index] {
            labels[label] = true;
            used[index] = true;
        }
    }
    (labels, used)
}

fn named(kind: &str) -> &'static str {
    TYPES
        .iter()
        .map(|(name, _)| *name)
        .find(|name| *name == kind)
        .unwrap_or("?")
}

impl Score {
    fn case(&mut self, detectors: &Detectors, case: &Case) {
        self.prompts += 1;
        let mut findings = Vec::new();
        detectors.scan(&case.text, &mut findings);
        let mut borders: Vec<usize> = case.text.char_indices().map(|(at, _)| at).collect();
        borders.push(case.text.len());
        let point = |byte: usize| borders.partition_point(|border| *border < byte);
        let mut found = Vec::new();
        let mut covered = vec![false; borders.len()];
        for finding in &findings {
            let span = (point(finding.start), point(finding.end));
            covered[span.0..span.1].fill(true);
            match TYPES.iter().find(|(_, kind)| *kind == finding.kind) {
                Some((kind, _)) => found.push(Found { span, kind }),
                None if case.neg => {
                    let name = detectors.name(finding.kind).to_owned();
                    let text = &case.text[finding.start..finding.end];
                    self.errors.push(format!("+{name} {} {text:?}", case.id));
                    *self.other_on_negatives.entry(name).or_default() += 1;
                }
                None => {
                    let name = detectors.name(finding.kind);
                    let text = &case.text[finding.start..finding.end];
                    self.errors.push(format!(" {name} {} {text:?}", case.id));
                }
            }
        }
        for exact in [true, false] {
            self.tally(case, &found, exact);
        }
        let chars: Vec<char> = case.text.chars().collect();
        self.redaction(case, &chars, &covered);
    }

    fn tally(&mut self, case: &Case, found: &[Found], exact: bool) {
        let (labels, used) = pair(case, found, exact);
        let tallies = if exact {
            &mut self.exact
        } else {
            &mut self.overlap
        };
        for (entity, hit) in case.entities.iter().zip(&labels) {
            let tally = tallies.entry(named(&entity.kind)).or_default();
            if *hit {
                tally.hits += 1;
            } else {
                tally.misses += 1;
                if exact {
                    self.errors.push(format!(
                        "-{} {} {} {:?}",
                        entity.kind, entity.sub, case.id, entity.value
                    ));
                }
            }
        }
        let mut alarms = 0;
        for (found, used) in found.iter().zip(&used) {
            let fragment = !exact
                && case.entities.iter().any(|entity| {
                    stands_for(found.kind, &entity.kind)
                        && 2 * overlap(found.span, (entity.start, entity.end))
                            >= found.span.1 - found.span.0
                });
            if *used || fragment || is_ignored(found, case) {
                continue;
            }
            alarms += 1;
            tallies.entry(found.kind).or_default().false_alarms += 1;
            if exact {
                let text: String = case
                    .text
                    .chars()
                    .skip(found.span.0)
                    .take(found.span.1 - found.span.0)
                    .collect();
                self.errors
                    .push(format!("+{} {} {text:?}", found.kind, case.id));
            }
        }
        if case.neg && !exact {
            self.negatives += 1;
            self.false_on_negatives += alarms;
        }
    }

    fn redaction(&mut self, case: &Case, text: &[char], covered: &[bool]) {
        let mut free = vec![true; text.len()];
        let labelled = case.entities.iter().flat_map(spans);
        let ignored = case
            .ignore
            .iter()
            .map(|ignored| (ignored.start, ignored.end));
        for (start, end) in labelled.chain(ignored) {
            free[start..end].fill(false);
        }
        let mut lost = 0;
        for (index, letter) in text.iter().enumerate() {
            if free[index] && !letter.is_whitespace() {
                self.other_chars += 1;
                lost += usize::from(covered[index]);
            }
        }
        self.other_lost += lost;
        self.negatives_touched += usize::from(case.neg && lost > 0);
        if case.neg || case.entities.is_empty() {
            return;
        }
        self.positives += 1;
        let mut leaks = 0;
        for entity in &case.entities {
            let core = entity.core.as_deref().unwrap_or(&entity.value);
            let skipped = entity.value.find(core).unwrap_or(0);
            let skipped = entity
                .value
                .get(..skipped)
                .map_or(0, |head| head.chars().count());
            // A mail domain that stays names nobody.
            let secret = match entity.kind.as_str() {
                "EMAIL" => core.rsplit_once('@').map_or(core, |(local, _)| local),
                _ => core,
            };
            let start = entity.start + skipped;
            let end = start + secret.chars().count();
            leaks += usize::from(is_leaked(text, covered, (start, end)));
        }
        self.labels += case.entities.len();
        self.leaked += leaks;
        self.without_leak += usize::from(leaks == 0);
    }

    /// The sum over the judged types, and the mean of their F1.
    pub fn total(tallies: &BTreeMap<&'static str, Tally>, types: usize) -> (Tally, f64) {
        let mut sum = Tally::default();
        let (mut f1, mut present) = (0.0, 0);
        for (name, _) in TYPES.iter().take(types) {
            let Some(tally) = tallies.get(name) else {
                continue;
            };
            sum.add(*tally);
            if tally.hits + tally.misses > 0 {
                f1 += tally.rates().2;
                present += 1;
            }
        }
        (sum, f1 / f64::from(present.max(1)))
    }

    /// The common six alone.
    pub fn common(&self) -> Tally {
        Self::total(&self.exact, COMMON).0
    }

    /// Everything, for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let out = &mut text;
        let _ = writeln!(
            out,
            "{:16} {:>6} | {:>7} {:>7} {:>7} | {:>7} {:>7} {:>7}",
            "type", "labels", "exact P", "R", "F1", "overl P", "R", "F1"
        );
        let row = |name: &str, exact: Tally, overlap: Tally| {
            let (p, r, f) = exact.rates();
            let (op, or, of) = overlap.rates();
            format!(
                "{name:16} {:6} | {p:7.3} {r:7.3} {f:7.3} | {op:7.3} {or:7.3} {of:7.3}\n",
                exact.hits + exact.misses
            )
        };
        for (name, _) in TYPES {
            let of = |tallies: &BTreeMap<&'static str, Tally>| {
                tallies.get(name).copied().unwrap_or_default()
            };
            out.push_str(&row(name, of(&self.exact), of(&self.overlap)));
        }
        let (exact, macro_f1) = Self::total(&self.exact, TYPES.len());
        let (overlap, overlap_macro) = Self::total(&self.overlap, TYPES.len());
        out.push_str(&row("all (micro)", exact, overlap));
        let _ = writeln!(
            out,
            "all (macro F1)          |                 {macro_f1:7.3} |                 {overlap_macro:7.3}"
        );
        let (common, _) = Self::total(&self.overlap, COMMON);
        out.push_str(&row("common six", self.common(), common));
        let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        let _ = writeln!(
            out,
            "negative prompts: {:.1} false alarms per 1,000, {:.2} % touched, of {}; of other types: {:?}",
            10.0 * share(self.false_on_negatives, self.negatives),
            share(self.negatives_touched, self.negatives),
            self.negatives,
            self.other_on_negatives,
        );
        let _ = writeln!(
            out,
            "redaction: {:.2} % of values leak, {:.1} % of prompts without a leak, {:.3} % of other text lost",
            share(self.leaked, self.labels),
            share(self.without_leak, self.positives),
            share(self.other_lost, self.other_chars),
        );
        text
    }
}

/// More than half of its letters and digits, and more than four, survive side by side.
fn is_leaked(text: &[char], covered: &[bool], (start, end): Span) -> bool {
    let (mut run, mut longest, mut letters) = (0_usize, 0, 0_usize);
    for index in start..end.min(text.len()) {
        if !text[index].is_alphanumeric() {
            continue;
        }
        letters += 1;
        run = if covered[index] { 0 } else { run + 1 };
        longest = longest.max(run);
    }
    longest > 4.max(letters / 2) || longest == letters && letters > 0
}
