#!/usr/bin/env bash
# Runs cargo for the filter's target: `scripts/wasm.sh build --release` and the like.
#
# With rustup the target's standard library comes from rustup. Where that cannot be had, Debian's
# packages bring a compiler with the library's source, and cargo builds the library itself.
# WEIR_WASM_TOOLCHAIN=rustup|debian chooses; the default takes the first that works.
set -euo pipefail
cd "$(dirname "$0")/.."
target=wasm32-wasip1
say() { printf '\033[1m[weir]\033[0m %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

has_rustup_target() {
  local libdir
  libdir=$(rustc --print target-libdir --target "$target" 2>/dev/null) && [ -d "$libdir" ]
}

with_rustup() {
  has_rustup_target && return 0
  command -v rustup >/dev/null || return 1
  say "adding the Rust target $target with rustup"
  timeout 120 rustup target add "$target" >&2 && has_rustup_target
}

debian_packages="rustc-web rust-web-src wasi-libc lld"
with_debian() {
  command -v apt-get >/dev/null || return 1
  # shellcheck disable=SC2086
  dpkg -s $debian_packages >/dev/null 2>&1 && return 0
  local sudo=""
  [ "$(id -u)" = 0 ] || sudo="sudo"
  say "installing Debian's packages: $debian_packages (about 600 MB unpacked)"
  $sudo apt-get update -qq >&2 || true
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq $debian_packages >&2
}

linker() {
  local found
  found=$(find "$(rustc --print sysroot)/lib/rustlib" -name rust-lld -type f 2>/dev/null | head -n 1)
  [ -n "$found" ] || found=$(command -v wasm-ld wasm-ld-19 wasm-ld-16 wasm-ld-14 2>/dev/null | head -n 1)
  [ -n "$found" ] || die "no wasm linker: install lld"
  printf '%s' "$found"
}

case "${WEIR_WASM_TOOLCHAIN:-any}" in
  rustup) with_rustup || die "rustup has no target $target here" ; kind=rustup ;;
  debian) with_debian || die "Debian's packages for $target cannot be installed here" ; kind=debian ;;
  any)
    if with_rustup; then kind=rustup
    elif with_debian; then kind=debian
    else die "no way to build for $target: rustup cannot add it, and there is no apt-get to install $debian_packages"
    fi ;;
  *) die "WEIR_WASM_TOOLCHAIN must be rustup or debian" ;;
esac

command=$1
shift
if [ "$kind" = rustup ]; then
  exec cargo "$command" -p weir-filter --target "$target" "$@"
fi
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
export CARGO_TARGET_WASM32_WASIP1_LINKER=${CARGO_TARGET_WASM32_WASIP1_LINKER:-$(linker)}
export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="-C target-feature=+simd128 -C link-self-contained=no -L /usr/lib/wasm32-wasi"
exec cargo "$command" -p weir-filter --target "$target" -Z build-std=std,panic_abort "$@"
