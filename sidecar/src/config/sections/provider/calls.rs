//! `serves` and `calls`: what goes to a provider as it came.

use engine::endpoint::Through;
use engine::ingress::Ingress;
use engine::usage::NanoUsd;
use engine::wire::Dialect;

use super::super::super::document::Value;
use super::super::super::reader::{Field, Object, Reader};
use super::super::super::{Endpoint, Host};

/// Who keeps what it answers, and answers in more forms than one.
const OPENAI_HOST: &str = "api.openai.com";
/// A call at more than that is a mistake.
const CALL_NANO_MAX: NanoUsd = 1_000_000_000_000;

const FORMS: [(&str, Ingress); 2] = [
    ("completions", Ingress::Completions),
    ("responses", Ingress::Responses),
];
const CALLS: [(&str, Through); 5] = [
    ("audio", Through::Audio),
    ("batches", Through::Batches),
    ("files", Through::Files),
    ("images", Through::Images),
    ("moderations", Through::Moderations),
];

/// What a provider says of itself, before its address is known.
#[derive(Default)]
pub(super) struct Stated {
    serves: Option<Vec<Ingress>>,
    calls: Vec<(Through, NanoUsd)>,
}

/// Whether calls in OpenAI's own forms make sense there.
fn speaks_openai(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Openai | Dialect::Azure | Dialect::Mistral)
}

pub(super) fn read(object: &mut Object<'_>, dialect: Dialect, reader: &mut Reader<'_>) -> Stated {
    let mut stated = Stated::default();
    if !speaks_openai(dialect) {
        return stated;
    }
    if let Some(field) = object.member("serves") {
        let listed = reader.list(&field);
        let forms = listed
            .iter()
            .filter_map(|field| reader.choice(field, &FORMS));
        stated.serves = Some(forms.collect());
    }
    if let Some(field) = object.member("calls") {
        for (name, value) in reader.map(&field) {
            match CALLS.iter().find(|(known, _)| *known == name) {
                Some((_, call)) => {
                    let nano = price(&value, reader);
                    stated.calls.push((*call, nano.unwrap_or_default()));
                }
                None => {
                    let known: Vec<&str> = CALLS.iter().map(|(known, _)| *known).collect();
                    let hint = super::super::closest(name, &known);
                    reader.problem(&value, format!("there are no calls named `{name}`{hint}"));
                }
            }
        }
    }
    stated
}

fn price(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<NanoUsd> {
    if matches!(&field.node.value, Value::Scalar { text, .. } if text == "free") {
        return Some(0);
    }
    let nano = reader.usd(field)?;
    if nano > CALL_NANO_MAX {
        reader.problem(field, "more than 1000 dollars for one call");
        return None;
    }
    Some(nano)
}

impl Stated {
    /// With what follows from dialect and address.
    pub(super) fn complete(
        self,
        dialect: Dialect,
        endpoint: &Endpoint,
    ) -> (Vec<Ingress>, Vec<(Through, NanoUsd)>) {
        let is_openai = matches!(&endpoint.host, Host::Name(name, _) if name == OPENAI_HOST);
        let serves = self.serves.unwrap_or_else(|| {
            let keeps = is_openai || dialect == Dialect::Azure;
            keeps.then_some(Ingress::Responses).into_iter().collect()
        });
        let mut calls = self.calls;
        let moderates = is_openai || dialect == Dialect::Mistral;
        if moderates && calls.iter().all(|(call, _)| *call != Through::Moderations) {
            calls.push((Through::Moderations, 0));
        }
        (serves, calls)
    }
}
