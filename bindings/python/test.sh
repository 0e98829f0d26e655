#!/usr/bin/env bash
# The tests of the Python package, in a virtual environment of their own: the wheel is built from the debug library and
# command line tool, installed, and tested as installed; then types. About three minutes the first time.
# Usage: bindings/python/test.sh [pytest arguments]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=$root/target/python/venv
cd "$root"

echo "   building the library and the emulator"
"${CARGO:-cargo}" build --quiet --features cli --lib --bin p21auth
export P21AUTH_BUILD_LIBRARY=$root/target/debug/libp21auth.so P21AUTH_BUILD_CLI=$root/target/debug/p21auth

if [ ! -x "$venv/bin/python" ]; then
    if ! python3 -c 'import ensurepip' 2>/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
    fi
    python3 -m venv "$venv"
fi
pip() { "$venv/bin/pip" --quiet --disable-pip-version-check "$@"; }
echo "   installing the wheel and what the tests need (a minute the first time)"
pip install -r "$here/tests/requirements.txt"
pip install --force-reinstall --no-deps "$here"

cd "$here"
"$venv/bin/python" -m pytest -q -p no:cacheprovider tests "$@"
echo "   types, by mypy and pyright"
"$venv/bin/python" -m mypy --cache-dir "$root/target/python/mypy"
"$venv/bin/python" -m pyright --pythonpath "$venv/bin/python"
