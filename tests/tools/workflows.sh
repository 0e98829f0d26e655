#!/usr/bin/env bash
# The workflows in .github have the form that their schema asks for, and name only scripts and targets that are there. They
# cannot run here.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=target/workflows
[ -x "$venv/bin/check-jsonschema" ] || {
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check check-jsonschema==0.39.0
}
"$venv/bin/check-jsonschema" --builtin-schema vendor.github-workflows .github/workflows/*.yml
seen=0
while read -r script; do
    [ -x "$script" ] || { echo "== $script is named, but not there" >&2; exit 1; }
    seen=$((seen + 1))
done < <(grep -ohE '(^|[ (])(\.ci/run|(tools|tests/tools)/[a-z/-]+\.sh)' .github/workflows/*.yml | tr -d ' (' | sort -u)
[ "$seen" -ge 4 ] || { echo "== only $seen scripts were found in the workflows" >&2; exit 1; }
echo "== seen: $(find .github/workflows -name '*.yml' | wc -l) workflows, $seen scripts; they have never run"
