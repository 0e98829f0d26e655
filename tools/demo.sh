#!/bin/bash
# `make demo`: sets up what it needs, then shows Rust and C, Python and C#. What cannot be shown is named at the end, and the demo
# fails then.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
start=$SECONDS
failed=()
show() { # PART COMMAND…
    echo "== $1"
    "${@:2}" || failed+=("$1")
}
tools/setup.sh --demo
echo "== building; up to 3 minutes the first time"
if "${CARGO:-cargo}" build --quiet --workspace; then
    show "Rust and C" target/debug/p21auth demo
    show "Python" bindings/python/demo.sh
    show "C#" bindings/csharp/demo.sh
else
    failed=("Rust and C" "Python" "C#")
fi
if [ ${#failed[@]} != 0 ]; then
    printf '!! NOT SHOWN, or wrong: %s; the reason is above\n' "${failed[@]}" >&2
    exit 1
fi
echo "== all shown, in $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s"
