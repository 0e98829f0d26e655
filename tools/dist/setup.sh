#!/usr/bin/env bash
# Installs what `make dist` needs: zig, which links against an old glibc, and hatchling, into target/dist/venv (300 MB). Takes
# half a minute, once. With --tests also what tests/tools/dist.sh needs from Debian.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null || missing+=("$2")
}
need readelf binutils
if [ "${1:-}" = --tests ]; then
    need gcc gcc
    need g++ g++
    need make make
    need pkg-config pkg-config
    need gpg gpg
    need gpg-agent gpg-agent
fi
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
