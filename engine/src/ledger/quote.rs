//! The most that an exchange can cost, and the output cap that makes it affordable.

use super::{Ask, DERIVED_OUTPUT_TOKENS_MIN, UNKNOWN_OUTPUT_TOKENS};
use crate::usage::NanoUsd;
use crate::wire::Quote;

const TOKENS_PER_PRICE: i128 = 1_000_000;

/// What to hold for an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worst {
    /// Money to hold.
    pub hold_nano: NanoUsd,
    /// Output cap per choice to impose.
    pub output_cap: Option<u64>,
    /// Whether that is a slice of what the exchange can cost.
    pub sliced: bool,
}

/// The most that an exchange can cost, or the first slice of it, when `left_nano` (nothing: no hard
/// budget) covers it. Free exchanges pass whatever is left.
pub fn hold(ask: &Ask<'_>, left_nano: Option<NanoUsd>) -> Option<Worst> {
    let choices = u64::from(ask.choices.max(1));
    let slice = ask.slice_tokens.filter(|_| left_nano.is_some());
    let slice = slice.map_or(u64::MAX, |slice| slice.saturating_mul(choices));
    if let Some(cap) = ask.output_cap {
        let held = Worst {
            hold_nano: dearest(ask.quotes, |_| cap.min(slice)),
            output_cap: None,
            sliced: slice < cap,
        };
        return covered(held.hold_nano, left_nano).then_some(held);
    }
    let all = |quote: &Quote| maximum(quote).saturating_mul(choices);
    let most = Worst {
        hold_nano: dearest(ask.quotes, |quote| all(quote).min(slice)),
        output_cap: None,
        sliced: ask.quotes.iter().any(|quote| slice < all(quote)),
    };
    let Some(left) = left_nano else {
        return Some(most);
    };
    let bounded = |quote: &Quote| quote.output_max > 0 || quote.output_nano_per_mtok <= 0;
    let bounded = most.sliced || ask.quotes.iter().all(bounded);
    if covered(most.hold_nano, left_nano) && bounded {
        return Some(most);
    }
    let cap = affordable(ask.quotes, choices, left)?;
    let held = Worst {
        hold_nano: dearest(ask.quotes, |quote| {
            cap.min(maximum(quote)).saturating_mul(choices)
        }),
        output_cap: Some(cap),
        sliced: false,
    };
    covered(held.hold_nano, left_nano).then_some(held)
}

fn covered(hold: NanoUsd, left_nano: Option<NanoUsd>) -> bool {
    hold == 0 || left_nano.is_none_or(|left| hold <= left)
}

/// Output tokens of one choice.
fn maximum(quote: &Quote) -> u64 {
    if quote.output_max > 0 {
        quote.output_max
    } else {
        UNKNOWN_OUTPUT_TOKENS
    }
}

fn dearest(quotes: &[Quote], tokens: impl Fn(&Quote) -> u64) -> NanoUsd {
    let price = |quote: &Quote| {
        let output = i128::from(tokens(quote)) * i128::from(quote.output_nano_per_mtok.max(0));
        let rounded_up = (output + TOKENS_PER_PRICE - 1) / TOKENS_PER_PRICE;
        let sum = i128::from(quote.input_nano.max(0)) + rounded_up;
        NanoUsd::try_from(sum).unwrap_or(NanoUsd::MAX)
    };
    quotes.iter().map(price).max().unwrap_or(0)
}

/// The largest cap per choice at which every target fits into `left_nano`; `None` when that is less
/// than [`DERIVED_OUTPUT_TOKENS_MIN`] and less than what the model can produce.
fn affordable(quotes: &[Quote], choices: u64, left_nano: NanoUsd) -> Option<u64> {
    let mut cap = u64::MAX;
    for quote in quotes {
        let most = maximum(quote);
        let room = i128::from(left_nano) - i128::from(quote.input_nano.max(0));
        let each = i128::from(quote.output_nano_per_mtok.max(0)) * i128::from(choices);
        let fits = match (room * TOKENS_PER_PRICE).checked_div(each) {
            _ if room < 0 => return None,
            // The output is free.
            None => continue,
            Some(fits) => u64::try_from(fits).unwrap_or(u64::MAX),
        };
        if fits < most.min(DERIVED_OUTPUT_TOKENS_MIN) {
            return None;
        }
        // A target that fits whole needs no cap, unless nothing else bounds it.
        if fits < most || quote.output_max == 0 {
            cap = cap.min(fits.min(most));
        }
    }
    (cap < u64::MAX).then_some(cap)
}
