//! Guardrails as configuration writes them: `{input: [{type: pii_detection, action: redact}]}`.

use std::fmt;

use serde_json::{Map, Value};

use super::super::check::{TextPattern, language, schema};
use super::super::{Detectors, Judge};
use super::{Check, Guardrails, KEEP, PiiRule, Rules, Test};
use crate::wire::PiiAction;

/// Why guardrails were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// The member at fault, from the guardrails on: `input[0].action`.
    pub member: String,
    /// What is wrong with it.
    pub message: String,
    /// The word that is not known, when that is what is wrong.
    pub given: String,
    /// The words that are.
    pub known: Vec<String>,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.member, self.message)
    }
}

impl RuleError {
    pub(super) fn type_unknown(side: &str, name: &str, detectors: &Detectors) -> RuleError {
        RuleError {
            member: format!("{side}.types"),
            message: format!("no detector is called `{name}`"),
            given: name.to_owned(),
            known: detectors.names().map(str::to_owned).collect(),
        }
    }

    pub(super) fn judge_unknown<'a>(
        side: &str,
        place: usize,
        name: &str,
        judges: impl Iterator<Item = &'a Judge>,
    ) -> RuleError {
        let judges = judges.map(|judge| judge.name.as_str());
        RuleError {
            member: format!("{side}[{place}].judge"),
            message: format!("no judge is called `{name}`"),
            given: name.to_owned(),
            known: judges.chain([super::BUILT_IN]).map(str::to_owned).collect(),
        }
    }
}

type Object = Map<String, Value>;
type Parsed<T> = Result<T, RuleError>;

const MEMBERS: &[&str] = &["input", "output", "unread", "report"];
const TYPES: &[&str] = &[
    "pii_detection",
    "content_safety",
    "prompt_injection",
    "max_input_tokens",
    "allowed_languages",
    "json_schema",
    "regex",
];
/// Types of one rule.
const TYPES_MAX: usize = 256;
/// The most that a mask may leave.
const KEEP_MAX: u64 = 8;
/// From which score a text counts as harmful when nothing else is said.
const THRESHOLD: f64 = 0.8;
/// Rules of one direction.
const RULES_MAX: usize = 32;

fn fault<T>(member: impl Into<String>, message: impl Into<String>) -> Parsed<T> {
    Err(RuleError {
        member: member.into(),
        message: message.into(),
        given: String::new(),
        known: Vec::new(),
    })
}

fn unknown<T>(member: impl Into<String>, given: &str, known: &[&'static str]) -> Parsed<T> {
    Err(RuleError {
        member: member.into(),
        message: format!("`{given}` is none of {}", known.join(", ")),
        given: given.to_owned(),
        known: known.iter().map(|&word| word.to_owned()).collect(),
    })
}

fn get<'a>(object: &'a Object, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn check_members(object: &Object, path: &str, known: &[&'static str]) -> Parsed<()> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(RuleError {
            member: join(path, name),
            message: format!("unknown member; known here: {}", known.join(", ")),
            given: name.clone(),
            known: known.iter().map(|&word| word.to_owned()).collect(),
        }),
        None => Ok(()),
    }
}

impl Guardrails {
    /// Reads what a configuration calls `guardrails`.
    ///
    /// # Errors
    /// Names the first member that is unknown, of the wrong type or out of range.
    pub fn parse(value: &Value) -> Result<Guardrails, RuleError> {
        let Value::Object(object) = value else {
            return fault("", "must be an object");
        };
        check_members(object, "", MEMBERS)?;
        let unread = word(object, "", "unread", &["deny", "allow"])?;
        Ok(Guardrails {
            input: rules(object, "input")?,
            output: rules(object, "output")?,
            allow_unread: unread == Some("allow"),
            report: flag(object, "report")?,
        })
    }
}

fn flag(object: &Object, name: &str) -> Parsed<bool> {
    match get(object, name) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => fault(name, "must be true or false"),
    }
}

fn word(
    object: &Object,
    path: &str,
    name: &str,
    known: &[&'static str],
) -> Parsed<Option<&'static str>> {
    match get(object, name) {
        None => Ok(None),
        Some(Value::String(word)) => match known.iter().find(|known| *known == word) {
            Some(word) => Ok(Some(word)),
            None => unknown(join(path, name), word, known),
        },
        Some(_) => fault(
            join(path, name),
            format!("must be one of {}", known.join(", ")),
        ),
    }
}

fn rules(object: &Object, side: &str) -> Parsed<Rules> {
    let mut rules = Rules::default();
    let list = match get(object, side) {
        None => return Ok(rules),
        Some(Value::Array(list)) if list.len() <= RULES_MAX => list,
        Some(Value::Array(_)) => return fault(side, format!("more than {RULES_MAX} rules")),
        Some(_) => return fault(side, "must be an array"),
    };
    for (index, rule) in list.iter().enumerate() {
        let path = format!("{side}[{index}]");
        let Value::Object(rule) = rule else {
            return fault(path, "must be an object");
        };
        match word(rule, &path, "type", TYPES)? {
            Some("pii_detection") => rules.pii.push(pii(rule, &path, side)?),
            Some(kind) => rules.checks.push(check(rule, &path, kind, side)?),
            None => {
                return fault(
                    join(&path, "type"),
                    format!("is missing: {}", TYPES.join(", ")),
                );
            }
        }
    }
    Ok(rules)
}

fn pii(rule: &Object, path: &str, side: &str) -> Parsed<PiiRule> {
    check_members(rule, path, &["type", "action", "types", "keep"])?;
    let known = PiiAction::ALL.map(PiiAction::name);
    let action = word(rule, path, "action", &known)?;
    let action = action
        .and_then(PiiAction::of_name)
        .unwrap_or(PiiAction::Redact);
    if side == "output" && action == PiiAction::Pseudonymize {
        let message = "is for input: nobody would put an answer's values back";
        return fault(join(path, "action"), message);
    }
    let keep = match get(rule, "keep") {
        None => KEEP,
        Some(_) if action != PiiAction::Mask => {
            return fault(join(path, "keep"), "belongs to the action mask");
        }
        Some(keep) => match keep.as_u64().filter(|keep| *keep <= KEEP_MAX) {
            Some(keep) => u8::try_from(keep).unwrap_or(KEEP),
            None => {
                let message = format!("must be a whole number from 0 to {KEEP_MAX}");
                return fault(join(path, "keep"), message);
            }
        },
    };
    Ok(PiiRule {
        action,
        types: types(rule, path)?,
        keep,
    })
}

fn types(rule: &Object, path: &str) -> Parsed<Vec<String>> {
    let path = join(path, "types");
    let list = match get(rule, "types") {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) if (1..=TYPES_MAX).contains(&list.len()) => list,
        Some(_) => return fault(path, "must be a list of types, without it all are meant"),
    };
    let mut types = Vec::with_capacity(list.len().min(TYPES_MAX));
    for (index, name) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        match name {
            Value::String(name) if !name.is_empty() => types.push(name.clone()),
            _ => return fault(path, "must be the name of a type"),
        }
    }
    Ok(types)
}

fn check(rule: &Object, path: &str, kind: &str, side: &str) -> Parsed<Check> {
    let (test, members): (Test, &[&'static str]) = match kind {
        "content_safety" => (
            Test::ContentSafety {
                threshold_ppm: threshold(rule, path)?,
                judge: match get(rule, "judge") {
                    None => None,
                    Some(Value::String(name)) if !name.is_empty() => Some(name.clone()),
                    Some(_) => return fault(join(path, "judge"), "must be the name of a judge"),
                },
            },
            &["type", "action", "threshold", "judge"],
        ),
        "prompt_injection" => {
            only(side, "input", path)?;
            (
                Test::PromptInjection {
                    threshold_ppm: threshold(rule, path)?,
                },
                &["type", "action", "threshold"],
            )
        }
        "max_input_tokens" => {
            only(side, "input", path)?;
            let Some(max) = get(rule, "max").and_then(Value::as_u64) else {
                return fault(join(path, "max"), "must be a number of tokens");
            };
            (Test::MaxInputTokens { max }, &["type", "action", "max"])
        }
        "allowed_languages" => (
            Test::AllowedLanguages {
                languages: languages(rule, path)?,
            },
            &["type", "action", "languages"],
        ),
        "json_schema" => {
            only(side, "output", path)?;
            let schema = get(rule, "schema").unwrap_or(&Value::Null);
            if let Err(what) = schema::check(schema, 0) {
                return fault(join(path, "schema"), what);
            }
            let schema = schema.to_string();
            (Test::JsonSchema { schema }, &["type", "action", "schema"])
        }
        _ => {
            let pattern = match get(rule, "pattern") {
                Some(Value::String(pattern)) if !pattern.is_empty() => pattern,
                _ => return fault(join(path, "pattern"), "must be a regular expression"),
            };
            let pattern = match TextPattern::compile(pattern) {
                Ok(pattern) => pattern,
                Err(what) => return fault(join(path, "pattern"), what),
            };
            let mode = word(rule, path, "mode", &["deny", "allow"])?;
            let allow = mode == Some("allow");
            (
                Test::Regex { pattern, allow },
                &["type", "action", "pattern", "mode"],
            )
        }
    };
    check_members(rule, path, members)?;
    let action = word(rule, path, "action", &["deny", "flag"])?;
    Ok(Check {
        test,
        flags: action == Some("flag"),
    })
}

fn only(side: &str, wanted: &str, path: &str) -> Parsed<()> {
    if side == wanted {
        return Ok(());
    }
    fault(join(path, "type"), format!("is for {wanted}"))
}

fn threshold(rule: &Object, path: &str) -> Parsed<u32> {
    let threshold = match get(rule, "threshold").map(Value::as_f64) {
        None => THRESHOLD,
        Some(Some(value)) if (0.0..=1.0).contains(&value) => value,
        Some(_) => return fault(join(path, "threshold"), "must be a number from 0 to 1"),
    };
    Ok((threshold * 1e6).round() as u32)
}

fn languages(rule: &Object, path: &str) -> Parsed<Vec<String>> {
    let path = join(path, "languages");
    let Some(Value::Array(list)) = get(rule, "languages") else {
        return fault(path, "must be a list of languages");
    };
    let known: Vec<&'static str> = language::known().collect();
    let mut languages = Vec::with_capacity(list.len().min(known.len()));
    for (index, name) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        match name.as_str() {
            Some(name) if known.contains(&name) => languages.push(name.to_owned()),
            Some(name) => return unknown(path, name, &known),
            None => return fault(path, "must be the code of a language"),
        }
    }
    Ok(languages)
}
