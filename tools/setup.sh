#!/usr/bin/env bash
# Installs the Debian packages that the tests need and this machine lacks (one minute, 700 MB on a machine that has nothing); with
# --demo only those that the demo needs. Each language's tests fetch what comes from other registries into target/. What cannot be
# installed is on the list of tools/not-tested.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
# Where Debian has servers and ldconfig, on the path of a user too.
export PATH=$PATH:/usr/sbin:/sbin

missing=()
need() { # COMMAND PACKAGE…
    command -v "$1" >/dev/null || missing+=("${@:2}")
}
need make make
need gcc gcc libc6-dev
need curl curl ca-certificates
need python3 python3
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
# For C#: a library that .NET loads.
ldconfig -p | grep -q libicuuc || missing+=('^libicu[0-9]+$')
extra=()
if [ "${1:-}" != --demo ]; then
    need g++ g++
    need nm binutils
    need valgrind valgrind libc6-dbg
    need redis-server redis-server
    need nginx nginx-light
    need squid squid
    need openssl openssl
    need ip iproute2
    need nft nftables
    need pkg-config pkg-config
    need cmake cmake
    # For C#: what replaces .NET Framework.
    need mono mono-complete
    [ -f /usr/lib/cli/Newtonsoft.Json-5.0/Newtonsoft.Json.dll ] || missing+=(libnewtonsoft-json5.0-cil)
    # Another Python, with other rules for when an object goes.
    command -v pypy3 >/dev/null || extra+=(pypy3 pypy3-venv)
fi

[ $((${#missing[@]} + ${#extra[@]})) != 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    [ ${#missing[@]} = 0 ] || tools/not-tested.sh "what needs these packages, which are not installed: ${missing[*]}"
    exit 0
fi
echo "== installing ${missing[*]} ${extra[*]} (a minute or two)"
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null; }
apt-get update -qq || true
if [ ${#missing[@]} != 0 ] && ! install "${missing[@]}"; then
    # All but those that cannot be had.
    for package in "${missing[@]}"; do
        install "$package" || tools/not-tested.sh "what needs Debian's $package, which cannot be installed"
    done
fi
# The tests say by themselves which interpreters they miss.
[ ${#extra[@]} = 0 ] || install "${extra[@]}" || true
