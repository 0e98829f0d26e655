#!/usr/bin/env bash
# What takes too long for every run: each script beside this one, or those named: deep.sh [NAME…]. One that fails does not
# stop the others. What came of each goes into tests/RESULTS.md.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
here=tests/tools
all=(msrv clang deny model hits panics asan tsan fuzz soak day fleet windows python dist languages page cleanroot)
tools=("$@")
[ $# -gt 0 ] || tools=("${all[@]}")

# For the release checklist; what is written below does not count.
changed=$(git status --porcelain 2>/dev/null)
failed=0
for tool in "${tools[@]}"; do
    log=target/deep/$tool.log
    mkdir -p target/deep
    start=$SECONDS
    # A script says what it could not test in such a line, and that is no success.
    if "$here/$tool.sh" < /dev/null 2>&1 | tee "$log"; then
        outcome=passed
        missing=$(sed -n 's/^== \(.*: \)\?NOT TESTED:* *//p' "$log" | paste -sd ';' | sed 's/;/; /g')
        [ -z "$missing" ] || outcome="passed, but for: $missing"
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
if [ $failed = 0 ] && [ $# = 0 ] && [ -z "$changed" ]; then
    git rev-parse HEAD > target/test-deep.passed
fi
exit $failed
