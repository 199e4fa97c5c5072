//! Any provider's answer as OpenAI's.
//!
//! Answers are large and hold little but vectors, so one walk finds all that matters.

use super::Context;
use super::input::Encoding;
use super::vector::{self, Vectors};
use crate::dialect::{Answer, DecodeError, failure};
use crate::json::{self, Edits, Kind, Span, Walk, Writer};
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
    let found = Found::read(dialect, &body, root);
    let error = found
        .error
        .and_then(|error| failure::from_error(&body, error));
    let Some(vectors) = found.vectors.filter(|_| error.is_none()) else {
        let error = error.or_else(|| failure::reported(&body, root));
        return Err(error.map_or(DecodeError::Invalid, |error| {
            DecodeError::Reported(failure::reported_answer(dialect, &error))
        }));
    };
    let usage = found.tokens.map(|input| Usage {
        input,
        ..Usage::default()
    });
    let tokens = found.tokens.unwrap_or(context.tokens_in);
    let speaks_openai = !matches!(
        dialect,
        Dialect::Bedrock | Dialect::Gemini | Dialect::Vertex
    );
    let body = if !speaks_openai {
        written(&body, &vectors, wanted, context.model, tokens)?
    } else if vectors
        .iter()
        .all(|vector| vector::encoding(&body, *vector) == Some(wanted))
    {
        body
    } else {
        spliced(&body, &vectors, wanted)?
    };
    let body = if speaks_openai && usage.is_none() {
        with_usage(body, tokens)?
    } else {
        body
    };
    Ok(Answer {
        body,
        usage,
        text: String::new(),
        bare_root: None,
    })
}

/// What an answer holds.
#[derive(Default)]
struct Found {
    /// `None` when it is no answer.
    vectors: Option<Vec<Span>>,
    tokens: Option<u64>,
    error: Option<Span>,
}

impl Found {
    fn read(dialect: Dialect, body: &[u8], root: Span) -> Found {
        let mut found = Found::default();
        let mut walk = Walk::new(body, root);
        if !walk.enter(b'{') {
            return found;
        }
        while let Some(key) = walk.key() {
            let name = key.of(body);
            match (dialect, name) {
                (_, b"error") => found.error = walk.skip(),
                (Dialect::Bedrock, _) => found.invoked(name, &mut walk),
                (Dialect::Gemini | Dialect::Vertex, _) => found.embedded(name, &mut walk),
                _ => found.listed(name, &mut walk),
            }
        }
        found
    }

    /// OpenAI's: `{data: [{embedding}], usage: {prompt_tokens}}`.
    fn listed(&mut self, name: &[u8], walk: &mut Walk<'_>) {
        if name == b"data" {
            self.vectors = members(walk, b"embedding");
            return;
        }
        let value = walk.skip().unwrap_or_default();
        if name == b"usage" {
            self.tokens = ["prompt_tokens", "input_tokens", "total_tokens"]
                .iter()
                .find_map(|name| count(walk.body(), value, name));
        }
    }

    /// Titan's: `{embedding, inputTextTokenCount}`. Cohere's: `{embeddings: {float: [...]}}`, or the
    /// list itself.
    fn invoked(&mut self, name: &[u8], walk: &mut Walk<'_>) {
        let value = walk.skip().unwrap_or_default();
        let body = walk.body();
        let is_list = |value: &Span| json::kind(body, *value) == Some(Kind::Array);
        match name {
            b"embedding" if is_list(&value) => self.vectors = Some(vec![value]),
            b"embeddings" => {
                let list = json::member(body, value, "float").unwrap_or(value);
                self.vectors = Some(list)
                    .filter(is_list)
                    .map(|list| json::elements(body, list).collect());
            }
            b"inputTextTokenCount" => self.tokens = number(body, value),
            _ => {}
        }
    }

    /// Gemini's batch: `{embeddings: [{values}]}`. Vertex AI's: `{embedding: {values}}`, or
    /// `{predictions: [{embeddings: {values, statistics: {token_count}}}]}`.
    fn embedded(&mut self, name: &[u8], walk: &mut Walk<'_>) {
        if name == b"embeddings" {
            self.vectors = members(walk, b"values");
            return;
        }
        let value = walk.skip().unwrap_or_default();
        let body = walk.body();
        match name {
            b"embedding" => {
                self.vectors = json::member(body, value, "values").map(|vector| vec![vector]);
            }
            b"predictions" => {
                self.vectors = json::elements(body, value)
                    .map(|prediction| {
                        let embeddings = json::member(body, prediction, "embeddings")?;
                        json::member(body, embeddings, "values")
                    })
                    .collect();
                self.tokens = json::elements(body, value)
                    .map(|prediction| {
                        let embeddings = json::member(body, prediction, "embeddings")?;
                        let figures = json::member(body, embeddings, "statistics")?;
                        count(body, figures, "token_count")
                    })
                    .try_fold(0_u64, |sum, more| sum.checked_add(more?));
            }
            b"usageMetadata" => self.tokens = count(body, value, "promptTokenCount"),
            _ => {}
        }
    }
}

/// One member of each object in the list at the cursor, which is passed; `None` when an element has
/// none.
fn members(walk: &mut Walk<'_>, name: &[u8]) -> Option<Vec<Span>> {
    if !walk.enter(b'[') {
        walk.skip();
        return None;
    }
    let mut found = Some(Vec::new());
    while walk.element() {
        let mut value = None;
        if walk.enter(b'{') {
            while let Some(key) = walk.key() {
                let passed = walk.skip();
                if key.of(walk.body()) == name {
                    value = passed;
                }
            }
        } else {
            walk.skip();
        }
        match (value, &mut found) {
            (Some(value), Some(found)) => found.push(value),
            _ => found = None,
        }
    }
    found
}

fn count(body: &[u8], object: Span, name: &str) -> Option<u64> {
    number(body, json::member(body, object, name)?)
}

fn number(body: &[u8], value: Span) -> Option<u64> {
    let text = std::str::from_utf8(value.of(body)).ok()?;
    // Vertex AI's figures come out of a format that knows floats only.
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

/// An answer in OpenAI's format with its vectors in the other encoding.
fn spliced(body: &[u8], vectors: &[Span], wanted: Encoding) -> Result<Vec<u8>, DecodeError> {
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

/// OpenAI's clients expect a count where some servers tell none.
fn with_usage(body: Vec<u8>, tokens: u64) -> Result<Vec<u8>, DecodeError> {
    let root = json::document(&body).map_err(|_| DecodeError::Invalid)?;
    let mut usage = Vec::new();
    write_usage(tokens, &mut Writer::new(&mut usage));
    let mut edits = Edits::default();
    edits.set_member(&body, root, "usage", usage);
    Ok(edits.apply(&body))
}

fn written(
    body: &[u8],
    vectors: &[Span],
    wanted: Encoding,
    model: &str,
    tokens: u64,
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
    rest.key("model").string(model);
    write_usage(tokens, rest.key("usage"));
    out.push(b'}');
    Ok(out)
}

fn write_usage(tokens: u64, out: &mut Writer<'_>) {
    out.object(|out| {
        out.key("prompt_tokens").number(tokens);
        out.key("total_tokens").number(tokens);
    });
}
