//! Routing to an ordered list of targets.
