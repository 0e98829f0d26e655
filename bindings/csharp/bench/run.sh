#!/bin/bash
# Measures the .NET package beside the community guide's TokenManager, in one run, and writes the rows "C#" of benches/RESULTS.md.
# Needs the release library (make lib) and takes about two minutes.
set -euo pipefail
. "$(dirname "$0")/../tools/compile.sh"
cd "$root"
prepare || exit 0
cargo build --quiet --workspace
compile_package
bench=$out/bench
mkdir -p "$bench"
cp "$out"/net8.0/*.dll "$newtonsoft" "$bench"
csc "${net[@]}" -nullable:enable -optimize+ -target:exe "-out:$bench/bench.dll" "$csharp/bench/Bench.cs"
cp "$tools/nunit/runner.runtimeconfig.json" "$bench/bench.runtimeconfig.json"
export P21AUTH_LIBRARY=$root/target/release/libp21auth.so
[ -f "$P21AUTH_LIBRARY" ] || { echo "run make lib first" >&2; exit 1; }

work=$(mktemp -d)
start() { # start FLAGS…: an emulator; its address in P21_BASE_URL
    mkfifo "$work/in"
    target/debug/p21auth mock --json --until-stdin-ends --ca-file "$work/ca.pem" "$@" <"$work/in" >"$work/hello" &
    exec 9>"$work/in"
    until [ -s "$work/hello" ]; do sleep 0.02; done
    P21_BASE_URL=$(grep -o '"base_url":"[^"]*' "$work/hello" | cut -d'"' -f4)
    export P21_BASE_URL
}
stop() { exec 9>&-; wait $! 2>/dev/null || true; rm -f "$work/in" "$work/hello"; }
trap 'exec 9>&-; rm -rf "$work"' EXIT
run() { "$tools/dotnet/dotnet" "$bench/bench.dll" "$@"; }
requests() { python3 -c 'import sys,urllib.request,json,os; print(json.load(urllib.request.urlopen(os.environ["P21_BASE_URL"]+"/_control/counters"))["token.requests"])'; }
cold() { start --set latency_ms=50; run cold "$@"; requests; stop; }
# The shortest of nine starts, in ms.
first() {
    for _ in 1 2 3 4 5 6 7 8 9; do
        local begin
        begin=$(date +%s%N)
        run first "$1" >/dev/null
        echo $((($(date +%s%N) - begin) / 1000000))
    done | sort -n | head -1
}

start
mapfile -t ours < <(run hit ours)
guide=$(run hit guide)
stop
read -r _ sync_ns sync_bytes <<<"${ours[0]}"
read -r _ async_ns async_bytes <<<"${ours[1]}"
read -r _ guide_ns guide_bytes <<<"$guide"
start --tls
export P21_CA_FILE=$work/ca.pem
first_ours=$(first ours)
first_guide=$(first guide)
stop
rows=$(cat <<END
| C# | hit, \`GetToken()\` | $sync_ns ns, $sync_bytes bytes | |
| C# | hit, \`GetTokenAsync()\` | $async_ns ns, $async_bytes bytes | the guide's TokenManager: $guide_ns ns, $guide_bytes bytes |
| C# | requests of 50 cold callers, good answer | $(cold ours demo-password) | the same: $(cold guide demo-password) |
| C# | requests of 50 cold callers, 401 | $(cold ours wrong) | the same: $(cold guide wrong) |
| C# | start to first token over TLS, best of 9 | $first_ours ms | the same: $first_guide ms |
END
)
echo "$rows"
echo "$rows" | tools/record.py benches/RESULTS.md 2
