#!/usr/bin/env bash
# The Rust tests under AddressSanitizer, which the compiler takes only in its experimental mode. About 8 minutes. The C and
# C++ programs run under it, and under UBSan, in every test run: tests/abi/c_programs.rs.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(rustc -vV | sed -n 's/^host: //p')
export RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address
# Memory that lives as long as the process by design (HTTP clients, generation words) is no leak.
export ASAN_OPTIONS=detect_leaks=0
# A set-uid program does not read that option, so its test is left out too.
# What loads or links the shared library from a program without the sanitizer, and the test with an allocator of its own
# can't run so. Nothing is lost: they run in every ordinary test run.
without=(docs zeroize)
tests=()
for test in {.,cli,emulator}/tests/*/main.rs; do
    name=$(basename "${test%/main.rs}")
    [[ " ${without[*]} " == *" $name "* ]] || tests+=(--test "$name")
done
echo "== Rust tests under AddressSanitizer, with a build of their own (without ${without[*]}, c_programs, limits, a set-uid program)"
"${CARGO:-cargo}" test --quiet --no-fail-fast --target "$target" --target-dir target/asan --workspace --lib \
    "${tests[@]}" -- --skip c_programs:: --skip limits:: --skip a_program_with_rights_of_another_user "$@"
