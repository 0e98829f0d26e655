#!/usr/bin/env bash
# Two minutes of random faults, refreshes, reports, forks and clients, then what was seen: tools/soak. make soak MINUTES=n
# runs it for longer.
set -euo pipefail
cd "$(dirname "$0")/../.."
log=target/soak.log
make --no-print-directory soak MINUTES="${MINUTES:-2}" | tee "$log"
awk '/^  token calls/ { calls = $NF } /^  forks/ { forks = $NF } /NOT explained/ { wrong = $NF }
    /^heap KiB/ { heap = $3 " → " $4 } /^RSS KiB/ { rss = $3 " → " $4 }
    END { print "== seen: " calls " token calls, " forks " forks, " wrong " failures that the faults do not explain; heap " \
        heap " KiB, RSS " rss " KiB" }' "$log"
