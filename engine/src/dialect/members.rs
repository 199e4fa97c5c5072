//! A request's members as the encoders read them.

use std::borrow::Cow;

use super::parameters::DroppedNames;
use crate::json::{self, Kind, Span};

/// A request under translation, and what is left out of it.
pub(super) struct Members<'a> {
    pub(super) body: &'a [u8],
    pub(super) root: Span,
    pub(super) dropped: DroppedNames,
}

impl<'a> Members<'a> {
    /// A member that says something.
    pub(super) fn get(&self, name: &str) -> Option<Span> {
        json::member(self.body, self.root, name)
            .filter(|value| json::kind(self.body, *value) != Some(Kind::Null))
    }

    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)
            .and_then(|value| json::string(self.body, value))
    }

    /// A number as it is written, and its value.
    pub(super) fn number(&self, name: &str) -> Option<(Span, f64)> {
        let value = self.get(name)?;
        let text = std::str::from_utf8(value.of(self.body)).ok()?;
        text.parse().ok().map(|number| (value, number))
    }

    /// Names a sampling parameter as left out, unless its value is the model's own.
    pub(super) fn drop_unless_default(&mut self, name: &str, number: f64) {
        if number != 1.0 {
            self.dropped.add(name);
        }
    }

    /// The texts of `stop` that are not blank, and whether there are others.
    pub(super) fn stops(&self) -> (Vec<Cow<'a, str>>, bool) {
        let Some(stop) = self.get("stop") else {
            return (Vec::new(), false);
        };
        let mut texts: Vec<Cow<'a, str>> = match json::string(self.body, stop) {
            Some(text) => vec![text],
            None => json::elements(self.body, stop)
                .filter_map(|element| json::string(self.body, element))
                .collect(),
        };
        let count = texts.len();
        texts.retain(|text| !text.trim().is_empty());
        let has_blank = texts.len() < count;
        (texts, has_blank)
    }

    /// What the answer has to look like.
    pub(super) fn format(&self) -> Format {
        let body = self.body;
        let Some(format) = self.get("response_format") else {
            return Format::Text;
        };
        let kind = json::member(body, format, "type").and_then(|kind| json::string(body, kind));
        let group = json::member(body, format, "json_schema").unwrap_or_default();
        match (kind.as_deref(), json::member(body, group, "schema")) {
            (Some("json_schema"), Some(schema)) => Format::Schema {
                schema,
                name: json::member(body, group, "name"),
            },
            (Some("json_schema" | "json_object"), _) => Format::Json,
            _ => Format::Text,
        }
    }
}

/// `response_format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    /// Any object.
    Json,
    Schema {
        schema: Span,
        name: Option<Span>,
    },
}

impl Format {
    /// What to tell a model that has no setting for it; `None` for a text.
    pub(super) fn instruction(self, body: &[u8]) -> Option<String> {
        match self {
            Format::Text => None,
            Format::Json => Some("Answer with one JSON object, and with nothing else.".to_owned()),
            Format::Schema { schema, .. } => {
                let mut compact = Vec::new();
                json::compact_into(body, schema, &mut compact);
                let schema = String::from_utf8_lossy(&compact);
                Some(format!(
                    "Answer with one JSON document that fits this JSON schema, and with nothing \
                     else:\n{schema}"
                ))
            }
        }
    }
}
