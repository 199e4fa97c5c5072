//! What tokens cost, in whole nano-dollars. No float is involved anywhere.

use crate::digits::Decimal;
use crate::usage::{NANO_PER_USD, NanoUsd, Usage};
use crate::wire::Price;

mod catalogue;

pub use catalogue::{CATALOGUE, CatalogueError, parse_catalogue};

/// Tokens that a [`Price`] is for.
const TOKENS_PER_PRICE: i128 = 1_000_000;
/// Digits after the point that a nano-dollar can hold.
const DECIMALS_MAX: usize = 9;

/// Price of an exchange, rounded up to the next nano-dollar once, at the end.
///
/// Cached and written prompt tokens are taken out of `usage.input` and priced on their own, as is
/// reasoning out of `usage.output`. From [`Price::long_from`] prompt tokens on the whole request
/// has the long price, its parts in the proportion they have below.
pub fn cost(price: &Price, usage: &Usage) -> NanoUsd {
    let cached = usage.cached_input.min(usage.input);
    let written = usage.cache_write.min(usage.input.saturating_sub(cached));
    let plain = usage.input.saturating_sub(cached).saturating_sub(written);
    let reasoning = usage.reasoning.min(usage.output);
    let answer = usage.output.saturating_sub(reasoning);
    let rates = Rates::of(price, usage.input);
    per_million(&[
        (plain, rates.input),
        (cached, rates.cached_input),
        (written, rates.cache_write),
        (answer, rates.output),
        (reasoning, rates.reasoning),
    ])
}

/// The most that a prompt of `tokens_in` tokens can cost, whatever of it is cached or written.
pub fn worst_input(price: &Price, tokens_in: u64) -> NanoUsd {
    let rates = Rates::of(price, tokens_in);
    let dearest = rates.input.max(rates.cache_write).max(rates.cached_input);
    per_million(&[(tokens_in, dearest)])
}

/// The dearest price of an output token for a prompt of `tokens_in` tokens, nano-dollars per
/// million.
pub fn worst_output_per_mtok(price: &Price, tokens_in: u64) -> NanoUsd {
    let rates = Rates::of(price, tokens_in);
    rates.output.max(rates.reasoning)
}

/// A price from its decimals, with what providers mean when they name no special price: cached
/// and written tokens cost what prompt tokens cost, reasoning what output costs.
pub fn price(
    input: NanoUsd,
    output: NanoUsd,
    cached_input: Option<NanoUsd>,
    cache_write: Option<NanoUsd>,
    reasoning: Option<NanoUsd>,
) -> Price {
    Price {
        input,
        cached_input: cached_input.unwrap_or(input),
        cache_write: cache_write.unwrap_or(input),
        output,
        reasoning: reasoning.unwrap_or(output),
        ..Price::default()
    }
}

/// Dollars as nano-dollars: `"0.15"` is 150,000,000. `None` unless it is a plain decimal, not
/// negative, with at most nine digits after the point, that fits.
pub fn nano(usd: &str) -> Option<NanoUsd> {
    let (whole, fraction) = usd.split_once('.').unwrap_or((usd, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > DECIMALS_MAX {
        return None;
    }
    let scale = 10_i64.checked_pow(u32::try_from(DECIMALS_MAX - fraction.len()).ok()?)?;
    let fraction = fraction.parse::<i64>().ok()?.checked_mul(scale)?;
    whole
        .parse::<i64>()
        .ok()?
        .checked_mul(NANO_PER_USD)?
        .checked_add(fraction)
}

/// Nano-dollars as dollars, a plain decimal without exponent and trailing zeros: `"0.0000525"`.
pub fn usd(nano: NanoUsd) -> String {
    let scale = NANO_PER_USD.unsigned_abs();
    let mut text = String::with_capacity(24);
    if nano < 0 {
        text.push('-');
    }
    let nano = nano.unsigned_abs();
    text.push_str(Decimal::of(nano / scale).as_str());
    let fraction = nano % scale;
    if fraction != 0 {
        text.push('.');
        // Ten digits, of which the first keeps the zeros behind it.
        let digits = Decimal::of(scale + fraction);
        let digits = digits.as_str().get(1..).unwrap_or_default();
        text.push_str(digits.trim_end_matches('0'));
    }
    text
}

/// What one million tokens of each kind cost in one request.
struct Rates {
    input: NanoUsd,
    cached_input: NanoUsd,
    cache_write: NanoUsd,
    output: NanoUsd,
    reasoning: NanoUsd,
}

impl Rates {
    fn of(price: &Price, tokens_in: u64) -> Rates {
        let Price {
            input,
            cached_input,
            cache_write,
            output,
            reasoning,
            ..
        } = *price;
        if price.long_from == 0 || tokens_in < price.long_from {
            return Rates {
                input,
                cached_input,
                cache_write,
                output,
                reasoning,
            };
        }
        Rates {
            input: price.long_input,
            cached_input: scaled(cached_input, price.long_input, input),
            cache_write: scaled(cache_write, price.long_input, input),
            output: price.long_output,
            reasoning: scaled(reasoning, price.long_output, output),
        }
    }
}

/// `part` in the proportion of `long` to `short`, rounded up; `long` itself where that says nothing.
fn scaled(part: NanoUsd, long: NanoUsd, short: NanoUsd) -> NanoUsd {
    if short == 0 {
        return long;
    }
    let product = i128::from(part) * i128::from(long);
    narrow(divided_up(product, i128::from(short)))
}

fn per_million(parts: &[(u64, NanoUsd)]) -> NanoUsd {
    // Five products of 64 by 63 bits can not all be that large; saturating keeps it from wrapping.
    let sum = parts.iter().fold(0_i128, |sum, (tokens, rate)| {
        sum.saturating_add(i128::from(*tokens).saturating_mul(i128::from(*rate)))
    });
    narrow(divided_up(sum, TOKENS_PER_PRICE))
}

fn divided_up(dividend: i128, divisor: i128) -> i128 {
    let floor = dividend.div_euclid(divisor);
    if dividend.rem_euclid(divisor) == 0 {
        floor
    } else {
        floor.saturating_add(1)
    }
}

fn narrow(nano: i128) -> NanoUsd {
    NanoUsd::try_from(nano).unwrap_or(NanoUsd::MAX)
}

#[cfg(test)]
mod tests;
