//! Wire formats of providers.
