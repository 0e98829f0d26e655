#!/usr/bin/env bash
# What takes too long for every run: each script beside this one, or those named, then a table of what came of them.
# deep.sh [NAME…]. One that fails does not stop the others. tests/RESULTS.md has the last table that was kept.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
here=tests/tools
all=(msrv deny model panics asan tsan fuzz soak windows dist)
tools=("$@")
[ $# -gt 0 ] || tools=("${all[@]}")

table=
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
    table+="| \`$tool.sh\` | $outcome | $((took / 60)) min $((took % 60)) s |"$'\n'
done
printf '\n| Tool | Outcome | Time |\n|---|---|---|\n%s' "$table"
# For the release checklist: all of it, on this very commit.
if [ $failed = 0 ] && [ $# = 0 ] && [ -z "$(git status --porcelain 2>/dev/null)" ]; then
    git rev-parse HEAD > target/test-deep.passed
fi
exit $failed
