//! Prices and costs.
