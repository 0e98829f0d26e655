#!/usr/bin/env bash
# The model checks of src/cache/model and src/client/model.rs: thousands of orders of events on the cache's gate, in a build of
# their own. Then every order of events of three flights that share a store: src/cache/shared/search.rs.
set -euo pipefail
cd "$(dirname "$0")/../.."
echo "== model checks of the gate, with a build of their own (3 minutes the first time)"
RUSTFLAGS="--cfg shuttle" "${CARGO:-cargo}" test --quiet --lib --target-dir target/shuttle model:: "$@"
echo "== every order of events of three flights that share a store (3.4 million states: 8 minutes, 2 GiB)"
"${CARGO:-cargo}" test --quiet --lib cache::shared::search:: -- --ignored
