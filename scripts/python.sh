#!/usr/bin/env bash
# Prints the path of a virtual environment with the Python clients of the tests, made when missing.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\033[1m[weir]\033[0m %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

venv=$PWD/.venv
wanted=tests/python/requirements.txt
if ! cmp -s "$wanted" "$venv/installed.txt"; then
  command -v python3 >/dev/null || die "python3 is missing"
  say "installing the Python clients for the tests (about half a minute)"
  if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    rm -rf "$venv"
    if ! python3 -m venv "$venv" >/dev/null 2>&1; then
      rm -rf "$venv"
      scripts/apt.sh python3-venv || die "python3 cannot make virtual environments: install python3-venv"
      python3 -m venv "$venv" >&2
    fi
  fi
  "$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$wanted" >&2 ||
    die "the packages of $wanted cannot be fetched"
  cp "$wanted" "$venv/installed.txt"
fi
printf '%s\n' "$venv"
