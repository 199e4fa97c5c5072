//! Requests for those that speak OpenAI's format: what must change is spliced.

use std::borrow::Cow;

use super::input::Asked;
use crate::dialect::parameters::DroppedNames;
use crate::dialect::path::push_segment;
use crate::dialect::{Encoded, Target};
use crate::json::{self, Edits, Writer};
use crate::request::{Call, RequestError};
use crate::wire::Dialect;

const PATH: &str = "/embeddings";
const PATH_AZURE_V1: &str = "/openai/v1/embeddings";
/// Members of Mistral's own, which answers `422` to one that it does not know.
const MISTRALS: [&str; 3] = ["metadata", "output_dimension", "output_dtype"];

pub(super) fn encode<'a>(
    target: &Target<'_>,
    call: &Call,
    asked: &Asked<'a>,
    mut edits: Edits,
) -> Result<Encoded<'a>, RequestError> {
    let (body, root) = (asked.body, asked.root);
    let mut dropped = DroppedNames::default();
    let path = match target.dialect {
        Dialect::Azure => azure_path(target),
        Dialect::Mistral => {
            asked.refuse_tokens()?;
            dropped = for_mistral(asked, &mut edits);
            PATH.into()
        }
        Dialect::Ollama => {
            asked.refuse_tokens()?;
            if asked.get("user").is_some() {
                dropped.add("user");
            }
            edits.remove_member(body, root, "user");
            PATH.into()
        }
        _ => PATH.into(),
    };
    // The deployment's own path tells Azure all.
    let names_model = target.dialect == Dialect::Azure && !target.api_version.is_empty();
    if !names_model && call.model != target.model {
        let mut model = Vec::new();
        Writer::new(&mut model).string(target.model);
        match call.model_span {
            Some(span) => edits.replace(span, model),
            None => edits.set_member(body, root, "model", model),
        }
    }
    Ok(Encoded {
        path,
        body: if edits.is_empty() {
            Cow::Borrowed(body)
        } else {
            Cow::Owned(edits.apply(body))
        },
        headers: Vec::new(),
        dropped: dropped.into_names(),
    })
}

fn azure_path(target: &Target<'_>) -> Cow<'static, str> {
    if target.api_version.is_empty() {
        return PATH_AZURE_V1.into();
    }
    let mut path = String::from("/openai/deployments/");
    push_segment(&mut path, target.model);
    path.push_str("/embeddings?api-version=");
    push_segment(&mut path, target.api_version);
    path.into()
}

/// Mistral has its own name for the length of vectors, and gives numbers.
fn for_mistral(asked: &Asked<'_>, edits: &mut Edits) -> DroppedNames {
    let (body, root) = (asked.body, asked.root);
    if asked.get("output_dimension").is_some() || asked.dimensions.is_none() {
        edits.remove_member(body, root, "dimensions");
    } else {
        for member in json::members(body, root) {
            if json::is_named(body, member.key, "dimensions") {
                edits.replace(member.key, "output_dimension");
            }
        }
    }
    for member in json::members(body, root) {
        let name = json::unescaped(member.key.of(body)).unwrap_or_default();
        if !matches!(&*name, "model" | "input" | "dimensions") && !MISTRALS.contains(&&*name) {
            edits.remove_member(body, root, &name);
        }
    }
    asked.others(&MISTRALS)
}
