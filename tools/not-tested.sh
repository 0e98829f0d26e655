#!/bin/sh
# Keeps the list of what `make test` had to leave out, so that it cannot be overlooked:
#
#   not-tested.sh WHAT               says it, now and at the end; with CI=true that makes the tests fail, for the set-up
#                                    brings what is needed on a Debian machine with root
#   not-tested.sh --optional WHAT    says it as well: an interpreter that Debian lacks, a right that a container withholds
#   not-tested.sh --begin, --end     what `make test` calls first and last
set -eu
list=$(dirname "$0")/../target/not-tested

case $1 in
    --begin)
        mkdir -p "$(dirname "$list")"
        : >"$list"
        ;;
    --end)
        [ -s "$list" ] || exit 0
        sort -u "$list" | sed 's/^.*\t/!! NOT TESTED: /' >&2
        if [ "${CI:-}" = true ] && grep -q '^needed' "$list"; then
            echo "!! CI=true: what the set-up should have brought is missing" >&2
            exit 1
        fi
        ;;
    *)
        weight=needed
        if [ "$1" = --optional ]; then
            weight=optional
            shift
        fi
        mkdir -p "$(dirname "$list")"
        printf '%s\t%s\n' "$weight" "$*" >>"$list"
        echo "== NOT TESTED: $*" >&2
        ;;
esac
