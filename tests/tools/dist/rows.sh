#!/usr/bin/env bash
# shellcheck disable=SC2154
# Sourced by tests/tools/dist.sh and platforms.sh: rows of sizes and times, in benches/RESULTS.md.

sizes() {
    local file name limit
    for file in "$dist"/stage/*/{lib/libp21auth.{so,a},bin/p21auth} dist/*.{tar.gz,zip,deb,rpm,whl,nupkg} target/windows/*/p21auth.{dll,exe}; do
        name=${file#"$dist/stage/libp21auth-$version-"}
        name=${name#"$host/"}
        name=${name#dist/}
        name=${name#target/}
        case $name in *.so | *.dll) limit="at most 4,194,304" ;; *) limit= ;; esac
        # The same row for the next version.
        [ ! -f "$file" ] || printf '| size | `%s` | %s bytes | | %s |\n' "$(sed -E "s/[-._]${version//./\\.}(-1)?//" <<<"$name")" \
            "$(stat -Lc %s "$file" | sed ':a;s/\B[0-9]\{3\}\>/,&/;ta')" "$limit"
    done
}
times() { # of a `make dist` that began with nothing built
    [ ! -s "$dist/times" ] || awk -F '\t' '
        function row() { printf "| time | `make dist`: %s | %d s | | |\n", what, $1 - since }
        what != "" && what != "staged" { row() }
        NR == 1 { first = $1 }
        { since = $1; what = $2; sub(/ \(.*/, "", what); sub(/:.*/, "", what) }
        what ~ /^the shared library for / { targets++; names = names " " substr(what, 24) }
        END {
            all = (targets > 1) ? ", all of it for" names : ", all of it"
            printf "| time | `make dist`%s | %d s | | %s |\n", all, $1 - first, (targets > 1 ? "" : "at most 1,200 on an idle machine")
        }' "$dist/times"
}
rows() { { sizes; times; } | tools/record.py benches/RESULTS.md 2; }
