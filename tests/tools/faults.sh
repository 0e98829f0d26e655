#!/usr/bin/env bash
# What lies outside of the process, gone wrong, against the release library: descriptors, threads, memory and stack run out,
# storage hangs while the process forks, signals, cancellations, a set-uid program. No call may hang, no program crash but by an
# allocation that failed, which docs/fork-threads-unload.md names. 5 minutes, and 4 more to build the library the first time.
# As root all of it runs. LIBRARY=folder takes the library, and the tool beside it, from elsewhere.
set -euo pipefail
cd "$(dirname "$0")/../.."

library=${LIBRARY:-}
if [ -z "$library" ]; then
    make --no-print-directory lib
    library=$PWD/target/release
    "${CARGO:-cargo}" build --quiet --package p21auth-cli
    tool=$PWD/target/debug/p21auth
else
    tool=$library/p21auth
fi
rounds=${ROUNDS:-5}
scratch=$(mktemp -d)
chmod 755 "$scratch"
emulator=
finish() {
    [ -z "$emulator" ] || kill "$emulator" 2>/dev/null || true
    rm -rf "$scratch"
}
trap finish EXIT

"$tool" mock --port 0 --tls --ca-file "$scratch/ca.pem" >"$scratch/mock" 2>&1 &
emulator=$!
until grep -q 'page ' "$scratch/mock"; do
    kill -0 "$emulator"
    sleep 0.1
done
url=$(sed -n 's/^P21 emulator at \([^ ]*\).*/\1/p' "$scratch/mock")

# Programs of the tests, by the library that is to be tested; set-uid programs take none from LD_LIBRARY_PATH.
for name in files limits hung process setuid; do
    cc -std=c11 -Wall -Wextra -Wshadow -Werror -g -pthread -Iinclude -o "$scratch/$name" "tests/c/$name.c" \
        -L"$library" -Wl,-rpath,"$library" -lp21auth -ldl
done
export SSL_CERT_FILE=$scratch/ca.pem P21_BASE_URL=$url P21_USERNAME=demo P21_PASSWORD=demo-password P21_PROXY=direct
unset SSL_CERT_DIR

runs=0
# A program that hangs is ended, and that is a failure: so is a crash.
try() {
    local status=0
    timeout --signal=KILL 300 "$@" >"$scratch/said" 2>&1 || status=$?
    grep '^== ' "$scratch/said" || true
    if [ "$status" != 0 ]; then
        echo "== exit status $status (137: it hung): ${*/#$scratch\//}" >&2
        cat "$scratch/said" >&2
        exit 1
    fi
    runs=$((runs + 1))
}
fresh() {
    rm -rf "$scratch/folder"
    mkdir -m 755 "$scratch/folder"
    cp "$scratch/ca.pem" "$scratch/folder"
    printf demo-password >"$scratch/folder/password"
    printf 'P21_USERNAME=demo\n' >"$scratch/folder/.env"
    chmod 644 "$scratch/folder"/* "$scratch/folder/.env"
}

for _ in $(seq "$rounds"); do
    for mode in threads fork hang pending; do
        fresh
        try env SSL_CERT_FILE="$scratch/folder/ca.pem" "$scratch/files" "$mode" "$scratch/folder" "$url"
    done
    for mode in signals cancel 'stack 64'; do
        # shellcheck disable=SC2086 # a mode and its argument
        try env P21_MIN_REFRESH_INTERVAL_S=0 "$scratch/process" $mode
    done
    fresh
    try "$scratch/limits" descriptors "$scratch/folder" "$url"
done
fresh
try "$scratch/limits" memory "$scratch/folder" "$url"
aborted=$(sed -n 's/^aborted: //p' "$scratch/said")
if [ "$(id -u)" = 0 ]; then
    fresh
    try "$scratch/limits" threads "$scratch/folder" "$url"
    for _ in $(seq "$rounds"); do
        fresh
        try "$scratch/hung" "$scratch/folder" "$url"
    done
    chmod 4755 "$scratch/setuid"
    try env HTTPS_PROXY=http://127.0.0.1:1 https_proxy=http://127.0.0.1:1 \
        setpriv --reuid=65534 --regid=65534 --clear-groups "$scratch/setuid" "$url" "$scratch/ca.pem"
else
    echo "== NOT TESTED: threads run out, storage that really hangs, a set-uid program: they need root"
fi
echo "== seen: $runs programs at their limits, 0 hung, 0 crashed; with little memory $aborted of 31 ended by an allocation that failed"
