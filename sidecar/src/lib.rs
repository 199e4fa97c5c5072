//! Weir's state service and what the command line does besides it.

pub mod call;
pub mod clock;
pub mod config;
pub mod demo;
pub mod envoy;
pub mod help;
mod http;
pub mod keys;
pub mod render;
pub mod serve;
pub mod up;
pub mod vault;

#[cfg(test)]
mod docs;
