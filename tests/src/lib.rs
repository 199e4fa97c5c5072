//! What the end-to-end tests stand on: the programs they start and the words they share with the
//! fake provider.

pub mod behaviour;
