//! The detectors of a configuration: the built-in table and what operators add to it.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::custom::{Custom, Pattern, Progress, Words};
use super::{Finding, Kind, scanner::Scanner};

/// Configured detectors.
const CUSTOM_MAX: usize = 64;
/// Patterns of all of them and of the allow list.
const PATTERNS_MAX: usize = 128;
/// Values of the allow list.
const VALUES_MAX: usize = 10_000;
/// Longest name of a detector.
const NAME_BYTES_MAX: usize = 40;

/// What a configuration adds to the built-in detectors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardConfig {
    pub custom: Vec<CustomDetector>,
    pub allow: AllowList,
    /// Names of built-in detectors that are off unless they stand here.
    pub also: Vec<String>,
}

/// A detector of the operator's own: it reports what any of its patterns or words matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CustomDetector {
    /// Name in counts, headers and metrics: capitals, digits and `_`, and none of a built-in one.
    pub name: String,
    /// Regular expressions in the syntax of Rust's `regex`, without look-around and back-references;
    /// `\d`, `\w`, `\s` and `\b` are ASCII's. A match has at most 256 bytes.
    pub patterns: Vec<String>,
    /// Words and phrases, found where no letter or digit touches them.
    pub words: Vec<String>,
    /// Capitals and small letters are the same.
    pub ignore_case: bool,
    /// `Đặng` and `Dang` are the same; words only.
    pub ignore_accents: bool,
}

/// What is never reported, whichever detector finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AllowList {
    /// Whole findings, letter by letter; ASCII capitals and small letters are the same.
    pub values: Vec<String>,
    /// Regular expressions that a finding matches as a whole.
    pub patterns: Vec<String>,
}

/// What of a [`GuardConfig`] cannot be compiled, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectorError {
    /// The member, such as `custom[0].patterns[1]`.
    pub member: String,
    pub message: String,
}

impl DetectorError {
    fn new(member: String, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { member, message }
    }
}

/// Built-in and configured detectors, ready to scan. A copy shares what was compiled.
#[derive(Clone, Default)]
pub struct Detectors {
    compiled: Option<Rc<Compiled>>,
    /// Kinds to look for that are off by default.
    also: Vec<Kind>,
}

#[derive(Default)]
struct Compiled {
    custom: Vec<Custom>,
    allowed: hashbrown::HashSet<String>,
    allowed_patterns: Vec<Pattern>,
}

impl std::fmt::Debug for Detectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.custom().iter().map(|custom| custom.name.as_str());
        f.debug_list().entries(names).finish()
    }
}

impl Detectors {
    /// Compiles what a configuration adds.
    ///
    /// # Errors
    /// The first member that is empty, ill-formed or too large.
    pub fn compile(config: &GuardConfig) -> Result<Self, DetectorError> {
        if *config == GuardConfig::default() {
            return Ok(Self::default());
        }
        let too_many = |member: &str, most: usize| {
            Err(DetectorError::new(
                member.to_owned(),
                format!("more than {most}"),
            ))
        };
        let patterns = config.custom.iter().map(|custom| custom.patterns.len());
        if config.custom.len() > CUSTOM_MAX {
            return too_many("custom", CUSTOM_MAX);
        }
        if patterns.sum::<usize>() + config.allow.patterns.len() > PATTERNS_MAX {
            return too_many("patterns", PATTERNS_MAX);
        }
        if config.allow.values.len() > VALUES_MAX {
            return too_many("allow.values", VALUES_MAX);
        }
        let mut compiled = Compiled::default();
        for (index, custom) in config.custom.iter().enumerate() {
            let detector = custom_detector(index, custom)?;
            if compiled
                .custom
                .iter()
                .any(|known| known.name == detector.name)
            {
                let message = "another detector has this name";
                return Err(DetectorError::new(format!("custom[{index}].name"), message));
            }
            compiled.custom.push(detector);
        }
        for (index, pattern) in config.allow.patterns.iter().enumerate() {
            let compile = Pattern::compile(pattern, false)
                .map_err(|message| DetectorError::new(format!("allow.patterns[{index}]"), message));
            compiled.allowed_patterns.push(compile?);
        }
        let values = config.allow.values.iter();
        compiled.allowed = values.map(|value| value.to_ascii_lowercase()).collect();
        let mut also = Vec::new();
        for (index, name) in config.also.iter().enumerate() {
            let kind = Kind::ALL.iter().find(|kind| kind.name() == name);
            let Some(kind) = kind else {
                let message = "no built-in detector has this name";
                return Err(DetectorError::new(format!("also[{index}]"), message));
            };
            also.push(*kind);
        }
        Ok(Self {
            compiled: Some(Rc::new(compiled)),
            also,
        })
    }

    /// The same, which look for `kinds` too when these are off by default.
    #[must_use]
    pub(crate) fn with(&self, kinds: impl Iterator<Item = Kind>) -> Self {
        let mut more = self.clone();
        for kind in kinds.filter(|kind| !kind.by_default()) {
            if !more.also.contains(&kind) {
                more.also.push(kind);
            }
        }
        more
    }

    /// Appends what `text` holds to `out`: sorted, not overlapping, on character borders.
    ///
    /// Allocates only when something is found, or when detectors are configured.
    pub fn scan(&self, text: &str, out: &mut Vec<Finding>) {
        let base = out.len();
        Scanner::new(text, out, self.also()).run();
        let Some(compiled) = &self.compiled else {
            return;
        };
        let found = out.split_off(base);
        let mut progress = Vec::new();
        compiled.advance(text, true, &mut progress);
        compiled.merge(text, &found, &progress, 0, out);
    }

    /// From which byte on `text`, the beginning of a longer one, has to wait for more: what is
    /// found before it is settled, and nothing to come begins there. [`Window`](super::Window) does
    /// the whole of it.
    pub fn hold_from(&self, text: &str) -> usize {
        let mut window = super::Window::default();
        window.push(text);
        window.settle(self, false, &mut Vec::new()).len()
    }

    /// Name in counts, headers and metrics, such as `EMAIL`.
    pub fn name(&self, kind: Kind) -> &str {
        self.configured(kind)
            .map_or(kind.name(), |custom| custom.name.as_str())
    }

    /// What stands in the text after redaction, such as `[EMAIL_REDACTED]`.
    pub fn token(&self, kind: Kind) -> &str {
        self.configured(kind)
            .map_or(kind.token(), |custom| custom.token.as_str())
    }

    /// Names of all detectors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let configured = self.custom().iter().map(|custom| custom.name.as_str());
        Kind::ALL.iter().map(|kind| kind.name()).chain(configured)
    }

    /// The kind with this name, built-in or configured.
    pub fn kind(&self, name: &str) -> Option<Kind> {
        let built_in = Kind::ALL.iter().copied().find(|kind| kind.name() == name);
        built_in.or_else(|| {
            let index = self.custom().iter().position(|known| known.name == name)?;
            Some(Kind::Custom(u16::try_from(index).ok()?))
        })
    }

    /// Kinds to look for that are off by default.
    pub(super) fn also(&self) -> &[Kind] {
        &self.also
    }

    fn custom(&self) -> &[Custom] {
        self.compiled
            .as_ref()
            .map_or(&[], |compiled| compiled.custom.as_slice())
    }

    fn configured(&self, kind: Kind) -> Option<&Custom> {
        match kind {
            Kind::Custom(index) => self.custom().get(usize::from(index)),
            _ => None,
        }
    }

    /// Reads on with the configured detectors. Returns from where on a match can still begin.
    pub(super) fn advance(&self, text: &str, end: bool, progress: &mut Vec<Progress>) -> usize {
        self.compiled
            .as_ref()
            .map_or(text.len(), |compiled| compiled.advance(text, end, progress))
    }

    /// Appends the findings from byte `from` on that are to be reported.
    pub(super) fn merge(
        &self,
        text: &str,
        found: &[Finding],
        custom: &[Progress],
        from: usize,
        out: &mut Vec<Finding>,
    ) {
        match &self.compiled {
            Some(compiled) => compiled.merge(text, found, custom, from, out),
            None => out.extend(found.iter().filter(|finding| finding.start >= from)),
        }
    }
}

impl Compiled {
    fn advance(&self, text: &str, end: bool, progress: &mut Vec<Progress>) -> usize {
        progress.resize_with(self.custom.len(), Progress::default);
        let mut open = text.len();
        for (index, (custom, progress)) in self.custom.iter().zip(progress).enumerate() {
            let kind = Kind::Custom(u16::try_from(index).unwrap_or(u16::MAX));
            open = open.min(custom.advance(kind, text, end, progress));
        }
        open
    }

    /// Findings that overlap are one, of the kind of the first.
    fn merge(
        &self,
        text: &str,
        found: &[Finding],
        custom: &[Progress],
        from: usize,
        out: &mut Vec<Finding>,
    ) {
        let reported = |finding: &&Finding| {
            finding.start >= from
                && !self.allows(text.get(finding.start..finding.end).unwrap_or_default())
        };
        let configured = custom.iter().flat_map(|progress| &progress.found);
        let mut all: Vec<Finding> = found
            .iter()
            .chain(configured)
            .filter(reported)
            .copied()
            .collect();
        all.sort_by_key(|finding| (finding.start, std::cmp::Reverse(finding.end), finding.kind));
        // What stood in `out` before is of another text.
        let mut merged = false;
        for finding in all {
            match out.last_mut() {
                Some(last) if merged && last.end > finding.start => {
                    last.end = last.end.max(finding.end);
                }
                _ => out.push(finding),
            }
            merged = true;
        }
    }

    fn allows(&self, value: &str) -> bool {
        !self.allowed.is_empty() && self.allowed.contains(value.to_ascii_lowercase().as_str())
            || self
                .allowed_patterns
                .iter()
                .any(|pattern| pattern.is_all_of(value))
    }
}

fn custom_detector(index: usize, custom: &CustomDetector) -> Result<Custom, DetectorError> {
    let member = |member: &str| format!("custom[{index}].{member}");
    let name = custom.name.as_str();
    let shaped = name.starts_with(|letter: char| letter.is_ascii_uppercase())
        && name.len() <= NAME_BYTES_MAX
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if !shaped {
        let message = format!(
            "a name is capitals, digits and `_`, begins with a capital and has at most {NAME_BYTES_MAX} bytes"
        );
        return Err(DetectorError::new(member("name"), message));
    }
    if Kind::ALL.iter().any(|kind| kind.name() == name) || name == "CUSTOM" {
        return Err(DetectorError::new(
            member("name"),
            "a built-in detector has this name",
        ));
    }
    if custom.patterns.is_empty() && custom.words.is_empty() {
        let message = "the detector has neither patterns nor words";
        return Err(DetectorError::new(format!("custom[{index}]"), message));
    }
    let patterns = custom.patterns.iter().enumerate().map(|(at, pattern)| {
        Pattern::compile(pattern, custom.ignore_case)
            .map_err(|message| DetectorError::new(member(&format!("patterns[{at}]")), message))
    });
    let words = Words::compile(custom)
        .map_err(|(at, message)| DetectorError::new(member(&format!("words[{at}]")), message))?;
    Ok(Custom {
        name: name.to_owned(),
        token: format!("[{name}_REDACTED]"),
        patterns: patterns.collect::<Result<_, _>>()?,
        words: (!custom.words.is_empty()).then_some(words),
    })
}
