#!/usr/bin/env bash
# Installs what tools/dist/stage.sh staged, and stages first if nothing is there: install.sh PREFIX [LIBDIR [INCLUDEDIR [DESTDIR]]].
# A folder that does not begin with a slash is below PREFIX. P21AUTH_STAGE is another tree to install.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
prefix=${1:?where to, such as /usr/local}
below() { case $1 in /*) echo "$1" ;; *) echo "$prefix/$1" ;; esac; }
libdir=$(below "${2:-lib}")
includedir=$(below "${3:-include}")
destdir=${4:-}

stage=${P21AUTH_STAGE:-$(staged "$host")}
if [ -z "$stage" ]; then
    tools/dist/stage.sh
    stage=$(staged "$host")
fi
put() { # PART FOLDER
    mkdir -p "$destdir$2"
    # A library that a program is using must be replaced, not written into.
    cp -R --no-dereference --remove-destination --preserve=mode,links,timestamps "$stage/$1/." "$destdir$2/"
}
put bin "$prefix/bin"
put include "$includedir"
put lib "$libdir"
put share "$prefix/share"
point "$destdir" "$prefix" "$libdir" "$includedir"
step "installed in $destdir$prefix; ldconfig makes the loader see it, or LD_LIBRARY_PATH=$destdir$libdir"
