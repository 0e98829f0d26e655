#!/usr/bin/env bash
# The Python package where it takes too long for every run: Celery's pools, other schedulers and programs frozen by PyInstaller,
# with CPython 3.11 and 3.13, and the suite without its slow parts with 3.10 and 3.12, which `make test` leaves out. Uses the
# wheel and the environments that bindings/python/test.sh has made.
set -euo pipefail
cd "$(dirname "$0")/../../bindings/python"
work=../../target/python
[ -d "$work/wheel" ] && [ -x "$work/main/bin/python" ] || ./test.sh

interpreter() { # VERSION
    local candidate
    for candidate in "$HOME/.pyenv/versions/$1".*/bin/python3 "$(command -v "python$1" || true)"; do
        if [ -x "$candidate" ] && "$candidate" -c 'import ssl, venv' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

failed=0
untested=
for version in 3.10 3.11 3.12 3.13; do
    found=$(interpreter "$version")
    if [ -z "$found" ]; then
        untested+=" python$version"
        continue
    fi
    venv=$work/deep-$version
    if ! cmp -s requirements-test.txt "$venv/made-of"; then
        rm -rf "$venv"
        "$found" -m venv "$venv"
        "$venv/bin/python" -m pip install -q --disable-pip-version-check -r requirements-test.txt
        cp requirements-test.txt "$venv/made-of"
    fi
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps --no-index --force-reinstall "$work"/wheel/*.whl
    case $version in 3.11 | 3.13) what="deep" ;; *) what="not slow and not deep" ;; esac
    echo "== python: '$what' with python$version"
    "$venv/bin/python" -m pytest -q -n 2 -m "$what" </dev/null || failed=1
    if [ "$what" = deep ]; then
        # gevent, eventlet, trio and anyio, the slow ones too.
        echo "== python: schedulers with python$version"
        "$venv/bin/python" -m pytest -q -n 2 -m "not deep" tests/test_greenlets.py tests/test_trio.py tests/test_asyncio.py </dev/null || failed=1
    fi
done
[ -z "$untested" ] || ../../tools/not-tested.sh --optional "the Python package with these interpreters, which are not here:$untested"
exit $failed
