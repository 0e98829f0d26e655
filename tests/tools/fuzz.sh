#!/usr/bin/env bash
# Fuzzes each target for SECONDS (20) seconds: fuzz.sh [SECONDS [TARGET...]]. Installs cargo-fuzz. The first build takes 4
# minutes. An input that breaks something is kept in fuzz/seeds, where the ordinary tests replay it.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-20}
[ $# -eq 0 ] || shift
cargo=${CARGO:-cargo}
"$cargo" fuzz --version >/dev/null 2>&1 || {
    echo "== installing cargo-fuzz (half a minute)"
    "$cargo" install --quiet --locked cargo-fuzz
}
# The sanitizers need the compiler's experimental mode.
export RUSTC_BOOTSTRAP=1
"$cargo" fuzz build
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <("$cargo" fuzz list)
failed=()
for target in "${targets[@]}"; do
    echo "== $target, $seconds s"
    new=fuzz/corpus/$target
    artifacts=fuzz/artifacts/$target
    mkdir -p "$new" "$artifacts"
    if ! "$cargo" fuzz run "$target" "$new" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=8192 \
        -verbosity=0 -print_final_stats=1; then
        failed+=("$target")
        for input in "$artifacts"/*; do
            cp "$input" "fuzz/seeds/$target/found-$(basename "$input" | tail -c 9)"
        done
    fi
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "== failed: ${failed[*]}; the inputs are now in fuzz/seeds" >&2
    exit 1
fi
echo "== seen: nothing found in $seconds s each of ${#targets[@]} targets: ${targets[*]}"
