//! Weir's filter: the glue between Envoy's proxy-wasm host and [`engine`].
//!
//! A callback copies what the machine asked for into an event and performs the step it gets
//! back. Nothing here decides. One module runs in two roles: *policy* in the listener's chain and
//! *adapter* in the upstream chain of each provider cluster. Both share one VM per worker, and
//! so the state in [`vm`].

mod adapter;
mod host;
mod policy;
mod root;
mod stream;
mod vm;

proxy_wasm::main! {{
    // The host answers no call before a root context exists; that one asks for the real level.
    proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(root::Root::default()));
}}
