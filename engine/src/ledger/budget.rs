//! Limits on spend, and where spend stands.

use super::Scope;
use crate::period::{Period, Window};
use crate::price;
use crate::usage::NanoUsd;

/// A limit on a scope's spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The most that may be spent in a window.
    pub limit_nano: NanoUsd,
    /// How long a window is.
    pub period: Period,
    /// Whether exchanges above it are refused; otherwise it is only reported.
    pub hard: bool,
    /// Where spend is worth a message.
    pub thresholds: Thresholds,
}

/// Thresholds of one budget. Further ones are left out.
pub const THRESHOLDS_MAX: usize = 8;

/// Parts of a limit, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thresholds([u32; THRESHOLDS_MAX]);

impl Thresholds {
    /// The first [`THRESHOLDS_MAX`] of `ppm` that are not zero.
    pub fn new(ppm: impl IntoIterator<Item = u32>) -> Thresholds {
        let mut thresholds = Thresholds::default();
        let some = ppm.into_iter().filter(|ppm| *ppm > 0);
        for (place, ppm) in thresholds.0.iter_mut().zip(some) {
            *place = ppm;
        }
        thresholds
    }

    /// Those that are set.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied().filter(|ppm| *ppm > 0)
    }
}

impl Budget {
    /// The spend at a threshold.
    pub(super) fn at(&self, threshold_ppm: u32) -> NanoUsd {
        let part = i128::from(self.limit_nano) * i128::from(threshold_ppm) / PPM;
        NanoUsd::try_from(part).unwrap_or(NanoUsd::MAX)
    }
}

const PPM: i128 = 1_000_000;

/// A threshold that spend has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Whose budget it is.
    pub scope: Scope,
    /// The budget.
    pub budget: Budget,
    /// The threshold, in millionths of the limit.
    pub threshold_ppm: u32,
    /// The window it was reached in.
    pub window: Window,
    /// Spend at that moment.
    pub spent_nano: NanoUsd,
}

/// A budget with its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetState {
    /// The limit.
    pub budget: Budget,
    /// The same as [`Ledger::spend`] for the budget's period.
    pub spend: Spend,
}

/// What a scope spent in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spend {
    /// The window.
    pub window: Window,
    /// Settled.
    pub spent_nano: NanoUsd,
    /// Promised to exchanges that are still running.
    pub held_nano: NanoUsd,
}

/// The budget that refused. Of several, the one that starts anew last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdrawn {
    /// The budget.
    pub budget: Budget,
    /// Seconds until its window ends, rounded up; `None` when it never does.
    pub retry_after_s: Option<u64>,
}

impl Overdrawn {
    /// The sentence for the caller: `Monthly budget limit $500 exceeded`.
    pub fn message(&self) -> String {
        let limit = price::usd(self.budget.limit_nano);
        format!(
            "{} budget limit ${limit} exceeded",
            self.budget.period.word()
        )
    }
}

impl Spend {
    /// What `budget` still covers in this window; negative when it is overdrawn.
    pub fn left(&self, budget: Budget) -> NanoUsd {
        budget
            .limit_nano
            .saturating_sub(self.spent_nano)
            .saturating_sub(self.held_nano)
    }
}
