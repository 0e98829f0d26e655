#!/usr/bin/env bash
# Installs what builds and tests the library for Windows on Debian 12: a second Rust compiler, whose standard library comes
# as source (rustup's has none for Windows here), the MinGW compilers for 64 and 32 bits, and Wine without a screen.
set -euo pipefail

missing=()
need() { # FILE PACKAGE
    [ -e "$1" ] || missing+=("$2")
}
need /usr/bin/rustc rustc-web
need /usr/bin/clippy-driver rust-web-clippy
need /usr/lib/rustlib/src/rust/library/std/Cargo.toml rust-web-src
need /usr/bin/x86_64-w64-mingw32-gcc-win32 gcc-mingw-w64-x86-64-win32
need /usr/bin/i686-w64-mingw32-gcc-win32 gcc-mingw-w64-i686-win32
need /usr/bin/x86_64-w64-mingw32-g++-posix g++-mingw-w64-x86-64-posix
need /usr/bin/llvm-dlltool llvm
need /usr/lib/wine/wine64 wine64
need /usr/bin/curl curl

if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "== installing ${missing[*]} (1 GB, about 3 minutes)"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" libstd-rust-web-dev >/dev/null
else
    echo "== please install: ${missing[*]}" >&2
    exit 1
fi
