//! `guardrails`: rules under `defaults` and on keys, detectors at the top. The engine reads them, as
//! it reads those of a request; here each fault gets its place in the file.

use engine::guard::{Detectors, GuardConfig, Guardrails};

use super::super::JudgeConfig;
use super::super::document::{Node, Value};
use super::super::problem::closest;
use super::super::reader::{Field, Object, Reader};

/// What rules may name.
pub(super) struct Known {
    pub(super) detectors: GuardConfig,
    pub(super) judges: Vec<JudgeConfig>,
}

/// The rules of one place.
pub(super) fn guardrails(field: &Field<'_>, known: &Known, reader: &mut Reader<'_>) -> Guardrails {
    let read = Guardrails::parse(&field.node.to_json()).and_then(|rules| {
        // Detectors that cannot be compiled have been reported where they stand.
        let detectors = Detectors::compile(&known.detectors).unwrap_or_default();
        let judges = known.judges.iter().map(|config| &config.judge);
        rules.check_types(&detectors)?;
        rules.check_judges(judges).map(|()| rules)
    });
    match read {
        Ok(rules) => rules,
        Err(error) => {
            let known: Vec<&str> = error.known.iter().map(String::as_str).collect();
            let hint = closest(&error.given, &known);
            let at = place(field, &error.member);
            reader.problem(&at, format!("{}{hint}", error.message));
            Guardrails::default()
        }
    }
}

/// What the file adds to the built-in detectors.
pub(super) fn detectors(top: &mut Object<'_>, reader: &mut Reader<'_>) -> GuardConfig {
    let Some(field) = top.member("detectors") else {
        return GuardConfig::default();
    };
    let config = match serde_json::from_value::<GuardConfig>(field.node.to_json()) {
        Ok(config) => config,
        Err(error) => {
            reader.problem(&field, error.to_string());
            return GuardConfig::default();
        }
    };
    match Detectors::compile(&config) {
        Ok(_) => config,
        Err(error) => {
            let at = place(&field, &error.member);
            reader.problem(&at, error.message);
            GuardConfig::default()
        }
    }
}

/// The part of `field` that `member` (`input[0].action`) names, as far as the file has it.
fn place<'n>(field: &Field<'n>, member: &str) -> Field<'n> {
    let mut node = field.node;
    for name in member.split(['.', '[']).filter(|name| !name.is_empty()) {
        let index = name.strip_suffix(']').and_then(|index| index.parse().ok());
        match child(node, name, index) {
            Some(next) => node = next,
            None => break,
        }
    }
    let path = if member.is_empty() {
        field.path.clone()
    } else {
        format!("{}.{member}", field.path)
    };
    Field { node, path }
}

fn child<'n>(node: &'n Node, name: &str, index: Option<usize>) -> Option<&'n Node> {
    match (&node.value, index) {
        (Value::Sequence(items), Some(index)) => items.get(index),
        (Value::Mapping(members), None) => {
            let (_, node) = members.iter().find(|(key, _)| key.text == name)?;
            Some(node)
        }
        _ => None,
    }
}
