#!/usr/bin/env bash
# The model checks of src/cache/model and src/client/model.rs: thousands of orders of events on the cache's gate, in a build of their own.
set -euo pipefail
cd "$(dirname "$0")/../.."
echo "== model checks of the gate, with a build of their own (3 minutes the first time)"
RUSTFLAGS="--cfg shuttle" "${CARGO:-cargo}" test --quiet --lib --target-dir target/shuttle model:: "$@"
