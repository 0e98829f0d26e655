#!/usr/bin/env bash
# The quick starts of the README and of the manuals, word for word, each in an empty folder, against the emulator over TLS: Python,
# C#, Rust, C, C++ and the shell. Takes 3 minutes. Needs what tools/setup.sh installs.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
# shellcheck source=bindings/csharp/tools/compile.sh
. bindings/csharp/tools/compile.sh
project=$PWD
cargo=${CARGO:-cargo}
work=$(mktemp -d)
emulator=
cleanup() {
    [ -z "$emulator" ] || kill "$emulator" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

block() { # PAGE LANGUAGE NUMBER: a code block as it is in the page
    awk -v fence="\`\`\`$2" -v number="$3" '
        /^```/ && inside { inside = 0; next }
        /^```/ && !inside { inside = 1; mine = ($0 == fence || index($0, fence ",") == 1); if (mine) seen++; next }
        inside && mine && seen == number' "$project/$1"
}
folder() { mkdir "$work/$1" && cd "$work/$1"; } # NAME
says() { # TEXT COMMAND…: runs a command whose output must have the text
    local said
    said=$("${@:2}") || fail "${*:2} fails"
    case $said in *"$1"*) ;; *) fail "${*:2} says: $said" ;; esac
    count=$((count + 1))
}
count=0

step "the library, installed (1 minute the first time)"
"$cargo" build --quiet --workspace
binaries "$work/stage" target/debug/libp21auth.so target/debug/libp21auth.a target/debug/p21auth
common_files "$work/stage"
P21AUTH_STAGE=$work/stage make --no-print-directory install PREFIX="$work/prefix" >/dev/null
export PATH=$work/prefix/bin:$PATH PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig LD_LIBRARY_PATH=$work/prefix/lib

step "the emulator, by the lines that it prints"
p21auth mock --tls --port 0 --ca-file "$work/ca.pem" >"$work/printed" &
emulator=$!
until grep -q 'p21auth token' "$work/printed"; do
    kill -0 "$emulator" || fail "the emulator has ended"
    sleep 0.05
done
eval "$(grep '^ *export ' "$work/printed")"
export XDG_CACHE_HOME=$work/cache

step "C and C++"
for page in README.md docs/c-and-cpp.md; do
    folder "c-${page##*/}"
    block $page c 1 >quick_start.c
    # shellcheck disable=SC2046 # as README writes it
    cc quick_start.c $(pkg-config --cflags --libs p21auth) -o quick_start
    says "Authorization: Bearer" ./quick_start
    folder "cpp-${page##*/}"
    block $page cpp 1 >quick_start.cpp
    # shellcheck disable=SC2046
    c++ -std=c++17 quick_start.cpp $(pkg-config --cflags --libs p21auth) -o quick_start
    says "Bearer" ./quick_start
done

step "Rust (1 minute the first time)"
folder rust
"$cargo" init --quiet --vcs none --name quick-start
cp "$project/Cargo.lock" .
"$cargo" add --quiet libp21auth --path "$project"
block README.md rust 1 >src/main.rs
says "Authorization: Bearer" env CARGO_TARGET_DIR="$project/target/quick-starts" "$cargo" run --quiet

step "C# (half a minute the first time)"
cd "$project"
prepare net8.0 || exit 1
compile_package net8.0
csharp() { # NAME PAGE NUMBER TEXT
    folder "$1"
    cp "$out"/net8.0/*.dll "$work/prefix/lib/libp21auth.so" .
    # What a project of .NET 8 imports by itself.
    printf 'global using global::%s;\n' System System.Collections.Generic System.IO System.Linq System.Net.Http System.Threading System.Threading.Tasks >Usings.cs
    block "$2" csharp "$3" >Program.cs
    net_program Program . Program.cs Usings.cs
    says "$4" "$tools/dotnet/dotnet" Program.dll
    cd "$project"
}
csharp csharp-readme README.md 1 '"customer_id"'
csharp csharp-manual-1 bindings/csharp/README.md 1 "a token of"
csharp csharp-manual-2 bindings/csharp/README.md 2 '"customer_id"'

step "Python (1 minute the first time)"
venv=$project/target/quick-starts/venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
P21AUTH_BUILD_LIBRARY=$project/target/debug/libp21auth.so P21AUTH_BUILD_CLI=$project/target/debug/p21auth \
    "$venv/bin/python" -m pip install -q --disable-pip-version-check "$project/bindings/python[httpx,requests,aiohttp]"
folder python
cp "$project"/{tests/tools/dist/readme.py,README.md,docs/migrating.md,docs/testing-your-code.md} .
says "examples of the manual" env -i PATH=/usr/bin:/bin HOME="$work" "$venv/bin/python" -I readme.py README.md migrating.md testing-your-code.md

step "the shell"
folder shell
block README.md sh 3 | sed 's/^\$ //' >commands
says '"customer_id"' sh -eu commands

step "seen: $count quick starts of the README and the manuals, word for word, in empty folders"
