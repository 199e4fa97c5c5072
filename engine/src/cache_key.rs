//! Canonical keys of the exact cache.
