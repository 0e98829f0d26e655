#!/usr/bin/env bash
# A panic in each exported function of the *release* library, from C: tests/c/panics.c, against a build of its own with the
# feature panic-injection (5 minutes the first time, 1 later; the test itself takes a second). src/capi/panics.rs does the
# same to the debug library in every test run.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=target/panics
echo "== a panic in each exported function of the release library, with a build of its own (5 minutes the first time)"
"${CARGO:-cargo}" rustc --quiet --release --lib --crate-type cdylib --features panic-injection --target-dir "$target"
library=$target/release
ln -sf libp21auth.so "$library/libp21auth.so.1"
cc -std=c99 -Wall -Wextra -Wpedantic -Wshadow -Werror -g -Iinclude -o "$target/panics" tests/c/panics.c \
    -L"$library" -lp21auth
printed=$(mktemp)
trap 'rm -f "$printed"' EXIT
tested=$(LD_LIBRARY_PATH=$library "$target/panics" 2>"$printed" | sort) || {
    cat "$printed" >&2
    exit 1
}
[ ! -s "$printed" ] || {
    echo "== panics print something:" >&2
    cat "$printed" >&2
    exit 1
}
exported=$(nm --dynamic --defined-only --format=posix "$library/libp21auth.so" | cut -d ' ' -f 1 | grep -v '^p21_test_panic$' | sort)
diff <(echo "$exported") <(echo "$tested") || {
    echo "== tests/c/panics.c does not test the functions that are exported" >&2
    exit 1
}
echo "== seen: $(echo "$tested" | wc -l) functions, each usable after a panic inside"
