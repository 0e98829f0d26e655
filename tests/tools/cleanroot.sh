#!/usr/bin/env bash
# The two commands of a newcomer, `make demo` and `make test`, and the quick starts of README and manuals, on a machine that has
# nothing: a Debian 12 made by debootstrap with git and cargo, and what README's first line installs. As root; takes about an hour
# and 10 GB below TMPDIR, which it removes.
#
#   tests/tools/cleanroot.sh                      all of it, of the commit that is checked out
#   CLEANROOT=DIR tests/tools/cleanroot.sh …      keeps the root in DIR, uses it again, and runs the command given instead
set -euo pipefail
cd "$(dirname "$0")/../.."
project=$PWD

give_up() {
    echo "== NOT TESTED: the clean root: $*" >&2
    exit 1
}
[ "$(id -u)" = 0 ] || give_up "it needs root"
command -v apt-get >/dev/null || give_up "it needs Debian, for its mirror is taken from apt's configuration"

# All mounts are made in a mount namespace and all processes in a process namespace of their own, which the kernel removes
# with the last of them: what is left to do here is to remove a folder.
if [ -z "${CLEANROOT_INSIDE:-}" ]; then
    command -v debootstrap >/dev/null || {
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
    }
    root=${CLEANROOT:-}
    [ -n "$root" ] || root=$(mktemp -d "${TMPDIR:-/var/tmp}/cleanroot.XXXXXX")
    mkdir -p "$root"
    # Its users look into it, not only root.
    chmod 755 "$root"
    inside=
    cleanup() {
        # With it goes everything that runs inside.
        [ -z "$inside" ] || kill -KILL "$inside" 2>/dev/null || true
        wait
        [ -n "${CLEANROOT:-}" ] || rm -rf --one-file-system "$root" "$root.log"
    }
    trap cleanup EXIT
    trap 'exit 130' INT TERM HUP
    CLEANROOT_INSIDE=$(cd "$root" && pwd) unshare --mount --pid --fork --kill-child --propagation private "$0" "$@" </dev/null &
    inside=$!
    status=0
    wait "$inside" || status=$?
    inside=
    exit "$status"
fi
root=$CLEANROOT_INSIDE
in_root() { # COMMAND…: with nothing of this environment but its way to the network
    local way=() name
    for name in {http,https,ftp,all,no}_proxy {HTTP,HTTPS,FTP,ALL,NO}_PROXY SSL_CERT_FILE CURL_CA_BUNDLE GIT_SSL_CAINFO PIP_CERT \
        REQUESTS_CA_BUNDLE NODE_EXTRA_CA_CERTS; do
        [ -z "${!name:-}" ] || way+=("$name=${!name}")
    done
    env -i "${way[@]}" HOME=/root TERM=dumb LANG=C.UTF-8 CI=true CARGO_INCREMENTAL=0 \
        PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        chroot "$root" /bin/sh -ec 'cd "$0" && exec "$@"' "$@" </dev/null
}

# Debian's own sources, as apt knows them here: address, suite, component.
mapfile -t sources < <(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    sed -n 's/^Debian bookworm[^ ]* //p' | sort -u)
mirror=$(printf '%s\n' "${sources[@]}" | sed -n 's/ bookworm main$//p' | head -1)
[ -n "$mirror" ] || give_up "apt has no source of Debian 12 here"

if [ ! -f "$root/made" ]; then
    echo "== a Debian 12 (2 minutes)"
    debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" || give_up "$(tail -n 5 "$root.log")"
    rm "$root.log"
    printf 'deb %s\n' "${sources[@]}" >"$root/etc/apt/sources.list"
    apt-config dump | grep -E '^Acquire::https?::' >"$root/etc/apt/apt.conf.d/99machine" || true
    # Names and authorities: the machine's way to the network.
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    mkdir -p "$root/etc/ssl" "$root/usr/local/share/ca-certificates"
    cp -rL /etc/ssl/certs "$root/etc/ssl/"
    cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
fi
# The folder is a file system of its own, as what a machine starts from is; then the devices that a container has.
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
for device in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$root/dev/${device%:*}" c 1 "${device#*:}"
done
mknod -m 666 "$root/dev/tty" c 5 0
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
# This machine's toolchain, and the crates that it has fetched.
mkdir -p "$root/opt/rust" "$root/root/.cargo/registry"
mount --bind "$(rustc --print sysroot)" "$root/opt/rust"
mount -o remount,bind,ro "$root/opt/rust"

if [ ! -f "$root/made" ]; then
    in_root / apt-get update -qq
    # README's line for a fresh Debian 12; git made the checkout.
    first=$(sed -n '/^On a fresh Debian 12/,/^Then/p' README.md | grep '^apt-get ')
    in_root / env DEBIAN_FRONTEND=noninteractive sh -c "apt-get install -y -qq git && $first" >"$root/install.log" 2>&1 ||
        give_up "$(tail -n 5 "$root/install.log")"
    cargo_home=${CARGO_HOME:-$HOME/.cargo}
    for part in index cache; do
        [ ! -d "$cargo_home/registry/$part" ] || cp -R "$cargo_home/registry/$part" "$root/root/.cargo/registry/"
    done
    # A depth needs an address.
    git clone --quiet --depth 1 "file://$project" "$root/root/libp21auth"
    touch "$root/made"
fi

if [ $# -gt 0 ]; then
    in_root /root/libp21auth "$@"
    exit
fi
[ -z "$(git status --porcelain)" ] || echo "== what is not committed is not in it"
# A root that was kept has the commit that it was made with.
git -C "$root/root/libp21auth" fetch --quiet --depth 1 "file://$project" "$(git rev-parse HEAD)"
git -C "$root/root/libp21auth" reset --quiet --hard FETCH_HEAD
timed() { # NAME COMMAND…: leaves what it took in `seen`
    local start=$SECONDS
    in_root /root/libp21auth "${@:2}"
    seen=${seen:+$seen, }"$1 in $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s"
}
seen=
timed "make demo" make demo
timed "once more" make demo
timed "make test" make test
timed "the quick starts" tests/tools/quick_starts.sh
echo "== seen: $seen"
