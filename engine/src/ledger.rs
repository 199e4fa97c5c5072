//! Budgets and holds.
