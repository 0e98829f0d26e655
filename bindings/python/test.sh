#!/bin/sh
# Tests the Python package in virtual environments of its own: types, style, the whole suite with the python3 that is there,
# and the suite without its slow parts with the other interpreters that the package supports. Takes about 4 minutes.
#
#   P21AUTH_TEST_CARGO=1 bindings/python/test.sh      also pip-installs from source with cargo (some minutes more)
set -eu
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
work=$root/target/python
mkdir -p "$work"

say() { printf '== python: %s\n' "$*"; }

say "building the library and the command line tool"
(cd "$root" && "${CARGO:-cargo}" build --quiet --workspace)
case $(uname -s) in Darwin) library=libp21auth.dylib ;; *) library=libp21auth.so ;; esac
export P21AUTH_BUILD_LIBRARY="$root/target/debug/$library" P21AUTH_BUILD_CLI="$root/target/debug/p21auth"
unset P21AUTH_LIBRARY P21AUTH_CLI

# Makes the environment $1 of interpreter $2, with the pinned tools; again only when the list of tools has changed.
environment() {
    if ! cmp -s requirements-test.txt "$1/made-of" || ! "$1/bin/python" -c '' 2>/dev/null; then
        rm -rf "$1"
        "$2" -m venv "$1" || return 1
        "$1/bin/python" -m pip install -q --disable-pip-version-check -r requirements-test.txt || return 1
        cp requirements-test.txt "$1/made-of"
    fi
}

install_wheel() {
    "$1/bin/python" -m pip install -q --disable-pip-version-check --no-deps --no-index --force-reinstall "$work"/wheel/*.whl
}

say "making a virtual environment (up to 1 minute the first time)"
"$root/tools/setup.sh"
environment "$work/main" "${PYTHON:-python3}" || {
    echo "python3 (3.10 or later) with its venv module is needed" >&2
    exit 1
}
main=$work/main/bin
rm -rf "$work/wheel"
"$main/python" -m pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation -w "$work/wheel" .
install_wheel "$work/main"

say "ruff, mypy --strict, pyright"
"$main/ruff" check --quiet . "$root/examples/python"
"$main/ruff" format --quiet --check . "$root/examples/python"
"$main/mypy"
"$main/pyright" --pythonpath "$main/python" </dev/null

say "the suite with $("$main/python" -VV | head -n 1)"
"$main/python" -m pytest -q -n 4 </dev/null

# The interpreter for a version: on the PATH, or where pyenv has it.
interpreter() {
    for candidate in "$HOME/.pyenv/versions/${1#python}".*/bin/python3 "$(command -v "$1" || true)"; do
        if [ -x "$candidate" ] && "$candidate" -c 'import ssl, venv' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

main_version=$("$main/python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
untested=""
for name in python3.9 python3.11 python3.13 pypy3; do
    [ "$name" = "$main_version" ] && continue
    found=$(interpreter "$name")
    if [ -n "$found" ] && environment "$work/$name" "$found"; then
        install_wheel "$work/$name"
        say "the suite without its slow parts with $name"
        "$work/$name/bin/python" -m pytest -q -n 4 -m "not slow and not deep" </dev/null
    else
        untested="$untested $name"
    fi
done
if [ -n "$untested" ]; then
    "$root/tools/not-tested.sh" --optional "the Python package with these interpreters, which are not here:$untested"
fi
