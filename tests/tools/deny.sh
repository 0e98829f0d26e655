#!/usr/bin/env bash
# Licenses, sources and duplicates of everything that is linked, by deny.toml; advisories too where their database is at hand, as
# `cargo deny fetch` leaves it. Installs cargo-deny.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}
"$cargo" deny --version >/dev/null 2>&1 || {
    echo "== installing cargo-deny (4 minutes)"
    "$cargo" install --quiet --locked cargo-deny
}
echo "== licenses, sources, duplicates"
# Of every platform: what is not built here is judged too.
"$cargo" fetch --quiet --locked
"$cargo" deny --offline check licenses bans sources
seen="licenses, sources and duplicates are allowed ones"
database=$(find "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs" -mindepth 1 -maxdepth 1 -type d -print -quit 2>/dev/null || true)
if [ -n "$database" ]; then
    "$cargo" deny --offline check advisories
    seen="$seen; no advisory in the database of $(git -C "$database" log -1 --format=%cs)"
else
    echo "== NOT TESTED: advisories: there is no database of them; \`cargo deny fetch\` gets one where it can be reached"
fi
echo "== seen: $seen"
