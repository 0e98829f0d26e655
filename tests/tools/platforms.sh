#!/usr/bin/env bash
# The release for other machines than this: arm64 under qemu, with Debian's own arm64 Python; musl under Debian's musl loader.
# Each gets tokens over TLS from the emulator of this machine's release. 40 minutes the first time.
#
#   tests/tools/platforms.sh           makes the release for this machine, arm64 and musl first
#   tests/tools/platforms.sh --built   takes what is in dist/
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
arm=aarch64-unknown-linux-gnu
musl=x86_64-unknown-linux-musl
[ "$machine" = x86_64 ] || { echo "== NOT TESTED: other platforms: this machine is not x86-64" && exit 1; }
[ "${1:-}" = --built ] || make dist TARGETS="$host $arm $musl"
need qemu-aarch64 qemu-user
need musl-gcc musl-tools
need debootstrap debootstrap
project=$PWD
work=$(mktemp -d)
emulator=
leave() {
    exec 9>&- || true
    [ -z "$emulator" ] || wait "$emulator" 2>/dev/null || true
    rm -rf "$work"
}
trap leave EXIT
mkdir "$work"/{host,arm,musl}
unpack() { tar -xzf "dist/libp21auth-$version-$1.tar.gz" -C "$2" --strip-components=1; } # TARGET FOLDER
unpack "$host" "$work/host"

step "the emulator, over TLS"
mkfifo "$work/in"
"$work/host/bin/p21auth" mock --tls --json --until-stdin-ends --ca-file "$work/ca.pem" <"$work/in" >"$work/hello" &
emulator=$!
exec 9>"$work/in"
until [ -s "$work/hello" ] || ! kill -0 "$emulator" 2>/dev/null; do sleep 0.02; done
P21_BASE_URL=$(grep -o '"base_url":"[^"]*' "$work/hello" | cut -d'"' -f4)
export P21_BASE_URL P21_CA_FILE=$work/ca.pem P21_USERNAME=demo P21_PASSWORD=demo-password

passed=()
must_say() { # WHAT TEXT COMMAND…
    local said
    said=$("${@:3}" 2>&1) && grep -qF -- "$2" <<<"$said" || fail "$1: $said"
    passed+=("$1")
    echo "ok      $1"
}
flags() { PKG_CONFIG_PATH=$work/$1/lib/pkgconfig pkg-config "${@:2}"; } # FOLDER ARGUMENT…

arm64() {
    step "arm64, under qemu, with the libraries and the Python of Debian"
    local root=$project/target/arm64-root mirror file
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
    local zig=$project/$venv/bin/python3
    # shellcheck disable=SC2046
    arm_cc() { "$zig" -m ziglang cc -target "aarch64-linux-gnu.$floor" -Wall -Wextra -Werror -o "$work/$1" examples/c/quick_start.c $(flags arm --cflags --libs "${@:2}"); }
    arm_cc arm-shared p21auth
    arm_cc arm-static p21auth-static
    must_say "arm64: the tool" "p21auth $version" "${run[@]}" "$work/arm/bin/p21auth" --version
    must_say "arm64: the tool's token" "." "${run[@]}" "$work/arm/bin/p21auth" token
    must_say "arm64: a C program with the shared library" "UI server: http" \
        "${run[@]}" -E LD_LIBRARY_PATH="$work/arm/lib" "$work/arm-shared"
    must_say "arm64: a C program with the static library" "UI server: http" "${run[@]}" "$work/arm-static"
    python3 -m zipfile -e dist/p21auth-"$version"-py3-none-manylinux2014_aarch64.whl "$work/wheel"
    must_say "arm64: Debian's Python with the wheel" "aarch64 Bearer" "${run[@]}" -E PYTHONPATH="$work/wheel" "$root/usr/bin/python3" -c \
        'import os, p21auth; print(os.uname().machine, p21auth.default_client().get_headers()["Authorization"][:6])'
    python3 -m zipfile -e "dist/LibP21Auth.$version.nupkg" "$work/nuget"
    cmp "$work/nuget/runtimes/linux-arm64/native/libp21auth.so" "$work/arm/lib/libp21auth.so"
    for file in lib/libp21auth.so bin/p21auth; do
        holds_floor "$work/arm/$file" || fail "arm64: $file needs glibc $(glibc_needed "$work/arm/$file")"
    done
}

with_musl() {
    step "musl, under Debian's loader"
    unpack "$musl" "$work/musl"
    # shellcheck disable=SC2046
    musl_cc() { musl-gcc -Wall -Wextra -Werror -o "$work/$1" examples/c/quick_start.c $(flags musl --cflags --libs "${@:2}"); }
    musl_cc musl-shared p21auth
    must_say "musl: a C program is loaded by musl" ld-musl-x86_64.so.1 readelf --program-headers "$work/musl-shared"
    must_say "musl: the library needs musl alone" "libc.so" sh -c "readelf -dW '$work/musl/lib/libp21auth.so' | grep NEEDED; ! readelf -dW '$work/musl/lib/libp21auth.so' | grep NEEDED | grep -v 'libc\.so'"
    must_say "musl: a C program with the shared library" "UI server: http" env LD_LIBRARY_PATH="$work/musl/lib" "$work/musl-shared"
    must_say "musl: the tool's token" "." "$work/musl/bin/p21auth" token
}

arm64
with_musl
echo "== seen: ${#passed[@]} programs: $(printf '%s; ' "${passed[@]}")"
