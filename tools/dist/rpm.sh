#!/usr/bin/env bash
# RPM packages from what tools/dist/stage.sh staged: libp21auth, libp21auth-devel and p21auth, into the folder OUT.
#
#   tools/dist/rpm.sh OUT        P21AUTH_STAGE is another tree; P21AUTH_MAINTAINER is who answers for the packages
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
out=$(realpath "${1:?the folder for the packages}")
stage=$(realpath "${P21AUTH_STAGE:-$(staged "$host")}")
need rpmbuild rpm
date_files
work=$PWD/$dist/rpm
rm -rf "$work"
rpmbuild -bb --quiet --define "_topdir $work" --define "_rpmdir $out" --define "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" \
    --define "p21_version $version" --define "p21_vendor ${P21AUTH_MAINTAINER:-libp21auth maintainers}" \
    --define "stage $stage" --define "project $PWD" packaging/rpm/libp21auth.spec >"$dist/rpm.log" 2>&1 || fail "$(cat "$dist/rpm.log")"
step "RPM packages in $out: $(cd "$out" && echo *.rpm)"
