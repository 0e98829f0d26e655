#!/usr/bin/env bash
# Builds the release and lays it out as it will be installed, in target/dist/stage/libp21auth-VERSION-TARGET.
#
# zig links it against glibc 2.17, so that it runs on every Linux since 2014. Without zig (P21AUTH_WITHOUT_ZIG=1, or where it
# cannot be installed) it needs the glibc of this machine, and its name says so. Takes 10 minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
case $host in
    *-linux-gnu) ;;
    *) fail "make dist is for Linux with glibc; this is $host" ;;
esac

cargo=${CARGO:-cargo}
target=$host
linker="zig, against glibc $floor"
if [ -n "${P21AUTH_WITHOUT_ZIG:-}" ] || ! tools/dist/setup.sh; then
    linker="this machine's"
    loud "WITHOUT ZIG: the release will need this machine's glibc; the floor of $floor is NOT HELD"
fi

# One crate type at a time, or there is no link-time optimization. The tool has a folder of its own: its build makes a library
# too, and in one folder each would undo the other.
build() { # FOLDER cargo COMMAND and ARGUMENTS…
    local folder=$dist/build-$1 command=$2
    shift 2
    set -- --quiet --release --locked "$@"
    if [ "$linker" = "this machine's" ]; then
        "$cargo" "$command" "$@" --target "$host" --target-dir "$folder-without-zig"
        built=$folder-without-zig/$host/release
    else
        PATH=$PWD/$venv/bin:$PATH cargo-zigbuild "${command/#build/zigbuild}" "$@" --target "$host.$floor" --target-dir "$folder"
        built=$folder/$host/release
    fi
}

step "the shared library ($linker; up to 5 minutes)"
build lib rustc --lib --crate-type cdylib
shared=$built/libp21auth.so
step "the static library (up to 3 minutes)"
build lib rustc --lib --crate-type staticlib
static=$built/libp21auth.a
step "the command line tool (up to 5 minutes)"
build cli build --package p21auth-cli
tool=$built/p21auth

! grep -q p21_test_panic "$shared" "$static" "$tool" || fail "a function for tests alone is in the release"

needed=$(for file in "$shared" "$tool"; do glibc_needed "$file"; done | sort -V | tail -1)
glibc="$needed or newer"
if [ "$linker" = "this machine's" ]; then
    target=$host-glibc$needed
    glibc="$glibc; the floor of $floor is NOT HELD"
    loud "the release needs glibc $glibc"
elif ! { holds_floor "$shared" && holds_floor "$tool"; }; then
    fail "the release needs glibc $glibc; the floor is $floor"
fi

name=libp21auth-$version-$target
rm -rf "$dist/stage"
stage=$dist/stage/$name
doc=$stage/share/doc/libp21auth
binaries "$stage" "$shared" "$static" "$tool"
common_files "$stage"
step "the licenses of what is in it (up to 3 minutes)"
notices "$doc" "$host"
# Its start-up and unwinding code is in what it links.
[ "$linker" = "this machine's" ] || install -m 644 "$venv"/lib/python*/site-packages/ziglang/LICENSE "$doc/ZIG-LICENSE"
cat >"$doc/BUILD" <<END
libp21auth $version for $target
commit: $(commit)
$(rustc -V)
linker: $linker
glibc: $glibc
END
sums "$stage"
step "staged: $stage"
