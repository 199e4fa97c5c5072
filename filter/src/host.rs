//! Every host call there is, in one place.
//!
//! The SDK's own wrappers panic on a status they do not expect and on header bytes that are not
//! UTF-8, and a panic ends every stream of the worker. So the calls are declared here: bytes in
//! and out, and each status that is not `OK` becomes an absent value.
#![expect(unsafe_code, reason = "the proxy-wasm ABI is a C interface")]

use std::time::Duration;

use engine::headers::{Change, Headers};
use proxy_wasm::hostcalls;
use proxy_wasm::types::LogLevel;

const OK: u32 = 0;

/// Which headers.
#[derive(Clone, Copy)]
pub(crate) enum Map {
    Request = 0,
    Response = 2,
    CallResponse = 6,
}

/// Which bytes.
#[derive(Clone, Copy)]
pub(crate) enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    CallBody = 4,
    PluginConfiguration = 7,
}

/// Which half of a stream.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Request = 0,
    Response = 1,
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_header_map_pairs(map: u32, data: *const u8, size: usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(
        buffer: u32,
        start: usize,
        replaced: usize,
        data: *const u8,
        size: usize,
    ) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_close_stream(stream: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        results: *mut *mut u8,
        results_size: *mut usize,
    ) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
}

/// Takes over bytes that the host placed in memory got from `proxy_on_memory_allocate`.
fn taken(data: *mut u8, size: usize) -> Vec<u8> {
    if data.is_null() || size == 0 {
        return Vec::new();
    }
    // SAFETY: the host allocated exactly `size` bytes through the SDK's `Vec`-backed allocator
    // and hands them over.
    unsafe { Vec::from_raw_parts(data, size, size) }
}

fn returned(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Vec<u8>> {
    let mut data = std::ptr::null_mut();
    let mut size = 0;
    let status = call(&raw mut data, &raw mut size);
    (status == OK).then(|| taken(data, size))
}

/// All headers of a map; empty outside the phase that has it.
pub(crate) fn headers(map: Map) -> Headers {
    // SAFETY: out-pointers live through the call.
    returned(|data, size| unsafe { proxy_get_header_map_pairs(map as u32, data, size) })
        .and_then(Headers::from_wire)
        .unwrap_or_default()
}

/// Replaces all headers of a map.
pub(crate) fn set_headers(map: Map, mut headers: Headers) -> bool {
    let bytes = headers.wire();
    // SAFETY: the slice lives through the call.
    unsafe { proxy_set_header_map_pairs(map as u32, bytes.as_ptr(), bytes.len()) == OK }
}

/// Changes a map: `false` when the host did not take each change.
pub(crate) fn change_headers(map: Map, changes: &[Change<'_>]) -> bool {
    let mut all = true;
    for change in changes {
        all &= match *change {
            Change::Remove(name) => remove_header(map, name),
            Change::Replace(name, value) => set_header(map, name, value),
            Change::Add(name, value) => put(proxy_add_header_map_value, map, name, value),
        };
    }
    all
}

/// One header.
pub(crate) fn header(map: Map, name: &str) -> Option<Vec<u8>> {
    // SAFETY: pointers live through the call.
    returned(|data, size| unsafe {
        proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size)
    })
}

/// Sets one header, in place of whatever it was.
pub(crate) fn set_header(map: Map, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> bool {
    put(
        proxy_replace_header_map_value,
        map,
        name.as_ref(),
        value.as_ref(),
    )
}

/// A host call that takes a map, a name and a value.
type Put = unsafe extern "C" fn(u32, *const u8, usize, *const u8, usize) -> u32;

fn put(call: Put, map: Map, name: &[u8], value: &[u8]) -> bool {
    // SAFETY: the slices live through the call.
    let status = unsafe {
        call(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    };
    status == OK
}

/// Removes a header.
pub(crate) fn remove_header(map: Map, name: impl AsRef<[u8]>) -> bool {
    let name = name.as_ref();
    // SAFETY: the slice lives through the call.
    unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) == OK }
}

/// The first `size` bytes of a buffer.
pub(crate) fn bytes(buffer: Buffer, size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    // SAFETY: out-pointers live through the call.
    returned(|data, got| unsafe { proxy_get_buffer_bytes(buffer as u32, 0, size, data, got) })
        .unwrap_or_default()
}

/// Replaces a whole buffer.
pub(crate) fn set_bytes(buffer: Buffer, bytes: &[u8]) -> bool {
    // SAFETY: the slice lives through the call; the host clamps the replaced length.
    let status = unsafe {
        proxy_set_buffer_bytes(buffer as u32, 0, usize::MAX, bytes.as_ptr(), bytes.len())
    };
    status == OK
}

/// A property of the stream, such as `["response", "code_details"]`.
pub(crate) fn property(path: &[&str]) -> Option<Vec<u8>> {
    let path = path.join("\0");
    // SAFETY: pointers live through the call.
    returned(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// Writes filter state `wasm.NAME`, which Envoy's own configuration can look at.
pub(crate) fn mark(name: &str, value: &str) {
    // SAFETY: the slices live through the call.
    unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

/// Lets a held stream go on.
pub(crate) fn resume(stream: Stream) {
    // SAFETY: no pointers.
    unsafe { proxy_continue_stream(stream as u32) };
}

/// Resets a stream.
pub(crate) fn close(stream: Stream) {
    // SAFETY: no pointers.
    unsafe { proxy_close_stream(stream as u32) };
}

/// Answers a request here.
pub(crate) fn reply(status: u16, mut headers: Headers, body: &[u8]) {
    let headers = headers.wire();
    let details = "weir";
    // SAFETY: the slices live through the call.
    unsafe {
        proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        )
    };
}

/// Makes Envoy choose the route again, from the headers as they are now.
pub(crate) fn clear_route_cache() {
    let name = "clear_route_cache";
    let mut data = std::ptr::null_mut();
    let mut size = 0;
    // SAFETY: pointers live through the call; what is returned is taken over.
    let status = unsafe {
        proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            std::ptr::null(),
            0,
            &raw mut data,
            &raw mut size,
        )
    };
    if status == OK {
        drop(taken(data, size));
    }
}

/// Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    now_us() / 1_000
}

/// Unix microseconds.
pub(crate) fn now_us() -> u64 {
    let mut nanoseconds = 0;
    // SAFETY: the out-pointer lives through the call.
    unsafe { proxy_get_current_time_nanoseconds(&raw mut nanoseconds) };
    nanoseconds / 1_000
}

/// A histogram among Envoy's own statistics, where it is called `wasmcustom.` and this name.
pub(crate) fn histogram(name: &str) -> Option<u32> {
    const HISTOGRAM: u32 = 2;
    let mut id = 0;
    // SAFETY: pointers live through the call.
    let status = unsafe { proxy_define_metric(HISTOGRAM, name.as_ptr(), name.len(), &raw mut id) };
    (status == OK).then_some(id)
}

/// Adds a value to a histogram.
pub(crate) fn observe(histogram: u32, value: u64) {
    // SAFETY: no pointers.
    unsafe { proxy_record_metric(histogram, value) };
}

/// Sets the root context's timer.
pub(crate) fn tick_every_ms(period_ms: u32) {
    // SAFETY: no pointers.
    unsafe { proxy_set_tick_period_milliseconds(period_ms) };
}

/// Makes the calls that follow in this callback those of another context.
pub(crate) fn enter(context: u32) {
    // SAFETY: no pointers.
    unsafe { proxy_set_effective_context(context) };
}

/// Envoy's log level for wasm.
pub(crate) fn log_level() -> LogLevel {
    let mut level = LogLevel::Warn as u32;
    // SAFETY: the out-pointer lives through the call.
    unsafe { proxy_get_log_level(&raw mut level) };
    match level {
        0 => LogLevel::Trace,
        1 => LogLevel::Debug,
        2 => LogLevel::Info,
        3 => LogLevel::Warn,
        _ => LogLevel::Error,
    }
}

/// Posts JSON to a cluster. The answer comes to the calling context with the token returned.
pub(crate) fn post(cluster: &str, path: &str, body: &[u8], timeout: Duration) -> Option<u32> {
    let headers = vec![
        (":method", "POST"),
        (":path", path),
        (":authority", "weir"),
        ("content-type", "application/json"),
    ];
    // The SDK has to make this call: it remembers which context the answer belongs to.
    hostcalls::dispatch_http_call(cluster, headers, Some(body), vec![], timeout).ok()
}

/// Posts to somebody outside, with all headers of the call.
pub(crate) fn post_outside(
    cluster: &str,
    headers: &[(String, String)],
    body: &[u8],
    timeout: Duration,
) -> Option<u32> {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    hostcalls::dispatch_http_call(cluster, headers, Some(body), vec![], timeout).ok()
}
