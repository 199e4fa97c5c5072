//! What the end-to-end tests stand on: the programs they start, a gateway made of them, and small
//! clients that show every byte.

pub mod artefact;
pub mod behaviour;
pub mod cases;
pub mod client;
pub mod fleet;
pub mod gateway;
pub mod provider;
pub mod setup;
pub mod stores;
pub mod vault;
pub mod vector;

pub use test_servers::{postgres, process, redis};
