#!/bin/sh
# Keeps how long each stage of `make test` took, for the table at its end:
#
#   stage.sh NAME COMMAND…   runs a command and notes its seconds
#   stage.sh --begin, --end  what `make test` calls first and last
set -eu
list=$(dirname "$0")/../target/stages

case $1 in
    --begin)
        mkdir -p "$(dirname "$list")"
        : >"$list"
        ;;
    --end)
        [ -s "$list" ] || exit 0
        echo "== minutes"
        awk -F '\t' '{ sum += $1; printf "   %3d:%02d  %s\n", $1 / 60, $1 % 60, $2 }
            END { printf "   %3d:%02d  in all\n", sum / 60, sum % 60 }' "$list"
        ;;
    *)
        name=$1
        shift
        begin=$(date +%s)
        "$@"
        mkdir -p "$(dirname "$list")"
        printf '%s\t%s\n' "$(($(date +%s) - begin))" "$name" >>"$list"
        ;;
esac
