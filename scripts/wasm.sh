#!/usr/bin/env bash
# Runs cargo for the filter's target: `scripts/wasm.sh build --release` and the like.
# WEIR_WASM_PROGRAM names a package with a program that is to be built in the filter's place.
#
# With rustup the target's standard library comes from rustup. Where that cannot be had, Debian's
# packages bring a compiler with the library's source, and cargo builds the library itself.
# WEIR_WASM_TOOLCHAIN=rustup|debian chooses; the default takes the first that works.
set -euo pipefail
cd "$(dirname "$0")/.."
target=wasm32-wasip1
package=${WEIR_WASM_PROGRAM:-weir-filter}
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
  # About 600 MB unpacked.
  # shellcheck disable=SC2086
  scripts/apt.sh $debian_packages
}

linker() {
  local found
  found=$(find "$(rustc --print sysroot)/lib/rustlib" -name rust-lld -type f 2>/dev/null | head -n 1)
  [ -n "$found" ] || found=$(command -v wasm-ld wasm-ld-19 wasm-ld-16 wasm-ld-14 2>/dev/null | head -n 1 || true)
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
  exec cargo "$command" -p "$package" --target "$target" "$@"
fi
# Clippy is the toolchain's own and can not read what Debian's compiler builds; nothing it says of
# the filter depends on the target.
[ "$command" != clippy ] || exec cargo clippy -p weir-filter "$@"
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
export CARGO_TARGET_WASM32_WASIP1_LINKER=${CARGO_TARGET_WASM32_WASIP1_LINKER:-$(linker)}
export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="-C target-feature=+simd128 -C link-self-contained=no -L /usr/lib/wasm32-wasi"
if [ "$package" != weir-filter ]; then
  CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS+=" -C link-arg=/usr/lib/wasm32-wasi/crt1-command.o"
fi
exec cargo "$command" -p "$package" --target "$target" -Z build-std=std,panic_abort "$@"
