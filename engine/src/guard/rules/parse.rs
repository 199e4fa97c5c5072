//! Guardrails as configuration writes them: `{input: [{type: pii_detection, action: redact}]}`.

use std::fmt;

use serde_json::{Map, Value};

use super::super::Kind;
use super::{Check, Guardrails, KEEP, PiiRule, Rules};
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
    pub known: Vec<&'static str>,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.member, self.message)
    }
}

impl RuleError {
    pub(super) fn type_unknown(side: &str, name: &str) -> RuleError {
        let known: Vec<&'static str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        RuleError {
            member: format!("{side}.types"),
            message: format!("no detector is called `{name}`"),
            given: name.to_owned(),
            known,
        }
    }
}

type Object = Map<String, Value>;
type Parsed<T> = Result<T, RuleError>;

const MEMBERS: &[&str] = &["input", "output", "unread", "files", "report"];
const TYPES: &[&str] = &["pii_detection", "content_safety"];
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
        known: known.to_vec(),
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
            known: known.to_vec(),
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
            files: flag(object, "files")?,
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
            Some(_) => rules.checks.push(content_safety(rule, &path)?),
            None => {
                return fault(
                    join(&path, "type"),
                    format!("is missing: {}", TYPES.join(" or ")),
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

fn content_safety(rule: &Object, path: &str) -> Parsed<Check> {
    check_members(rule, path, &["type", "threshold"])?;
    let threshold = match get(rule, "threshold").map(Value::as_f64) {
        None => THRESHOLD,
        Some(Some(value)) if (0.0..=1.0).contains(&value) => value,
        Some(_) => return fault(join(path, "threshold"), "must be a number from 0 to 1"),
    };
    Ok(Check::ContentSafety {
        threshold_ppm: (threshold * 1e6).round() as u32,
    })
}
