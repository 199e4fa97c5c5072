#!/usr/bin/env bash
# Prints the path of a virtual environment with the official OpenAI client, made when missing.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$PWD/.venv
if ! "$venv/bin/python" -c 'import openai' 2>/dev/null; then
  printf '\033[1m[weir]\033[0m %s\n' "installing the official openai package for the tests" >&2
  python3 -m venv "$venv" >&2 2>/dev/null || { rm -rf "$venv"; python3 -m pip install -q --user virtualenv >&2; python3 -m virtualenv -q "$venv" >&2; }
  "$venv/bin/pip" install -q --disable-pip-version-check 'openai>=2,<3' >&2
fi
printf '%s\n' "$venv"
