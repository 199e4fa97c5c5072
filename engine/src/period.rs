//! Budget periods.
