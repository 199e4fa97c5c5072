//! `weir`: the state service and the command line.

mod config;

fn main() {}
