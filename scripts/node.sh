#!/usr/bin/env bash
# Prints the path of the folder with the Node.js clients of the tests, installed when missing.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\033[1m[weir]\033[0m %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

command -v node >/dev/null || die "node is missing: install Node.js 20 or later, the tests use clients written for it"
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || die "node is version $major: the clients of the tests need 20 or later"

folder=$PWD/tests/node
if ! cmp -s "$folder/package-lock.json" "$folder/node_modules/installed.json"; then
  command -v npm >/dev/null || die "npm is missing: install it beside Node.js"
  say "installing the Node.js clients for the tests"
  (cd "$folder" && npm ci --silent >&2) || die "the packages of tests/node cannot be fetched"
  cp "$folder/package-lock.json" "$folder/node_modules/installed.json"
fi
printf '%s\n' "$folder"
