#!/usr/bin/env bash
# shellcheck disable=SC2034
# Sourced by the scripts beside it, with the project as the working directory: what all of them call things.

umask 022
dist=target/dist
venv=$dist/venv
floor=2.17
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
abi=$(sed -n 's/^pub const P21_ABI_VERSION: i32 = \(.*\);/\1/p' src/capi/types.rs)
host=$(rustc -vV | sed -n 's/^host: //p')
machine=${host%%-*}

step() { echo "== $*"; }
loud() { echo "!! $*" >&2; }
fail() {
    loud "$*"
    exit 1
}

# The newest version of glibc whose symbols a program or library asks for, such as 2.17.
glibc_needed() { # FILE
    readelf --version-info --wide "$1" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -Vu | tail -1
}

# Whether a file runs where glibc is as old as the floor.
holds_floor() { # FILE
    [ "$(printf '%s\n' "$floor" "$(glibc_needed "$1")" | sort -V | tail -1)" = "$floor" ]
}

# Fills the @NAMES@ of a template.
fill() { # TEMPLATE FILE
    sed "s/@VERSION@/$version/g" "$1" >"$2"
}
