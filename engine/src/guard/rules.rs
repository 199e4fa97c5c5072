//! What guardrails are to do: rules for what comes in and for what goes out.
//!
//! They stand in three places (defaults, key, request), and all that stand hold. Where several
//! speak of the same type of data the strictest does, in the order of [`PiiAction`].

use serde::{Deserialize, Serialize};

use super::{Detectors, Judge, Kind, TextPattern};
use crate::wire::PiiAction;

mod parse;
#[cfg(test)]
mod tests;

pub use parse::RuleError;

/// The rules of one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Guardrails {
    /// For requests.
    #[serde(skip_serializing_if = "Rules::is_empty")]
    pub input: Rules,
    /// For answers.
    #[serde(skip_serializing_if = "Rules::is_empty")]
    pub output: Rules,
    /// Whether what cannot be read goes on all the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_unread: bool,
    /// Whether answers carry `hook_results`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub report: bool,
}

impl Guardrails {
    /// That every type which a rule names is known.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_types(&self, detectors: &Detectors) -> Result<(), RuleError> {
        for (side, rules) in [("input", &self.input), ("output", &self.output)] {
            let named = rules.pii.iter().flat_map(|rule| &rule.types);
            if let Some(name) = named
                .into_iter()
                .find(|name| detectors.kind(name).is_none())
            {
                return Err(RuleError::type_unknown(side, name, detectors));
            }
        }
        Ok(())
    }

    /// That every judge which a check names is there.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_judges<'a>(
        &self,
        judges: impl Iterator<Item = &'a Judge> + Clone,
    ) -> Result<(), RuleError> {
        for (side, rules) in [("input", &self.input), ("output", &self.output)] {
            for (place, check) in rules.checks.iter().enumerate() {
                let Test::ContentSafety {
                    judge: Some(name), ..
                } = &check.test
                else {
                    continue;
                };
                if name != BUILT_IN && !judges.clone().any(|judge| judge.name == *name) {
                    return Err(RuleError::judge_unknown(side, place, name, judges));
                }
            }
        }
        Ok(())
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.input.is_empty() && self.output.is_empty()
    }

    /// One action for every type of data in requests.
    pub fn input(action: PiiAction) -> Guardrails {
        Guardrails {
            input: Rules {
                pii: vec![PiiRule::all(action)],
                ..Rules::default()
            },
            ..Guardrails::default()
        }
    }
}

/// The rules for one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// Further checks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// For personal data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pii: Vec<PiiRule>,
}

impl Rules {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pii.is_empty() && self.checks.is_empty()
    }
}

/// A check of a text as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is checked.
    #[serde(flatten)]
    pub test: Test,
    /// Whether an objection is only reported.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flags: bool,
}

/// What a check looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Whether the text is harmful.
    ContentSafety {
        /// Millionths from which it counts.
        threshold_ppm: u32,
        /// Who says so; the first judge of the configuration when `None`, and without any the
        /// built-in one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        judge: Option<String>,
    },
    /// Whether it tries to get past instructions.
    PromptInjection {
        /// Millionths from which it counts.
        threshold_ppm: u32,
    },
    /// Tokens of the prompt.
    MaxInputTokens {
        /// The most there may be.
        max: u64,
    },
    /// The language it is in, as far as that can be told.
    AllowedLanguages {
        /// Those that are allowed, as ISO 639-1 has them.
        languages: Vec<String>,
    },
    /// Whether an answer is JSON of some shape.
    JsonSchema {
        /// The shape, a JSON Schema as text.
        schema: String,
    },
    /// A pattern.
    Regex {
        /// What is looked for.
        pattern: TextPattern,
        /// Whether it has to be there, and not that it must not.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        allow: bool,
    },
}

/// The name of rules for personal data.
pub const PII_RULE: &str = "pii_detection";
/// The name of the judge that is built in.
pub const BUILT_IN: &str = "builtin";

impl Check {
    /// Whether it can be made of an answer while that is on its way.
    pub fn is_gradual(&self) -> bool {
        matches!(self.test, Test::Regex { allow: false, .. })
    }

    /// Its name in configuration and records.
    pub fn name(&self) -> &'static str {
        match self.test {
            Test::ContentSafety { .. } => "content_safety",
            Test::PromptInjection { .. } => "prompt_injection",
            Test::MaxInputTokens { .. } => "max_input_tokens",
            Test::AllowedLanguages { .. } => "allowed_languages",
            Test::JsonSchema { .. } => "json_schema",
            Test::Regex { .. } => "regex",
        }
    }
}

/// A rule for personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PiiRule {
    /// What to do.
    pub action: PiiAction,
    /// Names of the types it is for; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// Characters that [`PiiAction::Mask`] leaves.
    #[serde(default = "keep", skip_serializing_if = "is_usual")]
    pub keep: u8,
}

/// Characters that a mask leaves when nothing else is said.
pub const KEEP: u8 = 4;

fn keep() -> u8 {
    KEEP
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_usual(keep: &u8) -> bool {
    *keep == KEEP
}

impl PiiRule {
    /// A rule for every type.
    pub fn all(action: PiiAction) -> PiiRule {
        PiiRule {
            action,
            types: Vec::new(),
            keep: KEEP,
        }
    }
}

/// What is done with one type of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Treatment {
    /// What to do.
    pub action: PiiAction,
    /// Characters that a mask leaves.
    pub keep: u8,
}

/// What is done with each type of data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// Whatever it is.
    all: Option<Treatment>,
    /// For one type, in any order.
    some: Vec<(Kind, Treatment)>,
}

impl Actions {
    /// What all these rules together ask for. Types that `detectors` does not know are not found
    /// either.
    pub fn of<'a>(
        rules: impl IntoIterator<Item = &'a PiiRule>,
        detectors: Option<&Detectors>,
    ) -> Actions {
        let mut actions = Actions::default();
        for rule in rules {
            let treatment = Treatment {
                action: rule.action,
                keep: rule.keep,
            };
            if rule.types.is_empty() {
                actions.all = stricter(actions.all, treatment);
            }
            for name in &rule.types {
                let kind = match detectors {
                    Some(detectors) => detectors.kind(name),
                    None => Detectors::default().kind(name),
                };
                actions.some.extend(kind.map(|kind| (kind, treatment)));
            }
        }
        actions
    }

    /// What is done with that type; nothing when no rule speaks of it.
    pub fn of_kind(&self, kind: Kind) -> Option<Treatment> {
        let named = self.some.iter().filter(|(named, _)| *named == kind);
        let mut treatment = named.fold(self.all, |now, (_, next)| stricter(now, *next))?;
        if treatment.action == PiiAction::Pseudonymize && is_secret(kind) {
            // The answer must not say a secret again.
            treatment.action = PiiAction::Redact;
        }
        Some(treatment)
    }

    /// Types that a rule names.
    pub(crate) fn named(&self) -> impl Iterator<Item = Kind> {
        self.some.iter().map(|(kind, _)| *kind)
    }

    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.some.is_empty()
    }
}

fn stricter(now: Option<Treatment>, next: Treatment) -> Option<Treatment> {
    Some(match now {
        Some(now) if now.action > next.action => now,
        Some(now) if now.action == next.action => Treatment {
            action: now.action,
            keep: now.keep.min(next.keep),
        },
        _ => next,
    })
}

impl From<PiiAction> for Actions {
    fn from(action: PiiAction) -> Actions {
        Actions::of([&PiiRule::all(action)], None)
    }
}

/// What opens something, and is never put back.
pub(super) fn is_secret(kind: Kind) -> bool {
    matches!(kind, Kind::ApiKey | Kind::Secret | Kind::UrlCredentials)
}
