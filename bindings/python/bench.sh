#!/bin/sh
# Measures the Python package beside its peers and writes the rows "Python" of benches/RESULTS.md. Takes about 3 minutes
# once the release library is there.
set -eu
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
venv=$root/target/python/bench
(cd "$root" && "${CARGO:-cargo}" build --quiet --workspace)
(cd "$root" && "${CARGO:-cargo}" rustc --quiet --release --lib --crate-type cdylib)
case $(uname -s) in Darwin) library=libp21auth.dylib ;; *) library=libp21auth.so ;; esac
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
pip="$venv/bin/python -m pip install -q --disable-pip-version-check"
$pip hatchling==1.33.0 httpx==0.28.1 requests==2.34.2 \
    msal==1.39.0 azure-core==1.41.0 google-auth==2.63.0 botocore==1.44.8 authlib==1.9.10
P21AUTH_BUILD_LIBRARY="$root/target/release/$library" P21AUTH_BUILD_CLI="$root/target/debug/p21auth" \
    $pip --no-deps --no-build-isolation --force-reinstall .
exec "$venv/bin/python" bench.py
