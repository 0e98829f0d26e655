#!/bin/sh
# The Python flow against the emulator: many threads, one request; tasks; a revoked token; the UI server.
set -eu
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
(cd "$root" && "${CARGO:-cargo}" build --quiet --workspace)
case $(uname -s) in Darwin) library=libp21auth.dylib ;; *) library=libp21auth.so ;; esac
P21AUTH_LIBRARY="$root/target/debug/$library" P21AUTH_CLI="$root/target/debug/p21auth" \
    PYTHONPATH=src exec "${PYTHON:-python3}" demo.py
