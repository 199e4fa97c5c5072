#!/usr/bin/env bash
# Prints the path of a virtual environment with the official OpenAI client, made when missing.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\033[1m[weir]\033[0m %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

venv=$PWD/.venv
if ! "$venv/bin/python" -c 'import openai' 2>/dev/null; then
  command -v python3 >/dev/null || die "python3 is missing"
  say "installing the official openai package for the tests"
  rm -rf "$venv"
  if ! python3 -m venv "$venv" >/dev/null 2>&1; then
    rm -rf "$venv"
    scripts/apt.sh python3-venv || die "python3 cannot make virtual environments: install python3-venv"
    python3 -m venv "$venv" >&2
  fi
  "$venv/bin/python" -m pip install -q --disable-pip-version-check 'openai>=2,<3' >&2 ||
    die "the openai package cannot be fetched"
fi
printf '%s\n' "$venv"
