#!/usr/bin/env bash
# Two minutes of random faults, refreshes, reports, forks and clients, then what was seen: tools/soak. make soak MINUTES=n
# runs it for longer.
set -euo pipefail
cd "$(dirname "$0")/../.."
make --no-print-directory soak MINUTES="${MINUTES:-2}"
