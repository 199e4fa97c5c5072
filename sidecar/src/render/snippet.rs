//! What to paste into an Envoy that is already there.
