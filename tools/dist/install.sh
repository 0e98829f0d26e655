#!/usr/bin/env bash
# Installs what tools/dist/stage.sh staged, and stages first if nothing is there: install.sh PREFIX [DESTDIR].
set -euo pipefail
prefix=${1:?where to, such as /usr/local}
cd "$(dirname "$0")/../.."
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
staged() { find "$dist/stage" -mindepth 1 -maxdepth 1 -name "libp21auth-$version-*" 2>/dev/null; }
[ -n "$(staged)" ] || tools/dist/stage.sh
to=${2:-}$prefix
mkdir -p "$to"
for part in bin include lib share; do
    # A library that a program is using must be replaced, not written into.
    cp -R --no-dereference --remove-destination --preserve=mode,links,timestamps "$(staged)/$part" "$to/"
done
step "installed in $to; ldconfig makes the loader see it, or LD_LIBRARY_PATH=$to/lib"
