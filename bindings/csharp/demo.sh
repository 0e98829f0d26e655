#!/bin/bash
# The C# flow against an emulator: all pages of a table, an Interactive session that survives a refresh, ten users, what a wrong password says.
set -euo pipefail
. "$(dirname "$0")/tools/compile.sh"
cd "$root"
[ -f "$tools/stamp" ] || echo "   fetching a C# compiler and a runtime (half a minute)"
prepare net8.0 || exit 1
"${CARGO:-cargo}" build --quiet --workspace
compile_package net8.0
demo=$out/demo
mkdir -p "$demo"
cp "$out"/net8.0/*.dll "$demo"
for example in ODataQuery InteractiveSession ManyUsers; do net_program $example "$demo" examples/csharp/$example.cs; done

library=$root/target/debug/libp21auth.so
export P21AUTH_LIBRARY=$library
work=$(mktemp -d)
mkfifo "$work/in"
target/debug/p21auth mock --json --until-stdin-ends --ca-file "$work/ca.pem" --tls <"$work/in" >"$work/hello" &
exec 9>"$work/in"
trap 'exec 9>&-; rm -rf "$work"' EXIT
until [ -s "$work/hello" ]; do sleep 0.02; done
P21_BASE_URL=$(grep -o '"base_url":"[^"]*' "$work/hello" | cut -d'"' -f4)
export P21_BASE_URL P21_CA_FILE=$work/ca.pem P21_USERNAME=demo P21_PASSWORD=demo-password
run() { echo "   $1:"; "$tools/dotnet/dotnet" "$demo/$1.dll" 2>&1 | sed 's/^/      /'; }
run ODataQuery
run InteractiveSession
(unset P21_USERNAME P21_PASSWORD; export P21_CONSUMER_KEY=00000000-0000-4000-8000-000000000001; run ManyUsers)
echo "   and with a wrong password:"
P21_PASSWORD=wrong run ODataQuery || true
