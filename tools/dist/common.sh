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

# Says what begins; `make dist` has the moments written down, for the table of times.
step() {
    echo "== $*"
    [ -z "${P21AUTH_TIMES:-}" ] || printf '%s\t%s\n' "$(date +%s)" "$*" >>"$P21AUTH_TIMES"
}
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

# The time of every file of a release: SOURCE_DATE_EPOCH, or that of the commit. Called after the builds: they look at it too, and
# a new one would make them begin anew.
date_files() {
    export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 315532800)}"
}

# What this shell builds for a target from here on has a build-id and debug information, and no path of this machine: each is
# replaced by one that is the same everywhere.
build_neutrally() { # TARGET FLAG…
    local target=$1 home=${CARGO_HOME:-$HOME/.cargo} map maps more flags=() c=()
    shift
    # So that the folders of all registries are there.
    "${CARGO:-cargo}" fetch --quiet --locked
    # Of two that fit, the last counts.
    maps=("$HOME=/home" "/usr/lib/rustlib/src/rust=/rust" "$(rustc --print sysroot)=/rust" "$(pwd -P)=/libp21auth" "$home=/cargo")
    for map in "$home"/registry/src/*; do maps+=("$map=/cargo/registry"); done
    for map in "${maps[@]}"; do
        flags+=("--remap-path-prefix=$map")
        c+=("$(printf %q "-ffile-prefix-map=$map")")
    done
    read -ra more <<<"${RUSTFLAGS:-}"
    flags+=("-Clink-arg=-Wl,--build-id=sha1" "$@" "${more[@]}")
    CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "${flags[*]}")
    export CARGO_ENCODED_RUSTFLAGS CC_SHELL_ESCAPED_FLAGS=1 "CFLAGS_${target//-/_}=${c[*]}"
    export CARGO_PROFILE_RELEASE_DEBUG=line-tables-only CARGO_PROFILE_RELEASE_STRIP=none
}

# Takes debug information out of a library or program, into FOLDER, where debuggers find it by the build-id.
split_debug() { # FILE FOLDER PREFIX-OF-BINUTILS
    local id file
    id=$(readelf --notes --wide "$1" | sed -n 's/.*Build ID: //p')
    [ ${#id} = 40 ] || fail "$1 has no build-id"
    file=$2/.build-id/${id:0:2}/${id:2}.debug
    mkdir -p "${file%/*}"
    "$3objcopy" --only-keep-debug --compress-debug-sections=zlib "$1" "$file"
    chmod 644 "$file"
    "$3strip" --strip-all "$1"
}

# Where tools/dist/stage.sh has put what is built for a target; its name may have a glibc behind it. Nothing if it has not.
staged() { # TARGET
    find "$dist/stage" -mindepth 1 -maxdepth 1 -name "libp21auth-$version-$1*" 2>/dev/null
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
binaries() { # PREFIX SHARED STATIC TOOL [PREFIX-OF-BINUTILS]
    local real=libp21auth.so.$abi.$version
    mkdir -p "$1/lib/pkgconfig" "$1/bin"
    install -m 755 "$2" "$1/lib/$real"
    ln -s "$real" "$1/lib/libp21auth.so.$abi"
    ln -s "libp21auth.so.$abi" "$1/lib/libp21auth.so"
    install -m 644 "$3" "$1/lib/libp21auth.a"
    # Debug information is most of it.
    "${5:-}strip" --strip-debug "$1/lib/libp21auth.a"
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

# Tools of others that cargo builds, in a folder of their own.
cargo_tool() { # NAME VERSION ARGUMENT…
    PATH=$PWD/$dist/cargo/bin:$PATH
    ! "${CARGO:-cargo}" install --list --root "$dist/cargo" | grep -qxF "$1 v$2:" || return 0
    step "$1 (up to 5 minutes, once)"
    "${CARGO:-cargo}" install --quiet --locked --version "$2" --root "$dist/cargo" "${@:3}" "$1"
}

# The licenses of what a build for a target links, as they ask for.
notices() { # FOLDER TARGET
    local PATH=$PATH
    cargo_tool cargo-about 0.9.3 --features cli
    mkdir -p "$1"
    # Of every platform, for what comes after does without the network.
    "${CARGO:-cargo}" fetch --quiet --locked
    cargo-about generate --offline --locked --fail --config tools/dist/about.toml \
        --manifest-path cli/Cargo.toml --target "$2" --output-file "$1/THIRD-PARTY-NOTICES.md" tools/dist/notices.hbs
    install -m 644 "$(rustc --print sysroot)/share/doc/rust/COPYRIGHT-library.html" "$1/RUST-STANDARD-LIBRARY.html"
}

# What a build for a target links, as CycloneDX has it: library.json and tool.json in a folder.
components() { # FOLDER TARGET
    local PATH=$PATH place
    # Not optimized: it runs for a second.
    CARGO_PROFILE_DEV_DEBUG=0 cargo_tool cargo-cyclonedx 0.5.9 --debug
    mkdir -p "$1"
    # It writes beside each manifest.
    SOURCE_DATE_EPOCH=0 cargo-cyclonedx cyclonedx -qq --format json --spec-version 1.5 --all --no-build-deps --target "$2" \
        --override-filename .components
    mv .components.json "$1/library.json"
    mv cli/.components.json "$1/tool.json"
    for place in emulator tests/support; do rm "$place/.components.json"; done
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
