#!/usr/bin/env bash
# Installs those of Debian's packages named that are missing. Fails where that is not possible.
set -euo pipefail
missing=()
for package in "$@"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0
command -v apt-get >/dev/null || exit 1
as_root=()
if [ "$(id -u)" != 0 ]; then
  sudo -n true 2>/dev/null || { printf '[weir] as root: apt-get install %s\n' "${missing[*]}" >&2; exit 1; }
  as_root=(sudo -n)
fi
printf '\033[1m[weir]\033[0m installing Debian packages: %s\n' "${missing[*]}" >&2
"${as_root[@]}" apt-get update -qq >&2 || true
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
