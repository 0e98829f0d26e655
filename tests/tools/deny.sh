#!/usr/bin/env bash
# Licences, sources and duplicates of everything that is linked, by deny.toml. Needs cargo-deny (4 minutes to install).
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}
"$cargo" deny --version >/dev/null 2>&1 || {
    echo "== cargo-deny is missing: cargo install cargo-deny --locked" >&2
    exit 1
}
echo "== licences, sources, duplicates"
"$cargo" deny --offline check licenses bans sources
