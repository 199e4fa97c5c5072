#!/usr/bin/env python3
"""Fails when the filter imports what a proxy-wasm host need not have.

A host that lacks one import refuses the whole module, so the list is closed.
"""
import sys

ENV = {
    "proxy_add_header_map_value", "proxy_call_foreign_function", "proxy_close_stream",
    "proxy_continue_stream", "proxy_define_metric", "proxy_dequeue_shared_queue", "proxy_done",
    "proxy_enqueue_shared_queue", "proxy_get_buffer_bytes", "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs", "proxy_get_header_map_value", "proxy_get_log_level",
    "proxy_get_property", "proxy_get_shared_data", "proxy_get_status", "proxy_grpc_call",
    "proxy_grpc_cancel", "proxy_grpc_close", "proxy_grpc_send", "proxy_grpc_stream",
    "proxy_http_call", "proxy_log", "proxy_record_metric", "proxy_register_shared_queue",
    "proxy_remove_header_map_value", "proxy_replace_header_map_value",
    "proxy_resolve_shared_queue", "proxy_send_local_response", "proxy_set_buffer_bytes",
    "proxy_set_effective_context", "proxy_set_header_map_pairs", "proxy_set_property",
    "proxy_set_shared_data", "proxy_set_tick_period_milliseconds",
}
WASI = {"environ_get", "environ_sizes_get", "fd_write", "proc_exit", "random_get",
        "clock_time_get", "sched_yield"}
ALLOWED = {("env", name) for name in ENV} | {("wasi_snapshot_preview1", name) for name in WASI}


def number(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def text(data, at):
    length, at = number(data, at)
    return data[at:at + length].decode(), at + length


def imports(data):
    at = 8
    while at < len(data):
        section = data[at]
        size, at = number(data, at + 1)
        if section == 2:
            count, entry = number(data, at)
            for _ in range(count):
                module, entry = text(data, entry)
                name, entry = text(data, entry)
                kind = data[entry]
                if kind != 0:
                    sys.exit(f"{module}.{name} is imported, and is no function")
                _, entry = number(data, entry + 1)
                yield module, name
        at += size


found = set(imports(open(sys.argv[1], "rb").read()))
odd = sorted(found - ALLOWED)
if odd:
    sys.exit("imports outside the allow-list: " + ", ".join(".".join(one) for one in odd))
print(f"{len(found)} imports, all on the allow-list")
