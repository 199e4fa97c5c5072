//! Weir as its users meet it: the real Envoy with the built filter, the real state service, fake
//! providers that speak the real wire formats. Each module starts a gateway and runs its cases on
//! it; each claim of the README has a case.

mod alerts;
mod answers;
mod budgets;
mod cache;
mod caps;
mod chat;
mod clients;
mod command_line;
mod completions;
mod dialects;
mod drills;
mod embeddings;
mod fallback;
mod faults;
mod guardrails;
mod holds;
mod judges;
mod keys;
mod leases;
mod ledger;
mod manual;
mod messages;
mod native;
mod operations;
mod passage;
mod paste;
mod pii;
mod providers;
mod rate_limits;
mod rate_scopes;
mod responses;
mod routing;
mod scopes;
mod signatures;
mod soak;
mod stores;
mod tls;
mod vaults;
mod webhooks;
