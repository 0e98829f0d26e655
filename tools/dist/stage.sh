#!/usr/bin/env bash
# Builds the release for a target and lays it out as it will be installed, in target/dist/stage/libp21auth-VERSION-TARGET.
#
#   tools/dist/stage.sh [TARGET]     this machine's if none is named; aarch64-unknown-linux-gnu; x86_64-unknown-linux-musl
#
# zig links it against glibc 2.17, so that it runs on every Linux since 2014. Without zig (P21AUTH_WITHOUT_ZIG=1, or where it
# cannot be installed) it needs the glibc of this machine, and its name says so. For other targets Debian's compiler builds the
# standard library too. Takes 10 minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
case $host in
    *-linux-gnu) ;;
    *) fail "make dist is for Linux with glibc; this is $host" ;;
esac

cargo=${CARGO:-cargo}
target=${1:-$host}
compiler=$(rustc -V)
linker="zig, against glibc $floor"
binutils=
others=()
case $target in
    "$host")
        if [ -n "${P21AUTH_WITHOUT_ZIG:-}" ] || ! tools/dist/setup.sh; then
            linker="this machine's"
            loud "WITHOUT ZIG: the release will need this machine's glibc; the floor of $floor is NOT HELD"
        fi
        ;;
    *-linux-gnu | "$machine"-*-linux-musl)
        tools/dist/setup.sh --for "$target" || fail "what builds for $target cannot be installed"
        others=("-Zbuild-std=std,panic_unwind")
        compiler="$(/usr/bin/rustc -V), Debian's, with the standard library from its source"
        [ "${target%%-*}" = "$machine" ] || binutils=${target/-unknown/}-
        case $target in *-musl) linker="zig, against musl" ;; esac
        ;;
    *) fail "make dist does not know how to build for $target" ;;
esac

# One crate type at a time, or there is no link-time optimization. The tool has a folder of its own: its build makes a library
# too, and in one folder each would undo the other.
build() { # FOLDER cargo COMMAND and ARGUMENTS…
    local folder=$dist/build-$1 command=$2 for=$target flags=()
    # musl is the program's, not the library's.
    case $1-$target in
        lib-*-musl) flags=(-Ctarget-feature=-crt-static) ;;
        # What a program starts with is zig's: Debian's Rust has none for musl.
        cli-*-musl) flags=(-Clink-self-contained=no) ;;
    esac
    shift 2
    set -- --quiet --release --locked "${others[@]}" "$@"
    [ "$linker" != "this machine's" ] || folder=$folder-without-zig
    case $target in *-gnu) for=$target.$floor ;; esac
    (
        [ ${#others[@]} = 0 ] || export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
        build_neutrally "$target" "${flags[@]}"
        if [ "$linker" = "this machine's" ]; then
            "$cargo" "$command" "$@" --target "$target" --target-dir "$folder"
        else
            # What zig compiles of its own has the working directory in it, by this name; and so has what it keeps for the next time.
            env PATH="$PWD/$venv/bin:$PATH" ZIG_GLOBAL_CACHE_DIR="$PWD/$dist/zig" PWD=/proc/self/cwd \
                cargo-zigbuild "${command/#build/zigbuild}" "$@" --target "$for" --target-dir "$folder"
        fi
    )
    built=$folder/$target/release
}

step "the shared library for $target ($linker; up to 5 minutes)"
build lib rustc --lib --crate-type cdylib
shared=$built/libp21auth.so
step "the static library for $target (up to 3 minutes)"
build lib rustc --lib --crate-type staticlib
static=$built/libp21auth.a
step "the command line tool for $target (up to 5 minutes)"
build cli build --package p21auth-cli
tool=$built/p21auth

! grep -q p21_test_panic "$shared" "$static" "$tool" || fail "a function for tests alone is in the release"

case $target in
    *-gnu)
        needed=$(for file in "$shared" "$tool"; do glibc_needed "$file"; done | sort -V | tail -1)
        libc="glibc: $needed or newer"
        ;;
    *) libc="musl: 1.2.3 or newer" ;;
esac
name=libp21auth-$version-$target
if [ "$linker" = "this machine's" ]; then
    name=$name-glibc$needed
    libc="$libc; the floor of $floor is NOT HELD"
    loud "the release needs $libc"
elif [ -n "${needed:-}" ] && ! { holds_floor "$shared" && holds_floor "$tool"; }; then
    fail "the release needs $libc; the floor is $floor"
fi

stage=$dist/stage/$name
doc=$stage/share/doc/libp21auth
rm -rf "$dist"/{stage,debug}/libp21auth-*-"$target"* "$dist/components/$target"
binaries "$stage" "$shared" "$static" "$tool" "$binutils"
for file in "$stage/lib/libp21auth.so.$abi.$version" "$stage/bin/p21auth"; do
    split_debug "$file" "$dist/debug/$name-debug/lib/debug" "$binutils"
done
common_files "$stage"
step "the licenses and components of what is in it (up to 8 minutes the first time)"
notices "$doc" "$target"
components "$dist/components/$target" "$target"
# Its start-up and unwinding code is in what it links.
[ "$linker" = "this machine's" ] || install -m 644 "$venv"/lib/python*/site-packages/ziglang/LICENSE "$doc/ZIG-LICENSE"
cat >"$doc/BUILD" <<END
libp21auth $version for ${name#"libp21auth-$version-"}
commit: $(commit)
$compiler
linker: $linker
$libc
END
sums "$stage"
step "staged: $stage"
