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
# Starts by turns: nine of each, in ms by the wall clock and of the processor. Prints median and best of both.
first() {
    python3 - "$tools/dotnet/dotnet" "$bench/bench.dll" <<'PY'
import resource, statistics, subprocess, sys, time
times = {"ours": ([], []), "guide": ([], [])}
for _ in range(9):
    for name, (walls, processors) in times.items():
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([*sys.argv[1:], "first", name], check=True, stdout=subprocess.DEVNULL)
        walls.append((time.perf_counter() - began) * 1000)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processors.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000)
for walls, processors in times.values():
    print("|".join(f"{statistics.median(of):.0f} ms, best {min(of):.0f}" for of in (walls, processors)))
PY
}

start
run hit | tee "$work/hits"
stop
start --tls
export P21_CA_FILE=$work/ca.pem
mapfile -t first < <(first)
stop
hit_rows() {
    awk '
        { wall[$1] = $2; processor[$1] = $3; bytes[$1] = $4 }
        function row(what, name, beside) {
            printf "| C# | %s | %.1f ns, %d bytes | %.1f ns | %s |\n", what, wall[name], bytes[name], processor[name], beside
        }
        function ratio(what, name, beside) {
            printf "| C# | %s | %.1f ns, %d bytes: %.2f of a hit | %.1f ns: %.2f | at most 3%s |\n", what, wall[name], bytes[name],
                wall[name] / wall["GetToken"], processor[name], processor[name] / processor["GetToken"], beside
        }
        END {
            row("hit, `GetToken()`", "GetToken", "")
            row("hit, `GetTokenAsync()`", "GetTokenAsync", "")
            row("the guide'\''s TokenManager, `GetTokenAsync()`", "GuideGetTokenAsync", "")
            ratio("`BaseUrl`", "BaseUrl")
            ratio("`Url(path)`, a literal", "Url")
            row("`Url(path)`, each time another path", "UrlOfAnother", sprintf("to join the two strings takes %.1f ns", wall["Join"]))
            ratio("`MaySendTo(url)`, the own server", "OwnHost")
            ratio("`MaySendTo(url)`, an allowed host", "AllowedHost")
        }' "$work/hits"
}
{
    hit_rows
    echo "| C# | requests of 50 cold callers, good answer | $(cold ours demo-password) | | the guide's: $(cold guide demo-password) |"
    echo "| C# | requests of 50 cold callers, 401 | $(cold ours wrong) | | the guide's: $(cold guide wrong) |"
    echo "| C# | process start to first token over TLS | ${first[0]%|*} | ${first[0]#*|} | |"
    echo "| C# | the same, the guide's class | ${first[1]%|*} | ${first[1]#*|} | |"
} | tee "$work/rows"
tools/record.py benches/RESULTS.md 2 --all <"$work/rows"
