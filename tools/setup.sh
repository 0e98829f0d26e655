#!/usr/bin/env bash
# Installs the Debian packages that the tests need and this machine lacks; says so where it may not.
set -euo pipefail

missing=()
need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null || missing+=("$2")
}
need make make
need gcc gcc
need g++ g++
need nm binutils
need valgrind valgrind
need redis-server redis-server
need nginx nginx-light
need squid squid
need openssl openssl

if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "== installing ${missing[*]} (about a minute)"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" libc6-dev >/dev/null
else
    echo "== please install: ${missing[*]} (what needs them is not tested)" >&2
fi
