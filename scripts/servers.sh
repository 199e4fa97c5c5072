#!/usr/bin/env bash
# Makes sure that there are Redis (or Valkey) and PostgreSQL for the tests, which start private ones
# on free ports. What is installed already is used.
set -euo pipefail
cd "$(dirname "$0")/.."
die() { printf '\033[1m[weir]\033[0m %s\n' "$*" >&2; exit 1; }

command -v redis-server >/dev/null || command -v valkey-server >/dev/null ||
  scripts/apt.sh redis-server ||
  die "redis-server is missing: install Redis 7 or Valkey, the tests start it"

postgres() {
  command -v postgres >/dev/null && command -v initdb >/dev/null && command -v psql >/dev/null ||
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}
postgres || scripts/apt.sh postgresql || die "postgres is missing: install PostgreSQL 14 or later, the tests start it"
