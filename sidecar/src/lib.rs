//! Weir's state service and what the command line does besides it.

pub mod config;
pub mod render;
