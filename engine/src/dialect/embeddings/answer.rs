//! Any provider's answer as OpenAI's.

use super::Context;
use super::input::Encoding;
use super::vector::{self, Vectors};
use crate::dialect::{Answer, DecodeError, failure};
use crate::json::{self, Edits, Kind, Span, Writer};
use crate::usage::Usage;
use crate::wire::Dialect;

pub(super) fn decode(
    dialect: Dialect,
    context: &Context<'_>,
    body: Vec<u8>,
) -> Result<Answer, DecodeError> {
    let root = json::document(&body).map_err(|_| DecodeError::Invalid)?;
    let request = Span {
        start: 0,
        end: context.request.len(),
    };
    let wanted = Encoding::of(context.request, request);
    if let Some(error) = json::member(&body, root, "error")
        && let Some(error) = failure::from_error(&body, error)
    {
        return Err(reported(dialect, &error));
    }
    let answer = match dialect {
        Dialect::Bedrock => invoked(&body, root),
        Dialect::Gemini | Dialect::Vertex => embedded(&body, root),
        _ if listed(&body, root).is_some() => return respell(context, wanted, body, root),
        _ => None,
    };
    let Some((vectors, usage)) = answer else {
        return Err(match failure::reported(&body, root) {
            Some(error) => reported(dialect, &error),
            None => DecodeError::Invalid,
        });
    };
    Ok(Answer {
        body: write(&body, &vectors, wanted, context, usage)?,
        usage,
        text: String::new(),
    })
}

fn reported(dialect: Dialect, error: &failure::Reported) -> DecodeError {
    DecodeError::Reported(failure::reported_answer(dialect, error))
}

/// Vectors and usage as a format has them; `None` for what is no answer.
type Found = Option<(Vec<Span>, Option<Usage>)>;

fn usage(input: Option<u64>) -> Option<Usage> {
    input.map(|input| Usage {
        input,
        ..Usage::default()
    })
}

fn count(body: &[u8], object: Span, name: &str) -> Option<u64> {
    let value = json::member(body, object, name)?;
    let text = std::str::from_utf8(value.of(body)).ok()?;
    // Vertex AI's figures come out of a format that knows floats only.
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

/// Titan: `{embedding, inputTextTokenCount}`. Cohere: `{embeddings: {float: [...]}}`, or the list
/// itself.
fn invoked(body: &[u8], root: Span) -> Found {
    let read = usage(count(body, root, "inputTextTokenCount"));
    if let Some(vector) = json::member(body, root, "embedding")
        && json::kind(body, vector) == Some(Kind::Array)
    {
        return Some((vec![vector], read));
    }
    let embeddings = json::member(body, root, "embeddings")?;
    let list = json::member(body, embeddings, "float").unwrap_or(embeddings);
    (json::kind(body, list)? == Kind::Array).then(|| (json::elements(body, list).collect(), read))
}

/// Gemini's batch: `{embeddings: [{values}]}`. Vertex AI: `{embedding: {values}}`, or
/// `{predictions: [{embeddings: {values, statistics: {token_count}}}]}`.
fn embedded(body: &[u8], root: Span) -> Found {
    let values = |holder: Span| json::member(body, holder, "values");
    let told = json::member(body, root, "usageMetadata")
        .and_then(|figures| count(body, figures, "promptTokenCount"));
    if let Some(embedding) = json::member(body, root, "embedding") {
        return Some((vec![values(embedding)?], usage(told)));
    }
    if let Some(list) = json::member(body, root, "embeddings") {
        let vectors = json::elements(body, list)
            .map(values)
            .collect::<Option<_>>()?;
        return Some((vectors, usage(told)));
    }
    let list = json::member(body, root, "predictions")?;
    let (mut vectors, mut tokens) = (Vec::new(), Some(0_u64));
    for prediction in json::elements(body, list) {
        let embeddings = json::member(body, prediction, "embeddings")?;
        vectors.push(values(embeddings)?);
        let figures = json::member(body, embeddings, "statistics").unwrap_or_default();
        let more = count(body, figures, "token_count");
        tokens = tokens
            .zip(more)
            .and_then(|(sum, more)| sum.checked_add(more));
    }
    Some((vectors, usage(tokens)))
}

/// OpenAI's list.
fn listed(body: &[u8], root: Span) -> Option<Span> {
    json::member(body, root, "data").filter(|data| json::kind(body, *data) == Some(Kind::Array))
}

/// An answer in OpenAI's format: as it is, but for vectors in the other encoding and for usage that
/// is missing.
fn respell(
    context: &Context<'_>,
    wanted: Encoding,
    mut body: Vec<u8>,
    mut root: Span,
) -> Result<Answer, DecodeError> {
    let figures = json::member(&body, root, "usage").unwrap_or_default();
    let told = ["prompt_tokens", "input_tokens", "total_tokens"]
        .iter()
        .find_map(|name| count(&body, figures, name));
    if told.is_none() {
        let mut json = Vec::new();
        write_usage(context.tokens_in, &mut Writer::new(&mut json));
        let mut edits = Edits::default();
        edits.set_member(&body, root, "usage", json);
        body = edits.apply(&body);
        root = json::document(&body).map_err(|_| DecodeError::Invalid)?;
    }
    let data = listed(&body, root).unwrap_or_default();
    let vectors: Option<Vec<Span>> = json::elements(&body, data)
        .map(|element| json::member(&body, element, "embedding"))
        .collect();
    let vectors = vectors.ok_or(DecodeError::Invalid)?;
    let fits = |vector: &Span| vector::encoding(&body, *vector) == Some(wanted);
    if !vectors.iter().all(fits) {
        body = splice(wanted, &body, &vectors)?;
    }
    Ok(Answer {
        body,
        usage: usage(told),
        text: String::new(),
    })
}

fn splice(wanted: Encoding, body: &[u8], vectors: &[Span]) -> Result<Vec<u8>, DecodeError> {
    let mut write = Vectors::new(wanted);
    let mut out = Vec::with_capacity(body.len());
    let mut copied = 0;
    for vector in vectors {
        out.extend_from_slice(body.get(copied..vector.start).unwrap_or_default());
        write.write(body, *vector, &mut out)?;
        copied = vector.end;
    }
    out.extend_from_slice(body.get(copied..).unwrap_or_default());
    Ok(out)
}

fn write(
    body: &[u8],
    vectors: &[Span],
    wanted: Encoding,
    context: &Context<'_>,
    usage: Option<Usage>,
) -> Result<Vec<u8>, DecodeError> {
    let mut write = Vectors::new(wanted);
    let mut out = Vec::with_capacity(body.len());
    out.extend_from_slice(br#"{"object":"list","data":["#);
    for (index, vector) in vectors.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"object":"embedding","index":"#);
        out.extend_from_slice(index.to_string().as_bytes());
        out.extend_from_slice(br#","embedding":"#);
        write.write(body, *vector, &mut out)?;
        out.push(b'}');
    }
    out.push(b']');
    let mut rest = Writer::new(&mut out);
    rest.key("model").string(context.model);
    write_usage(
        usage.map_or(context.tokens_in, |usage| usage.input),
        rest.key("usage"),
    );
    out.push(b'}');
    Ok(out)
}

fn write_usage(tokens: u64, out: &mut Writer<'_>) {
    out.object(|out| {
        out.key("prompt_tokens").number(tokens);
        out.key("total_tokens").number(tokens);
    });
}
