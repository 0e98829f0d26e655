#!/usr/bin/env bash
# Two versions on one store: this one, and that of a commit (OLD=…; by default the last one before those who wait were woken
# by a stream). Each takes the other's token, from a folder and from Redis; together they ask the server once.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}
old=${OLD:-e785035^}
if ! git rev-parse --quiet --verify "$old^{commit}" >/dev/null; then
    tools/not-tested.sh "two versions on one store: $old is not in this clone"
    exit 0
fi
old=$(git rev-parse --short "$old^{commit}")
work=$(mktemp -d)
tree=$work/tree
cleanup() {
    jobs -p | xargs -r kill 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
mkdir "$tree"
git archive "$old" | tar -x -C "$tree"
echo "== building the tool at $old, and this one (5 minutes the first time)"
features=
grep -q '^cli *=' "$tree/Cargo.toml" && features="--features cli"
# shellcheck disable=SC2086 # none, or two words
(cd "$tree" && "$cargo" build --quiet --workspace $features --target-dir "$OLDPWD/target/versions")
"$cargo" build --quiet -p p21auth-cli
tools=("$PWD/target/versions/debug/p21auth" "$PWD/target/debug/p21auth")

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
server=$(port) redis=$(port)
"${tools[1]}" mock --port "$server" >"$work/mock" 2>&1 &
redis-server --port "$redis" --bind 127.0.0.1 --save '' --dir "$work" >/dev/null &
export HOME=$work P21_BASE_URL=http://127.0.0.1:$server P21_USERNAME=demo P21_PASSWORD=demo-password
requests() { python3 -c 'import json, sys, urllib.request as r; print(json.load(r.urlopen(sys.argv[1]))["token.requests"])' "$P21_BASE_URL/_control/counters"; }
until requests >/dev/null 2>&1 && redis-cli -p "$redis" ping >/dev/null 2>&1; do sleep 0.1; done

for store in "file://$work/store" "redis://127.0.0.1:$redis"; do
    export P21_STORE=$store
    for order in "0 1" "1 0"; do
        read -r first second <<<"$order"
        "${tools[$first]}" store clear >/dev/null
        before=$(requests)
        [ "$("${tools[$first]}" token)" = "$("${tools[$second]}" token)" ]
        [ "$(requests)" = $((before + 1)) ]
    done
    # Eight at once, four of each.
    "${tools[1]}" store clear >/dev/null
    before=$(requests)
    for number in {0..7}; do
        "${tools[number % 2]}" token >"$work/token.$number" &
        pids[number]=$!
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
    [ "$(sort -u "$work"/token.? | wc -l)" = 1 ]
    [ "$(requests)" = $((before + 1)) ]
    # A refusal of one holds for the other.
    export P21_PASSWORD=wrong
    before=$(requests)
    ! "${tools[0]}" token >/dev/null 2>&1
    ! "${tools[1]}" token >/dev/null 2>&1
    [ "$(requests)" = $((before + 1)) ]
    export P21_PASSWORD=demo-password
done
echo "== seen: $old and this version share a folder and a Redis: each takes the other's token and refusal, eight processes, one request"
