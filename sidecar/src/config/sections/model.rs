//! `models` and prices.

use engine::usage::NanoUsd;
use engine::wire::{Model, Price};

use super::super::document::Value;
use super::super::reader::{Field, Object, Reader};
use super::super::{ModelConfig, ProviderConfig};
use super::{Names, TOKENS_MAX, reference};

/// Dollars per million tokens above this are a mistake.
const PRICE_NANO_MAX: NanoUsd = 1_000_000 * engine::usage::NANO_PER_USD;

/// The models of `providers`.
pub(super) fn models(
    top: &mut Object<'_>,
    names: &Names,
    providers: &[ProviderConfig],
    catalogue: &[Model],
    reader: &mut Reader<'_>,
) -> Vec<ModelConfig> {
    let mut found: Vec<ModelConfig> = Vec::new();
    let Some(list) = top.member("models") else {
        return found;
    };
    for field in reader.list(&list) {
        let Some(entry) = entry(field.clone(), names, reader) else {
            continue;
        };
        let Some(provider) = providers
            .iter()
            .find(|provider| provider.name == entry.provider)
        else {
            continue;
        };
        if found.iter().any(|model| model.id == entry.id) {
            reader.problem(&field, format!("model `{}` is given twice", entry.id));
            continue;
        }
        let known = catalogue
            .iter()
            .find(|known| known.provider == entry.provider && known.model == entry.model);
        let price = entry
            .price
            .or(known.map(|known| known.price))
            .or(provider.default_price);
        let Some(price) = price else {
            let text = format!(
                "model `{}` has no known price; add `price`, `price: free` or the provider's `default_price`",
                entry.id
            );
            reader.problem(&field, text);
            continue;
        };
        found.push(ModelConfig {
            context: entry
                .context
                .or(known.map(|known| known.context))
                .unwrap_or(0),
            max_output: entry
                .max_output
                .or(known.map(|known| known.max_output))
                .unwrap_or(0),
            id: entry.id,
            provider: entry.provider,
            model: entry.model,
            price,
        });
    }
    found
}

/// What an entry itself says.
struct Entry {
    id: String,
    provider: String,
    model: String,
    context: Option<u64>,
    max_output: Option<u64>,
    price: Option<Price>,
}

/// Reads an entry; `None` also when its `when` does not hold.
fn entry(field: Field<'_>, names: &Names, reader: &mut Reader<'_>) -> Option<Entry> {
    let mut object = reader.object(field)?;
    let present = reader.present(&mut object);
    let id = object
        .required("id", reader)
        .and_then(|field| reader.text(&field));
    let provider = object
        .required("provider", reader)
        .and_then(|field| reference(&field, names, reader));
    let model = object.member("model").and_then(|field| reader.text(&field));
    let mut tokens = |name| {
        object
            .member(name)
            .and_then(|field| reader.integer(&field, 0, TOKENS_MAX))
    };
    let (context, max_output) = (tokens("context"), tokens("max_output"));
    let price = object
        .member("price")
        .and_then(|field| price(field, reader));
    object.finish(reader);
    let (id, provider) = (id?, provider?);
    present.then(|| Entry {
        model: model.unwrap_or_else(|| id.clone()),
        id,
        provider,
        context,
        max_output,
        price,
    })
}

/// `free`, or dollars per million tokens by kind and dollars per call. A kind that is not given costs what its parent
/// kind costs, never less.
pub(super) fn price(field: Field<'_>, reader: &mut Reader<'_>) -> Option<Price> {
    if matches!(&field.node.value, Value::Scalar { text, .. } if text == "free") {
        return Some(Price::default());
    }
    if matches!(field.node.value, Value::Scalar { .. }) {
        reader.problem(
            &field,
            "expected `free`, or {input: USD, output: USD} per million tokens, or {per_call: USD}",
        );
        return None;
    }
    let mut object = reader.object(field)?;
    let per_call = object
        .member("per_call")
        .and_then(|field| rate(&field, reader));
    let mut tokens = |name, reader: &mut Reader<'_>| {
        let field = match per_call {
            Some(_) => object.member(name),
            None => object.required(name, reader),
        };
        match field {
            Some(field) => rate(&field, reader),
            None => per_call.and(Some(0)),
        }
    };
    let (input, output) = (tokens("input", reader), tokens("output", reader));
    let mut kind =
        |name, reader: &mut Reader<'_>| object.member(name).and_then(|field| rate(&field, reader));
    let cached_input = kind("cached_input", reader);
    let cache_write = kind("cache_write", reader);
    let reasoning = kind("reasoning", reader);
    let long_input = kind("long_input", reader);
    let long_output = kind("long_output", reader);
    let long_from = object
        .member("long_from")
        .and_then(|field| reader.integer(&field, 1, TOKENS_MAX))
        .unwrap_or(0);
    object.finish(reader);
    let (input, output) = (input?, output?);
    Some(Price {
        long_from,
        long_input: long_input.unwrap_or(input),
        long_output: long_output.unwrap_or(output),
        per_call: per_call.unwrap_or_default(),
        ..engine::price::price(input, output, cached_input, cache_write, reasoning)
    })
}

fn rate(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<NanoUsd> {
    let amount = reader.usd(field)?;
    if amount > PRICE_NANO_MAX {
        reader.problem(
            field,
            "more than a dollar per token: prices are per million tokens",
        );
        return None;
    }
    Some(amount)
}
