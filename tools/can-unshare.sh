#!/bin/sh
# Whether a test may have a network of its own, with links, addresses and a packet filter.
export PATH="$PATH:/usr/sbin:/sbin"
own=
[ "$(id -u)" = 0 ] || own="--user --map-root-user"
# shellcheck disable=SC2086 # several words
exec unshare $own --net --mount sh -ec '
    ip link add a0 type veth peer name b0
    echo "add table inet lab" | nft -f -' >/dev/null 2>&1
