//! Everything Weir decides, as values: bytes and events in, effects and bytes out.
//!
//! No host, clock, environment or randomness is reachable from here: time and random numbers are
//! arguments. The compiler enforces it through this crate's dependency list.

pub mod limits;
pub mod reply;
pub mod usage;
pub mod wire;

pub mod address;
pub mod cache_key;
pub mod dialect;
mod digits;
pub mod endpoint;
pub mod event_stream;
pub mod exchange;
pub mod guard;
pub mod headers;
pub mod ingress;
pub mod json;
pub mod keys;
pub mod lease;
pub mod ledger;
mod lenient;
pub mod limit;
pub mod outbox;
pub mod period;
pub mod plan;
pub mod policy;
pub mod price;
pub mod request;
pub mod route;
pub mod sse;
pub mod tokens;

#[cfg(test)]
mod golden;
