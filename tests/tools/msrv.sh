#!/usr/bin/env bash
# Builds the library, the emulator, the tool and the tests with the oldest Rust that Cargo.toml promises (rust-version). Two minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
promised=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
export RUSTUP_TOOLCHAIN=
for toolchain in "$promised.0" "$promised" stable; do
    if [[ "$(RUSTUP_TOOLCHAIN=$toolchain rustc --version 2>/dev/null)" == "rustc $promised."* ]]; then
        RUSTUP_TOOLCHAIN=$toolchain
        break
    fi
done
[ -n "$RUSTUP_TOOLCHAIN" ] || {
    echo "== NOT TESTED: rustc $promised is needed: rustup toolchain install $promised" >&2
    exit 1
}
echo "== the workspace with its tests and benchmarks, and the library without its default features (2 minutes)"
"${CARGO:-cargo}" check --quiet --locked --workspace --all-targets --target-dir target/msrv
"${CARGO:-cargo}" check --quiet --locked --no-default-features --target-dir target/msrv
echo "== seen: $(rustc --version) builds the workspace, and the library without its default features"
