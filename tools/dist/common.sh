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

# Installs a Debian package for its command, where that can be done.
need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "please install $2, for $1"
    step "installing $2"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null
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

# Lets the files for linking find the headers, and everything else, from where they lie.
point() { # DESTDIR PREFIX LIBDIR INCLUDEDIR
    from() { realpath --canonicalize-missing --no-symlinks --relative-to="$1" "$2"; }
    # As pkg-config wants a path written, and then as sed wants what it puts in.
    quoted() { sed 's,[^A-Za-z0-9._/-],\\&,g'; }
    plain() { sed 's/[|&\\]/\\&/g'; }
    sed -i -e "s|^prefix=.*|prefix=\${pcfiledir}/$(from "$3/pkgconfig" "$2" | quoted | plain)|" \
        -e "s|^includedir=.*|includedir=\${pcfiledir}/$(from "$3/pkgconfig" "$4" | quoted | plain)|" "$1$3"/pkgconfig/p21auth*.pc
    sed -i "s|^set(_p21auth_include .*|set(_p21auth_include \"$(from "$3/cmake/p21auth" "$4" | plain)\")|" \
        "$1$3/cmake/p21auth/p21auth-config.cmake"
}

# The libraries and the tool as they are installed.
binaries() { # PREFIX SHARED STATIC TOOL
    local real=libp21auth.so.$abi.$version
    mkdir -p "$1/lib/pkgconfig" "$1/bin"
    install -m 755 "$2" "$1/lib/$real"
    ln -s "$real" "$1/lib/libp21auth.so.$abi"
    ln -s "libp21auth.so.$abi" "$1/lib/libp21auth.so"
    install -m 644 "$3" "$1/lib/libp21auth.a"
    # The standard library's debug information is a third of it.
    strip --strip-debug "$1/lib/libp21auth.a"
    install -m 755 "$4" "$1/bin/"
    fill packaging/p21auth-static.pc.in "$1/lib/pkgconfig/p21auth-static.pc"
}

# What every package for C and C++ has: headers, how to link, what is to be read, and what shells complete.
common_files() { # PREFIX
    local doc=$1/share/doc/libp21auth
    mkdir -p "$1/include" "$1/lib/pkgconfig" "$1/lib/cmake/p21auth" "$doc"
    install -m 644 include/p21auth.h include/p21auth.hpp "$1/include/"
    fill packaging/p21auth.pc.in "$1/lib/pkgconfig/p21auth.pc"
    install -m 644 packaging/p21auth-config.cmake "$1/lib/cmake/p21auth/"
    fill packaging/p21auth-config-version.cmake.in "$1/lib/cmake/p21auth/p21auth-config-version.cmake"
    point "" "$1" "$1/lib" "$1/include"
    install -m 644 README.md CHANGELOG.md SECURITY.md LICENSE-MIT LICENSE-APACHE "$doc/"
    cp -R docs "$doc/"
    # A date for the packages would make cargo build again.
    env -u SOURCE_DATE_EPOCH "${CARGO:-cargo}" run --quiet --locked --package p21auth-cli --example pages -- "$1/share"
}

# The licenses of what a build for a target links, as they ask for.
notices() { # FOLDER TARGET
    local about=0.9.3 PATH=$PWD/$dist/cargo/bin:$PATH
    [ "$(cargo-about --version 2>/dev/null)" = "cargo-about $about" ] || {
        step "cargo-about (up to 5 minutes, once)"
        "${CARGO:-cargo}" install --quiet --locked --features cli --version "$about" --root "$dist/cargo" cargo-about
    }
    mkdir -p "$1"
    # Of every platform, for what comes after does without the network.
    "${CARGO:-cargo}" fetch --quiet --locked
    cargo-about generate --offline --locked --fail --config tools/dist/about.toml \
        --manifest-path cli/Cargo.toml --target "$2" --output-file "$1/THIRD-PARTY-NOTICES.md" tools/dist/notices.hbs
    install -m 644 "$(rustc --print sysroot)/share/doc/rust/COPYRIGHT-library.html" "$1/RUST-STANDARD-LIBRARY.html"
}

# The commit that a release is made of, with "-dirty" if there is more than is committed.
commit() { git describe --always --abbrev=40 --match '' --dirty 2>/dev/null || echo unknown; }

# Has SHA256SUMS in a folder signed by the command in P21AUTH_SIGN, which gets that name and writes a file beside it.
sign() { # FOLDER
    [ -n "${P21AUTH_SIGN:-}" ] || return 0
    step "SHA256SUMS, signed by $P21AUTH_SIGN"
    (cd "$1" && sh -c "$P21AUTH_SIGN SHA256SUMS")
    [ -n "$(find "$1" -name 'SHA256SUMS?*' -print -quit)" ] || fail "P21AUTH_SIGN wrote no signature beside SHA256SUMS"
}

# SHA256SUMS of all files in a folder.
sums() { # FOLDER
    (cd "$1" && find . -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum >SHA256SUMS)
}
