#!/usr/bin/env bash
# The Rust tests under AddressSanitizer, which the compiler takes only in its experimental mode.
set -euo pipefail
target=$(rustc -vV | sed -n 's/^host: //p')
export RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address
# Memory that lives as long as the process by design (HTTP clients, generation words) is no leak.
export ASAN_OPTIONS=detect_leaks=0
echo "== Rust tests under AddressSanitizer, with a build of their own"
without=
tools/can-mount.sh || without=mounted::
"${CARGO:-cargo}" test --quiet --target "$target" --target-dir target/asan --lib --tests "$@" -- ${without:+--skip "$without"}
