//! The detectors of a configuration: the built-in table and what operators add to it.

use serde::{Deserialize, Serialize};

use super::{Finding, Kind, scanner::Scanner};

/// What a configuration adds to the built-in detectors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardConfig {
    pub custom: Vec<CustomDetector>,
    pub allow: AllowList,
}

/// A detector of the operator's own: it reports what any of its patterns or words matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CustomDetector {
    /// Name in counts, headers and metrics: capitals, digits and `_`, and none of a built-in one.
    pub name: String,
    /// Regular expressions in the syntax of Rust's `regex`, without look-around and back-references.
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

/// Built-in and configured detectors, ready to scan.
#[derive(Clone, Debug, Default)]
pub struct Detectors {
    /// Name and token of each configured detector.
    custom: Vec<(String, String)>,
}

impl Detectors {
    /// Compiles what a configuration adds.
    ///
    /// # Errors
    /// The first member that is empty, ill-formed or too large.
    pub fn compile(config: &GuardConfig) -> Result<Self, DetectorError> {
        let custom = config.custom.iter().map(|custom| {
            let token = format!("[{}_REDACTED]", custom.name);
            (custom.name.clone(), token)
        });
        Ok(Self {
            custom: custom.collect(),
        })
    }

    /// Appends what `text` holds to `out`: sorted, not overlapping, on character borders.
    ///
    /// Allocates only when `out` has to grow.
    pub fn scan(&self, text: &str, out: &mut Vec<Finding>) {
        Scanner::new(text, out).run();
    }

    /// Name in counts, headers and metrics, such as `EMAIL`.
    pub fn name(&self, kind: Kind) -> &str {
        self.configured(kind)
            .map_or(kind.name(), |(name, _)| name.as_str())
    }

    /// What stands in the text after redaction, such as `[EMAIL_REDACTED]`.
    pub fn token(&self, kind: Kind) -> &str {
        self.configured(kind)
            .map_or(kind.token(), |(_, token)| token.as_str())
    }

    /// The kind with this name, built-in or configured.
    pub fn kind(&self, name: &str) -> Option<Kind> {
        let built_in = Kind::ALL.iter().copied().find(|kind| kind.name() == name);
        built_in.or_else(|| {
            let index = self.custom.iter().position(|(known, _)| known == name)?;
            Some(Kind::Custom(u16::try_from(index).ok()?))
        })
    }

    fn configured(&self, kind: Kind) -> Option<&(String, String)> {
        match kind {
            Kind::Custom(index) => self.custom.get(usize::from(index)),
            _ => None,
        }
    }
}
