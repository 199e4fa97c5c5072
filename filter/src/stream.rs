//! What Envoy knows of a stream besides its heads and bodies.

use std::rc::Rc;

use engine::exchange::{RouteKey, RouteTries};
use engine::headers::Headers;

use crate::host;
use crate::root::Settings;
use crate::vm;

/// Whence the request came, when limits ask: the connection's peer, or behind trusted hops the address
/// that they tell of. Envoy decides which; no header of the client's is read here.
pub(crate) fn peer() -> Option<Vec<u8>> {
    let asked = vm::with(|vm| {
        let policy = vm.policy.as_ref();
        policy.is_some_and(|policy| policy.defaults().governed.addresses)
    });
    if asked != Some(true) {
        return None;
    }
    host::property(&["source", "address"])
}

/// How the request's route tries by itself, when it says so: nothing but the route knows whether it
/// is one that `weir render` has written.
pub(crate) fn route_tries(
    listener: &Rc<Settings>,
    head: &Headers,
    now_ms: u64,
) -> Option<Rc<RouteTries>> {
    let asked = RouteKey {
        listener: Rc::as_ptr(listener).addr(),
        authority: head.get(":authority").unwrap_or_default(),
        path: head.get(":path").unwrap_or_default(),
    };
    vm::with(|vm| {
        vm.routes.tries(asked, now_ms, || {
            host::property(&["xds", "route_metadata", "filter_metadata", "weir", "tries"])
        })
    })
    .flatten()
}

/// Why a stream ended, as Envoy names it.
pub(crate) fn code_details() -> Option<String> {
    let bytes = host::property(&["response", "code_details"])?;
    String::from_utf8(bytes).ok()
}
