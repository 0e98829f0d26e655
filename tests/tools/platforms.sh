#!/usr/bin/env bash
# The release for other machines than this: arm64 under qemu, with Debian's own arm64 Python; musl under Debian's musl loader.
# Each gets tokens over TLS from the emulator of this machine's release. Sizes and times go into benches/RESULTS.md. 50 minutes the
# first time.
#
#   tests/tools/platforms.sh [--built] [arm64] [musl]     both if none is named; makes the release for this machine and those first,
#                                                         or takes what is in dist/
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
arm=aarch64-unknown-linux-gnu
musl=x86_64-unknown-linux-musl
[ "$machine" = x86_64 ] || { echo "== NOT TESTED: other platforms: this machine is not x86-64" && exit 1; }
built=
[ "${1:-}" != --built ] || { built=yes && shift; }
[ $# -gt 0 ] || set -- arm64 musl
targets=("$host")
for name; do
    case $name in
        arm64) targets+=("$arm") ;;
        musl) targets+=("$musl") ;;
        *) fail "no such platform: $name" ;;
    esac
done
[ -n "$built" ] || make dist TARGETS="${targets[*]}"
need qemu-aarch64 qemu-user
need musl-gcc musl-tools
need debootstrap debootstrap
need pkg-config pkg-config
need rpm2cpio rpm2cpio
project=$PWD
# What zig keeps for the next time.
export ZIG_GLOBAL_CACHE_DIR=$project/$dist/zig
work=$(mktemp -d)
emulator=
leave() {
    exec 9>&- || true
    [ -z "$emulator" ] || wait "$emulator" 2>/dev/null || true
    rm -rf "$work"
}
trap leave EXIT
mkdir "$work"/{host,arm,musl}
unpack() { # TARGET FOLDER
    tar -xzf "dist/libp21auth-$version-$1.tar.gz" -C "$2" --strip-components=1
    (cd "$2" && sha256sum --check --strict --quiet SHA256SUMS)
}
unpack "$host" "$work/host"

passed=()
ok() {
    passed+=("$1")
    echo "ok      $1"
}
must_say() { # WHAT TEXT COMMAND…
    local said
    said=$("${@:3}" 2>&1) && grep -qF -- "$2" <<<"$said" || fail "$1: $said"
    ok "$1"
}
must() { must_say "$1" "" "${@:2}"; } # WHAT COMMAND…
zig() { "$project/$venv/bin/python3" -m ziglang "$@"; }
flags() { PKG_CONFIG_PATH=$work/$1/lib/pkgconfig pkg-config "${@:2}"; } # FOLDER ARGUMENT…

step "the files"
must "the checksums of the release" sh -c "cd dist && sha256sum --check --strict --quiet SHA256SUMS"
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct "$(sed -n 's/^commit: \([0-9a-f]*\).*/\1/p' "$work/host/share/doc/libp21auth/BUILD")")}
must "no file holds a path of this machine, and each is of the time of its commit" python3 tests/tools/dist/archives.py dist "$epoch" \
    "$project" "${CARGO_HOME:-$HOME/.cargo}" "$(rustc --print sysroot)" "$HOME/"
python3 -m zipfile -e "dist/LibP21Auth.$version.nupkg" "$work/nuget"

step "the emulator, over TLS"
mkfifo "$work/in"
"$work/host/bin/p21auth" mock --tls --json --until-stdin-ends --ca-file "$work/ca.pem" <"$work/in" >"$work/hello" &
emulator=$!
exec 9>"$work/in"
until [ -s "$work/hello" ] || ! kill -0 "$emulator" 2>/dev/null; do sleep 0.02; done
P21_BASE_URL=$(grep -o '"base_url":"[^"]*' "$work/hello" | cut -d'"' -f4)
export P21_BASE_URL P21_CA_FILE=$work/ca.pem P21_USERNAME=demo P21_PASSWORD=demo-password

# The same library and tool in every package of a target.
packaged() { # NAME FOLDER WHEEL RID
    python3 -m zipfile -e "dist/p21auth-$version-py3-none-$3.whl" "$2-wheel"
    must "$1: the wheel and the NuGet package hold the tarball's library, and the wheel its tool" sh -euc "
        cmp '$2/lib/libp21auth.so' '$2-wheel/p21auth/_bundled/libp21auth.so'
        cmp '$2/bin/p21auth' '$2-wheel/p21auth/_bundled/p21auth'
        cmp '$2/lib/libp21auth.so' '$work/nuget/runtimes/$4/native/libp21auth.so'"
    must "$1: the library has its name, and stays in memory" sh -euc "
        readelf -dW '$2/lib/libp21auth.so' | grep -F '(SONAME)' | grep -F '[libp21auth.so.$abi]'
        readelf -dW '$2/lib/libp21auth.so' | grep FLAGS_1 | grep NODELETE"
    diff <(nm -D --defined-only --format=posix "$2/lib/libp21auth.so" | cut -d' ' -f1 | LC_ALL=C sort) \
        <(sed -n '/^ \*/!s/.*[ *]\(p21_[a-z_]*\)(.*/\1/p' "$2/include/p21auth.h" | LC_ALL=C sort -u) || fail "$1: other functions than the header's"
    ok "$1: it exports the functions of the header"
}

# The project's programs in C. What each must say:
programs=("examples/c/quick_start.c" "UI server: http" "tests/c/api.c" "api: ok" "tests/c/threads.c" "threads: ok")
in_c() { # NAME HOW COMPILER RUNNER…: COMPILER makes a PROGRAM of a SOURCE, RUNNER runs it
    local number source program
    for ((number = 0; number < ${#programs[@]}; number += 2)); do
        source=${programs[number]}
        program=$work/$(basename "$source" .c)
        "$3" "$program" "$source"
        must_say "$1: ${source##*/} with the $2" "${programs[number + 1]}" "${@:4}" "$program"
    done
}

on_arm64() {
    step "arm64, under qemu, with the libraries and the Python of Debian"
    local root=$project/target/arm64-root mirror file run
    if [ ! -f "$root/made" ]; then
        rm -rf "$root"
        mirror=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian bookworm //p' | head -1)
        debootstrap --arch=arm64 --foreign --variant=minbase --include=python3 bookworm "$root" "$mirror" >"$work/log" || fail "$(tail -5 "$work/log")"
        # Nothing of it runs here, so nothing is configured: its files are all that is needed.
        for file in "$root"/var/cache/apt/archives/*.deb; do dpkg-deb -x "$file" "$root"; done
        touch "$root/made"
    fi
    run=(qemu-aarch64 -L "$root")
    unpack "$arm" "$work/arm"
    packaged arm64 "$work/arm" manylinux2014_aarch64 linux-arm64
    for file in lib/libp21auth.so bin/p21auth; do
        holds_floor "$work/arm/$file" || fail "arm64: $file needs glibc $(glibc_needed "$work/arm/$file")"
    done
    ok "arm64: glibc $floor will do"
    must_say "arm64: the tool" "p21auth $version" "${run[@]}" "$work/arm/bin/p21auth" --version
    must_say "arm64: the tool's token" "." "${run[@]}" "$work/arm/bin/p21auth" token
    arm_cc() { # PROGRAM SOURCE PACKAGE ARGUMENT…
        # shellcheck disable=SC2046
        zig cc -target "aarch64-linux-gnu.$floor" -Wall -Wextra -Werror -pthread -o "$1" "$2" $(flags arm --cflags --libs "$3") "${@:4}"
    }
    arm_shared() { arm_cc "$@" p21auth; }
    # The unwinder, which gcc adds by itself.
    arm_static() { arm_cc "$@" p21auth-static -lunwind; }
    in_c arm64 "shared library" arm_shared "${run[@]}" -E LD_LIBRARY_PATH="$work/arm/lib"
    in_c arm64 "static library" arm_static "${run[@]}"
    must_say "arm64: Debian's Python with the wheel" "aarch64 Bearer" "${run[@]}" -E PYTHONPATH="$work/arm-wheel" "$root/usr/bin/python3" -c \
        'import os, p21auth; print(os.uname().machine, p21auth.default_client().get_headers()["Authorization"][:6])'

    # Without the searches through every order of events, which are the same on every machine and slow here.
    step "arm64: the Rust tests, under qemu (up to 10 minutes the first time)"
    env -u P21_BASE_URL -u P21_CA_FILE -u P21_USERNAME -u P21_PASSWORD PATH="$project/$venv/bin:$PATH" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="${run[*]}" \
        cargo-zigbuild test --quiet --locked --no-fail-fast -Zbuild-std=std,panic_unwind,test --target "$arm.$floor" --target-dir "$dist/build-tests" \
        --workspace --lib --test=behavior --test=emulator --test=http -- --skip cache::shared::search::
    ok "arm64: the Rust tests"
    echo "== NOT TESTED: .NET on arm64; a real arm64 machine"
}

on_musl() {
    step "musl, under Debian's loader"
    unpack "$musl" "$work/musl"
    packaged musl "$work/musl" musllinux_1_2_x86_64 linux-musl-x64
    must "musl: the library needs musl alone" sh -euc "
        readelf -dW '$work/musl/lib/libp21auth.so' | grep NEEDED | grep -F '[libc.so]'
        ! readelf -dW '$work/musl/lib/libp21auth.so' | grep NEEDED | grep -vF '[libc.so]'"
    # shellcheck disable=SC2046
    musl_cc() { musl-gcc -Wall -Wextra -Werror -pthread -o "$1" "$2" $(flags musl --cflags --libs "${@:3}"); } # PROGRAM SOURCE PACKAGE
    musl_shared() { musl_cc "$@" p21auth; }
    # Not by musl-gcc: the unwinder that it takes is Debian's for glibc.
    # shellcheck disable=SC2046
    musl_static() { zig cc -target x86_64-linux-musl -Wall -Wextra -Werror -pthread -o "$1" "$2" $(flags musl --cflags --libs p21auth-static) -lunwind; }
    in_c musl "shared library" musl_shared env LD_LIBRARY_PATH="$work/musl/lib"
    must_say "musl: its loader is musl's" ld-musl-x86_64.so.1 readelf --program-headers "$work/quick_start"
    in_c musl "static library" musl_static
    must "musl: the tool needs no library and no loader" sh -euc "! readelf -lWd '$work/musl/bin/p21auth' | grep -E 'NEEDED|INTERP'"
    must_say "musl: the tool's token" "." "$work/musl/bin/p21auth" token
    echo "== NOT TESTED: Python and .NET on musl: Debian has none of it"
}

for name; do "on_$name"; done
# shellcheck source=tests/tools/dist/rows.sh
. tests/tools/dist/rows.sh
rows
echo "== seen: ${#passed[@]} checks: $(printf '%s; ' "${passed[@]}")"
