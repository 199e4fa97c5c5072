//! `weir`: the state service and the command line.

fn main() {}
