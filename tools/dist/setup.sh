#!/usr/bin/env bash
# Installs what `make dist` needs: zig, which links against an old glibc, and hatchling, into target/dist/venv (300 MB). Takes
# half a minute, once. With --tests also what tests/tools/dist.sh needs from Debian; with --for TARGET what builds for another one.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
need() { # COMMAND PACKAGE…
    command -v "$1" >/dev/null || missing+=("${@:2}")
}
need readelf binutils
case ${1:-} in
    --tests)
        need gcc gcc
        need g++ g++
        need make make
        need pkg-config pkg-config
        need gpg gpg
        need gpg-agent gpg-agent
        need rpm2cpio rpm2cpio
        need cpio cpio
        ;;
    --for)
        # Debian's compiler brings the source of the standard library; rustup's cannot here.
        need /usr/bin/rustc rustc-web libstd-rust-web-dev
        [ -f /usr/lib/rustlib/src/rust/library/std/Cargo.toml ] || missing+=(rust-web-src)
        case $2 in aarch64-*-gnu) need aarch64-linux-gnu-strip binutils-aarch64-linux-gnu ;; esac
        ;;
esac
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "== installing ${missing[*]}"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
        echo "== please install: ${missing[*]}" >&2
        exit 1
    fi
fi

venv=target/dist/venv
if ! cmp -s tools/dist/requirements.txt "$venv/made-of"; then
    echo "== zig, hatchling and CMake into $venv (half a minute)"
    rm -rf "$venv"
    mkdir -p "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -r tools/dist/requirements.txt
    cp tools/dist/requirements.txt "$venv/made-of"
fi
