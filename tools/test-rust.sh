#!/usr/bin/env bash
# The Rust side of `make test`: format, lints, tests (those of C and C++ among them), examples in the documentation.
set -euo pipefail

lint_only=
[ "${1:-}" != --lint-only ] || lint_only=1
cargo=${CARGO:-cargo}
step() { echo "== $*"; }
stage() { tools/stage.sh "Rust: $1" "${@:2}"; }
# A component that is not installed is no failure of the code, but must not look like a success.
have() {
    "$cargo" "$1" --version >/dev/null 2>&1 && return
    tools/not-tested.sh "cargo $1, which is not installed"
    return 1
}

if have fmt; then
    step "format (seconds)"
    stage format "$cargo" fmt --all --check
fi
if have clippy; then
    step "lints, of everything and of the library alone (up to 4 minutes the first time)"
    stage lints "$cargo" clippy --quiet --workspace --all-targets -- -D warnings
    stage "lints of the library alone" "$cargo" clippy --quiet --lib -- -D warnings
fi
step "lock files (seconds)"
# A stale one would be written again by anyone who builds next, a release among them.
for manifest in Cargo.toml fuzz/Cargo.toml; do
    "$cargo" update --quiet --workspace --locked --manifest-path "$manifest"
done
[ -z "$lint_only" ] || exit 0

# Modules of tests that this machine cannot run.
without=()
if [ "$(uname -s)" = Linux ] && ! tools/can-mount.sh; then
    tools/not-tested.sh --optional "the file store on a full and on a read-only disk; nothing may be mounted here"
    without+=(mounted)
fi
if [ "$(uname -s)" = Linux ] && ! tools/can-unshare.sh; then
    tools/not-tested.sh --optional "networks that lose packets, names and connections; no network may be made here"
    without+=(roads phases)
fi

step "tests (up to 5 minutes the first time, then 1)"
if "$cargo" nextest --version >/dev/null 2>&1; then
    stage tests "$cargo" nextest run --workspace ${CI:+--no-fail-fast --status-level fail --final-status-level slow} \
        ${without:+-E "not test(/(^|::)($(IFS='|'; echo "${without[*]}"))::/)"}
else
    stage tests "$cargo" test --quiet --workspace --lib --bins --tests -- "${without[@]/#/--skip=}"
fi
if [ "$(uname -s)" = Linux ]; then
    step "installed in any layout, found by pkg-config and CMake (1 minute)"
    stage "installed in any layout" tests/layouts.sh
fi
step "examples in the documentation (1 minute)"
stage "examples in the documentation" "$cargo" test --quiet --workspace --doc
step "the documentation itself (1 minute the first time)"
RUSTDOCFLAGS="-D warnings" stage "the documentation itself" "$cargo" doc --quiet --no-deps --workspace
step "Rust: all passed"
