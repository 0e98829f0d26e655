#!/usr/bin/env bash
# Licenses, sources and duplicates of everything that is linked, by deny.toml. Installs cargo-deny.
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
echo "== seen: licenses, sources and duplicates are allowed ones"
