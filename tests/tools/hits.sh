#!/usr/bin/env bash
# The price of a hit in instructions, the same on every run: p21_token_copy of the release library under callgrind, inclusive,
# without the copy itself and the clock calls, which are the C library's. With a fresh token, and in its refresh window.
set -euo pipefail
cd "$(dirname "$0")/../.."
# What was reached, and a tenth.
limit=221
"${MAKE:-make}" --no-print-directory lib
"${CARGO:-cargo}" build --quiet -p p21auth-cli
command -v valgrind >/dev/null || { echo "valgrind is needed: apt-get install valgrind, or run make test" >&2; exit 1; }
work=$(mktemp -d)
cc -std=c99 -Wall -Wextra -Wpedantic -Wshadow -Werror -O2 -fno-inline -Iinclude -rdynamic -o "$work/hits" tests/c/hits.c -Ltarget/release -lp21auth

mkfifo "$work/in"
target/debug/p21auth mock --json --until-stdin-ends <"$work/in" >"$work/about" &
emulator=$!
exec 3>"$work/in"
trap 'exec 3>&-; wait $emulator 2>/dev/null || true; rm -rf "$work"' EXIT
until [ -s "$work/about" ]; do sleep 0.05; done
base=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["base_url"])' "$work/about")
curl -fsS "$base/_control/faults" -d '[{"path": "/token"}, {"path": "/token", "hang": true, "times": 0}]' >/dev/null

env P21_BASE_URL="$base" P21_USERNAME=demo P21_PASSWORD=demo-password LD_LIBRARY_PATH=target/release \
    valgrind --quiet --tool=callgrind --callgrind-out-file="$work/out" --toggle-collect=p21_token_copy \
    --zero-before=hits_fresh --dump-after=hits_fresh --zero-before=hits_in_the_window --dump-after=hits_in_the_window "$work/hits"
python3 - "$limit" "$work/out.1" "$work/out.2" <<'PY'
import re
import sys

limit = int(sys.argv[1])
beyond = re.compile(r"mem(cpy|move)|clock_gettime|^syscall$")


def instructions(path):
    """A call's, without what lies beyond; and what each function takes."""
    names, costs, function, skip = {}, {}, "", False
    for line in open(path):
        if found := re.match(r"fn=(\(\d+\))(?: (.*))?", line):
            names.setdefault(found[1], found[2])
            function = names[found[1]]
        elif found := re.match(r"cfn=(\(\d+\))(?: (.*))?", line):
            names.setdefault(found[1], found[2])
        elif line.startswith("calls="):
            skip = True
        elif re.match(r"[+*-]?\d|\*", line):
            if not skip:
                costs[function] = costs.get(function, 0) + int(line.split()[1])
            skip = False
    own = {name: cost / 1000 for name, cost in costs.items() if not beyond.search(name)}
    return sum(own.values()), own


failed = False
for name, path in ("with a fresh token", sys.argv[2]), ("in the refresh window", sys.argv[3]):
    total, own = instructions(path)
    print(f"== seen: {total:.0f} instructions of a hit {name}, {limit} allowed")
    if total > limit:
        failed = True
        for function, cost in sorted(own.items(), key=lambda item: -item[1]):
            print(f"   {cost:8.1f} {function}")
sys.exit(failed)
PY
