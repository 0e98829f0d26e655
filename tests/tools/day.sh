#!/usr/bin/env bash
# A day in the life, 20 minutes long (MINUTES=n): three processes call without a pause while server, names, Redis and proxy
# fail in turn, in a network of their own: tests/lab/day.rs. SEED=n repeats the troubles of another run.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools/can-unshare.sh || { tools/not-tested.sh "a day in the life: no network may be made here"; exit 0; }
"${CARGO:-cargo}" test --quiet --test lab day::a_day_in_the_life -- --ignored --nocapture
