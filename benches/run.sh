#!/usr/bin/env bash
# What `make bench` runs: each part writes its rows of benches/RESULTS.md; one that fails does not stop the others. Then the whole
# table. Needs the release library (make lib).
set -uo pipefail
cd "$(dirname "$0")/.."
mkdir -p target/bench
failed=
part() { # NAME COMMAND…
    echo "== $1" >&2
    "${@:2}" >"target/bench/$1.log" 2>&1 || {
        failed+=" $1"
        cat "target/bench/$1.log" >&2
    }
}
machine() {
    row() { echo "| machine | $1 | $2 | | |"; }
    row processor "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | sort | uniq -c | sed 's/^ *\([0-9]*\) /\1 × /')"
    # shellcheck source=/dev/null
    row system "$(. /etc/os-release && echo "$PRETTY_NAME"), Linux $(uname -r)"
    row versions "$("${CARGO:-cargo}" --version | cut -d' ' -f1,2), $(python3 --version)"
    row "date, and load of the minute before" "$(date -u +%F), $(cut -d' ' -f1 /proc/loadavg)"
}
record() { tools/record.py benches/RESULTS.md 2 --all; }
c() {
    "${CARGO:-cargo}" bench --quiet --bench hit >target/bench/rows || return 1
    cat target/bench/rows
    record <target/bench/rows
}

machine | record
part C c
part Python bindings/python/bench.sh
part .NET bindings/csharp/bench/run.sh
part emulator benches/emulator.sh
cat benches/RESULTS.md
[ -z "$failed" ] || echo "== FAILED:$failed; see target/bench" >&2
[ -z "$failed" ]
