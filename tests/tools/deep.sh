#!/usr/bin/env bash
# What takes too long for every run: each script beside this one, or those named. One that fails does not stop the others.
# What came of each goes into tests/RESULTS.md, with its minutes and the commit.
#
#   deep.sh [NAME…]
#   deep.sh --missing      those that have not passed on this commit
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
here=tests/tools
all=(msrv clang deny model hits panics faults asan tsan fuzz soak day fleet versions secrets windows python platforms dist packages reproduce languages page workflows quick_starts cleanroot)
passed=target/deep/passed # a line for each that has passed: commit, name
head=$(git rev-parse HEAD)
has_passed() { grep -qxF "$head $1" "$passed" 2>/dev/null; }
mkdir -p target/deep
tools=("$@")
[ $# -gt 0 ] || tools=("${all[@]}")
if [ "${1:-}" = --missing ]; then
    tools=()
    for tool in "${all[@]}"; do
        has_passed "$tool" || tools+=("$tool")
    done
    echo "== missing on this commit: ${tools[*]:-nothing}"
fi

# Results are of a commit; what is written below does not count.
changed=$(git status --porcelain -- . ':!tests/RESULTS.md' ':!benches/RESULTS.md' 2>/dev/null)
failed=0
for tool in "${tools[@]}"; do
    log=target/deep/$tool.log
    start=$SECONDS
    # A script says what it could not test in such a line, and that is no success.
    if "$here/$tool.sh" < /dev/null 2>&1 | tee "$log"; then
        outcome=passed
        missing=$(sed -n 's/^== \(.*: \)\?NOT TESTED:* *//p' "$log" | paste -sd ';' | sed 's/;/; /g')
        [ -z "$missing" ] || outcome="passed, but for: $missing"
        [ -n "$changed" ] || echo "$head $tool" >>"$passed"
    else
        outcome=FAILED
        failed=1
    fi
    took=$((SECONDS - start))
    # What it says that it saw, and the tests that cargo counted.
    seen=$(sed -n 's/^== seen: //p' "$log" | paste -sd ';' | sed 's/;/; /g')
    counted=$(awk '/^test result: / { sum += $4; programs++ } END { if (programs) print sum " tests passed in " programs " programs" }' "$log")
    seen=$seen${seen:+${counted:+; }}$counted
    echo "| \`$tool.sh\` | $outcome | $((took / 60)) min $((took % 60)) s | $seen |" | tools/record.py tests/RESULTS.md
done
cat tests/RESULTS.md
# For the release checklist: all of it, on this very commit.
complete=yes
for tool in "${all[@]}"; do
    has_passed "$tool" || complete=
done
[ -z "$complete" ] || echo "$head" >target/test-deep.passed
exit $failed
