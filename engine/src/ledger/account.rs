//! One scope's budgets and windows.

use super::{Budget, Spend};
use crate::period::Period;
use crate::usage::NanoUsd;

/// One scope: its spend in every period, so that a budget can change its period at any time.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) budgets: Vec<Budget>,
    spends: [(Period, Spend); 6],
    /// Unix milliseconds at which the next window of any period ends.
    rolls_ms: u64,
}

impl Account {
    pub(super) fn new(now_ms: u64) -> Account {
        let spend = |period: Period| {
            (
                period,
                Spend {
                    window: period.window(now_ms),
                    ..Spend::default()
                },
            )
        };
        let spends = Period::ALL.map(spend);
        Account {
            budgets: Vec::new(),
            spends,
            rolls_ms: Period::Daily.window(now_ms).end_ms.unwrap_or(0),
        }
    }

    /// Starts the windows that `now_ms` has reached. A day ends no later than any other window.
    pub(super) fn roll(&mut self, now_ms: u64) {
        if now_ms < self.rolls_ms {
            return;
        }
        for (period, spend) in &mut self.spends {
            if !spend.window.holds(now_ms) {
                *spend = Spend {
                    window: period.window(now_ms),
                    ..Spend::default()
                };
            }
        }
        self.rolls_ms = Period::Daily.window(now_ms).end_ms.unwrap_or(u64::MAX);
    }

    pub(super) fn spend(&self, period: Period) -> Option<&Spend> {
        self.spends
            .iter()
            .find(|(of, _)| *of == period)
            .map(|(_, spend)| spend)
    }

    pub(super) fn charge(&mut self, at_ms: u64, cost_nano: NanoUsd) {
        for (_, spend) in self
            .spends
            .iter_mut()
            .filter(|(_, spend)| spend.window.holds(at_ms))
        {
            spend.spent_nano = spend.spent_nano.saturating_add(cost_nano);
        }
    }

    pub(super) fn hold(&mut self, at_ms: u64, amount_nano: NanoUsd) {
        for (_, spend) in self
            .spends
            .iter_mut()
            .filter(|(_, spend)| spend.window.holds(at_ms))
        {
            spend.held_nano = spend.held_nano.saturating_add(amount_nano);
        }
    }
}
