#!/usr/bin/env bash
# The Debian and RPM packages of a release: lintian without errors; installed into a Debian 12 made by debootstrap, a C program
# built by pkg-config gets a token from the packaged emulator, `man p21auth` is there, and removal leaves nothing. RPM packages
# are installed into a root of their own and removed. As root, 5 minutes.
#
#   tests/tools/packages.sh [FOLDER]     with the packages, dist/ by default; make dist makes them
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
packages=$(realpath "${1:-dist}")
not_tested() {
    echo "== NOT TESTED: the Debian and RPM packages: $*" >&2
    exit 1
}
[ "$(id -u)" = 0 ] || not_tested "it needs root"
shopt -s nullglob
debs=("$packages"/*_"$version"-1_*.deb)
rpms=("$packages"/*-"$version"-1.*.rpm)
[ ${#debs[@]} = 3 ] && [ ${#rpms[@]} = 3 ] || not_tested "there are ${#debs[@]} and ${#rpms[@]} of three in $packages: make dist makes them"
need lintian lintian
need debootstrap debootstrap
need rpm rpm

step "lintian"
lintian --fail-on error --allow-root "${debs[@]}"

work=$(mktemp -d)
root=$work/debian
leave() {
    ! mountpoint -q "$root/proc" || umount "$root/proc"
    rm -rf --one-file-system "$work"
}
trap leave EXIT
mirror=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian bookworm //p' | head -1)
[ -n "$mirror" ] || not_tested "apt has no source of Debian 12 here"
step "a Debian 12 with a compiler (2 minutes)"
debootstrap --variant=minbase --include=gcc,libc6-dev,pkg-config,man-db bookworm "$root" "$mirror" >"$work/log" || fail "$(tail -5 "$work/log")"
mount -t proc proc "$root/proc"
# Its manual pages are left out in small roots only by a rule of docker's images; not here.
in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root MANPAGER=cat chroot "$root" "$@"; }
all_files() { find "$root" -xdev \( -path "$root/proc" -o -path "$root/var/cache" -o -path "$root/var/log" -o -path "$root/var/lib/dpkg" -o -path "$root/try" \) -prune -o \( -type f -o -type l \) -printf '%P\n' | LC_ALL=C sort; }
all_files >"$work/before"

step "the three packages, installed"
mkdir "$root/try"
cp "${debs[@]}" "$root/try/"
in_root sh -c 'dpkg -i /try/*.deb' >"$work/log" 2>&1 || fail "$(cat "$work/log")"
cp examples/c/quick_start.c "$root/try/"
in_root sh -ec 'cd /try && cc quick_start.c $(pkg-config --cflags --libs p21auth) -o shared &&
    cc quick_start.c $(pkg-config --cflags --libs p21auth-static) -o static'
# Both programs, one after the other, against the emulator that the package brings.
said=$(in_root sh -ec 'cd /try && p21auth exec --help >/dev/null
    sleep 600 | p21auth mock --tls --json --until-stdin-ends --ca-file ca.pem >about &
    until [ -s about ]; do sleep 0.1; done
    P21_BASE_URL=$(grep -o "https://127.0.0.1:[0-9]*" about | head -1) P21_CA_FILE=/try/ca.pem P21_USERNAME=demo P21_PASSWORD=demo-password
    export P21_BASE_URL P21_CA_FILE P21_USERNAME P21_PASSWORD
    ./shared && ./static && p21auth token
    pkill -f "sleep 600" 2>/dev/null || kill $! 2>/dev/null || true')
[ "$(grep -c 'UI server: http' <<<"$said")" = 2 ] || fail "the programs said: $said"
in_root man p21auth | grep "p21auth - " >/dev/null || fail "man p21auth is not there"
in_root ldconfig -p | grep "libp21auth.so.$abi " >/dev/null || fail "the loader does not know the library"

step "and removed"
in_root dpkg --purge libp21auth-dev p21auth libp21auth1 >"$work/log" 2>&1 || fail "$(cat "$work/log")"
all_files >"$work/after"
diff "$work/before" "$work/after" || fail "the packages left the above"

step "RPM packages in a root of their own"
rpm=(rpm --root "$work/rpm" --define "_dbpath /var/lib/rpm")
mkdir -p "$work/rpm"
"${rpm[@]}" --initdb
# Its database knows no glibc, which the packages ask for by version.
"${rpm[@]}" -i --nodeps --noscripts "${rpms[@]}"
"${rpm[@]}" --verify --nodeps libp21auth libp21auth-devel p21auth
[ "$("$work/rpm/usr/bin/p21auth" --version)" = "p21auth $version" ] || fail "the tool of the RPM package"
PKG_CONFIG_PATH=$work/rpm/usr/lib64/pkgconfig sh -ec "cc examples/c/quick_start.c \$(pkg-config --cflags --libs p21auth) -o '$work/program'"
"${rpm[@]}" -e --noscripts libp21auth-devel p21auth libp21auth
left=$(find "$work/rpm" \( -type f -o -type l \) -not -path '*/var/lib/rpm/*')
[ -z "$left" ] || fail "RPM packages left $left"
step "packages: all passed"
