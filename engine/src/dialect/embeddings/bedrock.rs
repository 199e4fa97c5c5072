//! Requests for AWS Bedrock, where each maker's models have a body of their own.

use super::encoded;
use super::input::Asked;
use crate::dialect::parameters::DroppedNames;
use crate::dialect::path::push_segment;
use crate::dialect::{Encoded, Target};
use crate::json::Writer;
use crate::request::RequestError;

/// What texts are for when the request does not say; Cohere wants to know.
const INPUT_TYPE: &str = "search_document";

/// Whose model it is, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// `embed-english-v3`, `embed-multilingual-v3`.
    Cohere3,
    /// `embed-v4` and later.
    Cohere4,
    /// Titan Embeddings G1 - Text: nothing but the text.
    Titan1,
    /// Titan Text Embeddings V2.
    Titan2,
    /// Titan Multimodal Embeddings G1.
    TitanImage,
}

impl Family {
    fn of_model(model: &str) -> Option<Family> {
        let has = |part: &str| model.contains(part);
        Some(match model {
            _ if has("titan-embed-image") => Family::TitanImage,
            _ if has("titan-embed") && has("text-v2") => Family::Titan2,
            _ if has("titan-embed") => Family::Titan1,
            _ if has("cohere.embed") && has("-v3") => Family::Cohere3,
            _ if has("cohere.embed") => Family::Cohere4,
            _ => return None,
        })
    }
}

pub(super) fn encode(
    target: &Target<'_>,
    asked: &Asked<'_>,
) -> Result<Encoded<'static>, RequestError> {
    let family = Family::of_model(target.model).ok_or_else(|| {
        RequestError::invalid(
            "model",
            "of Bedrock's embeddings only Titan's and Cohere's are known here",
        )
    })?;
    if asked.dimensions.is_some() && matches!(family, Family::Titan1 | Family::Cohere3) {
        let message = "this provider's model has vectors of one length only";
        return Err(RequestError::invalid("dimensions", message));
    }
    let mut path = String::from("/model/");
    push_segment(&mut path, target.model);
    path.push_str("/invoke");
    let mut body = Vec::with_capacity(asked.body.len().saturating_add(128));
    let dropped = write(family, asked, &mut Writer::new(&mut body))?;
    Ok(encoded(path, body, dropped))
}

fn write(
    family: Family,
    asked: &Asked<'_>,
    out: &mut Writer<'_>,
) -> Result<DroppedNames, RequestError> {
    let body = asked.body;
    if matches!(family, Family::Cohere3 | Family::Cohere4) {
        let texts = asked.texts()?;
        out.object(|out| {
            out.key("texts")
                .array(|out| texts.iter().for_each(|text| out.copy(body, *text)));
            match asked.get("input_type") {
                Some(kind) => out.key("input_type").copy(body, kind),
                None => out.key("input_type").string(INPUT_TYPE),
            }
            if let Some(truncate) = asked.get("truncate") {
                out.key("truncate").copy(body, truncate);
            }
            out.key("embedding_types").array(|out| out.string("float"));
            if let Some(dimensions) = asked.dimensions {
                out.key("output_dimension").copy(body, dimensions);
            }
        });
        return Ok(asked.others(&["input_type", "truncate"]));
    }
    let text = asked.only_text()?;
    let known: &[&str] = match family {
        Family::Titan2 => &["normalize"],
        _ => &[],
    };
    out.object(|out| {
        out.key("inputText").copy(body, text);
        match (asked.dimensions, family) {
            (Some(dimensions), Family::TitanImage) => out
                .key("embeddingConfig")
                .object(|out| out.key("outputEmbeddingLength").copy(body, dimensions)),
            (Some(dimensions), _) => out.key("dimensions").copy(body, dimensions),
            (None, _) => {}
        }
        for name in known {
            if let Some(value) = asked.get(name) {
                out.key(name).copy(body, value);
            }
        }
    });
    Ok(asked.others(known))
}
