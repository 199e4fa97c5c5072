//! List prices of well-known models, so that a provider can be used before anybody writes prices.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

use super::nano;
use crate::usage::NanoUsd;
use crate::wire::{Model, Price};

/// The catalogue that is built in: only the sidecar reads it, so the filter does not carry it.
pub const CATALOGUE: &str = include_str!("../../data/prices.json");

/// Why a catalogue cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogueError {
    /// It is not JSON of the schema; the text says where.
    Malformed(String),
    /// A price of that model is not a plain decimal with at most nine digits after the point.
    Price { model: String, member: &'static str },
    /// Two entries have the same id.
    Repeated(String),
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CatalogueError::Malformed(what) => write!(f, "price catalogue: {what}"),
            CatalogueError::Price { model, member } => {
                write!(
                    f,
                    "price catalogue: {member} of {model} is not a plain decimal"
                )
            }
            CatalogueError::Repeated(model) => {
                write!(f, "price catalogue: {model} is there twice")
            }
        }
    }
}

impl std::error::Error for CatalogueError {}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    models: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'a> {
    id: String,
    provider: String,
    model: String,
    #[serde(default)]
    context: u64,
    #[serde(default)]
    max_output: u64,
    #[serde(borrow)]
    usd_per_mtok: Decimals<'a>,
    long: Option<Long<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decimals<'a> {
    #[serde(borrow)]
    input: Cow<'a, str>,
    cached_input: Option<Cow<'a, str>>,
    cache_write: Option<Cow<'a, str>>,
    output: Cow<'a, str>,
    reasoning: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Long<'a> {
    from: u64,
    #[serde(borrow)]
    input: Cow<'a, str>,
    output: Cow<'a, str>,
}

/// Reads a catalogue of the built-in one's schema. No entry is `listed`.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse_catalogue(json: &str) -> Result<Vec<Model>, CatalogueError> {
    let document: Document<'_> =
        serde_json::from_str(json).map_err(|e| CatalogueError::Malformed(e.to_string()))?;
    let mut ids = hashbrown::HashSet::new();
    document
        .models
        .into_iter()
        .map(|entry| {
            if !ids.insert(entry.id.clone()) {
                return Err(CatalogueError::Repeated(entry.id));
            }
            let price = price_of(&entry)?;
            Ok(Model {
                id: entry.id,
                provider: entry.provider,
                model: entry.model,
                context: entry.context,
                max_output: entry.max_output,
                price,
                listed: false,
            })
        })
        .collect()
}

fn price_of(entry: &Entry<'_>) -> Result<Price, CatalogueError> {
    let read = |decimal: &str, member: &'static str| -> Result<NanoUsd, CatalogueError> {
        nano(decimal).ok_or_else(|| CatalogueError::Price {
            model: entry.id.clone(),
            member,
        })
    };
    let read_optional = |decimal: &Option<Cow<'_, str>>, member| {
        decimal
            .as_deref()
            .map(|decimal| read(decimal, member))
            .transpose()
    };
    let usd = &entry.usd_per_mtok;
    let mut price = super::price(
        read(&usd.input, "input")?,
        read(&usd.output, "output")?,
        read_optional(&usd.cached_input, "cached_input")?,
        read_optional(&usd.cache_write, "cache_write")?,
        read_optional(&usd.reasoning, "reasoning")?,
    );
    if let Some(long) = &entry.long {
        price.long_from = long.from;
        price.long_input = read(&long.input, "long.input")?;
        price.long_output = read(&long.output, "long.output")?;
    }
    Ok(price)
}
