//! What is asked for.

use crate::dialect::parameters::DroppedNames;
use crate::json::{self, Kind, Span};
use crate::limits::EMBEDDING_INPUTS_MAX;
use crate::request::RequestError;

/// How vectors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Base64 of little-endian 32-bit floats.
    Base64,
    /// A list of numbers.
    Float,
}

impl Encoding {
    /// What a request asks for; numbers when it says nothing that is known.
    pub(super) fn of(body: &[u8], root: Span) -> Encoding {
        let asked = json::member(body, root, "encoding_format");
        match asked.and_then(|asked| json::string(body, asked)).as_deref() {
            Some("base64") => Encoding::Base64,
            _ => Encoding::Float,
        }
    }
}

/// A request that is valid by OpenAI's contract.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) body: &'a [u8],
    pub(super) root: Span,
    input: Span,
    /// The inputs are token ids and not texts.
    is_tokens: bool,
    /// `dimensions`: a positive number as it is written.
    pub(super) dimensions: Option<Span>,
}

impl<'a> Asked<'a> {
    pub(super) fn read(body: &'a [u8], root: Span) -> Result<Asked<'a>, RequestError> {
        let input = some(body, root, "input")
            .ok_or_else(|| invalid("input", "'input' must be a text, or a list of texts"))?;
        let dimensions = some(body, root, "dimensions");
        if dimensions.is_some_and(|value| json::number_u64(body, value).is_none_or(|it| it == 0)) {
            return Err(invalid(
                "dimensions",
                "'dimensions' must be a positive integer",
            ));
        }
        if let Some(format) = some(body, root, "encoding_format")
            && !matches!(
                json::string(body, format).as_deref(),
                Some("float" | "base64")
            )
        {
            return Err(invalid(
                "encoding_format",
                "'encoding_format' must be float or base64",
            ));
        }
        Ok(Asked {
            body,
            root,
            input,
            is_tokens: check(body, input)?,
            dimensions,
        })
    }

    /// The texts as they are written, with their quotes.
    ///
    /// # Errors
    /// The inputs are token ids, which mean nothing to another provider's model.
    pub(super) fn texts(&self) -> Result<Vec<Span>, RequestError> {
        self.refuse_tokens()?;
        Ok(match json::kind(self.body, self.input) {
            Some(Kind::String) => vec![self.input],
            _ => json::elements(self.body, self.input).collect(),
        })
    }

    /// The text of a model that takes one at a time.
    ///
    /// # Errors
    /// As [`Asked::texts`], and when there are several.
    pub(super) fn only_text(&self) -> Result<Span, RequestError> {
        match self.texts()?.as_slice() {
            [text] => Ok(*text),
            texts => Err(invalid(
                "input",
                format!(
                    "this provider's model takes one text per call, not {}",
                    texts.len()
                ),
            )),
        }
    }

    /// # Errors
    /// The inputs are token ids.
    pub(super) fn refuse_tokens(&self) -> Result<(), RequestError> {
        if self.is_tokens {
            return Err(invalid("input", "this provider takes texts, not token ids"));
        }
        Ok(())
    }

    /// A member that says something.
    pub(super) fn get(&self, name: &str) -> Option<Span> {
        some(self.body, self.root, name)
    }

    /// Names of the members that say something, beyond those every format has a place for and
    /// those `known`.
    pub(super) fn others(&self, known: &[&str]) -> DroppedNames {
        let mut others = DroppedNames::default();
        for member in json::members(self.body, self.root) {
            let name = json::unescaped(member.key.of(self.body)).unwrap_or_default();
            let is_known = matches!(&*name, "model" | "input" | "encoding_format" | "dimensions")
                || known.contains(&&*name);
            if !is_known && json::kind(self.body, member.value) != Some(Kind::Null) {
                others.add(&name);
            }
        }
        others
    }
}

/// Checks the inputs, and tells whether they are token ids.
fn check(body: &[u8], input: Span) -> Result<bool, RequestError> {
    let kind = match json::kind(body, input) {
        Some(Kind::String) => return text(body, input, || "input".to_owned()).map(|()| false),
        Some(Kind::Array) => json::elements(body, input)
            .next()
            .and_then(|first| json::kind(body, first)),
        _ => None,
    };
    match kind {
        Some(Kind::Number) => tokens(body, input, || "input".to_owned()).map(|()| true),
        Some(kind @ (Kind::String | Kind::Array)) => {
            for (index, element) in json::elements(body, input).enumerate() {
                let place = || format!("input[{index}]");
                if index >= EMBEDDING_INPUTS_MAX {
                    let message =
                        format!("'input' must hold at most {EMBEDDING_INPUTS_MAX} inputs");
                    return Err(invalid("input", message));
                }
                if kind == Kind::String {
                    text(body, element, place)?;
                } else {
                    tokens(body, element, place)?;
                }
            }
            Ok(kind == Kind::Array)
        }
        _ => Err(invalid(
            "input",
            "'input' must be a text, or a list of texts that is not empty",
        )),
    }
}

fn text(body: &[u8], value: Span, place: impl Fn() -> String) -> Result<(), RequestError> {
    match json::kind(body, value) {
        Some(Kind::String) if !value.unquoted().is_empty() => Ok(()),
        Some(Kind::String) => Err(invalid(
            place(),
            format!("'{}' must not be an empty text", place()),
        )),
        _ => Err(invalid(place(), format!("'{}' must be a text", place()))),
    }
}

fn tokens(body: &[u8], list: Span, place: impl Fn() -> String) -> Result<(), RequestError> {
    let mut ids = json::elements(body, list).peekable();
    let some = ids.peek().is_some();
    if some && ids.all(|id| json::number_u64(body, id).is_some()) {
        return Ok(());
    }
    Err(invalid(
        place(),
        format!("'{}' must be a list of token ids", place()),
    ))
}

fn some(body: &[u8], root: Span, name: &str) -> Option<Span> {
    json::member(body, root, name).filter(|value| json::kind(body, *value) != Some(Kind::Null))
}

fn invalid(param: impl Into<String>, message: impl Into<String>) -> RequestError {
    RequestError::invalid(param, message)
}
