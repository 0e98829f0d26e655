#!/usr/bin/env bash
# The release checklist: says of each step whether it is done, and fails if one is missing. It changes nothing and tags nothing.
#
#   make test-deep        everything, in every language; makes the release and tests it from its files alone
#   tools/release-check.sh
set -uo pipefail
cd "$(dirname "$0")/.." || exit
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
cargo=${CARGO:-cargo}
commit=$(git rev-parse HEAD)

missing=0
done_or() { # TO-DO WHAT COMMAND…
    local todo=$1 what=$2
    shift 2
    if "$@" >/dev/null 2>&1; then
        echo "ok       $what"
    else
        missing=$((missing + 1))
        echo "MISSING  $what"
        echo "         $todo"
    fi
}

nothing_uncommitted() { [ -z "$(git status --porcelain)" ]; }
dated() { grep -qxE "## \[${version//./\\.}\] - [0-9]{4}-[0-9]{2}-[0-9]{2}" CHANGELOG.md; }
no_tag() { ! git rev-parse --verify --quiet "refs/tags/v$version"; }
in_changelog() {
    local name
    for name in $(nm -D --defined-only --format=posix "$(staged "$host")/lib/libp21auth.so" | cut -d' ' -f1); do
        grep -q "^- \`$name\`" CHANGELOG.md || return 1
    done
}

# The declarations and macros of a header without comments, one a line.
declarations() { sed 's/^#.*/&;/' | tr '\n' ' ' | sed -e 's,/\*\([^*]\|\*[^/]\)*\*/,,g' -e 's/[[:space:]]\+/ /g' -e 's/; */;\n/g'; }
# Programs that were linked to the last release still work with this one, or the number in the SONAME has grown.
keeps_abi() {
    local last before
    last=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null) || return 0
    before=$(git show "$last:include/p21auth.h" | sed -n 's/^#define P21_ABI_VERSION //p')
    [ "$abi" -gt "$before" ] && return 0
    [ -z "$(comm -23 <(git show "$last:include/p21auth.h" | declarations | LC_ALL=C sort -u) <(declarations <include/p21auth.h | LC_ALL=C sort -u))" ]
}

# Of what was measured on a commit only the record may come after it.
same_but_for_results() { git diff --quiet "$1" "$commit" -- . ':!tests/RESULTS.md' ':!benches/RESULTS.md'; }
tested_deeply() { same_but_for_results "$(cat target/test-deep.passed)"; }
of_this_commit() { same_but_for_results "$(sed -n 's/^commit: //p' "$(staged "$host")/share/doc/libp21auth/BUILD")"; }
checksums() { (cd dist && sha256sum --check --strict --quiet SHA256SUMS); }
tested_from_files() { cmp -s "$dist/tested" dist/SHA256SUMS; }
with_floor() { [ -f "dist/libp21auth-$version-$host.tar.gz" ] && ls dist/p21auth-"$version"-py3-none-manylinux2014_*.whl; }
with_windows() {
    local names
    names=$(python3 -m zipfile -l "dist/LibP21Auth.$version.nupkg") || return 1
    [[ $names == *win-x64/native/p21auth.dll* && $names == *win-x86/native/p21auth.dll* ]] || return 1
    (cd dist && ls p21auth-"$version"-py3-none-win{_amd64,32}.whl libp21auth-"$version"-{x86_64,i686}-windows.zip)
}
windows_is_new() {
    local arch
    for arch in x86_64 i686; do
        [ -f target/windows/$arch/p21auth.dll ] || return 1
        [ -z "$(find src cli emulator build.rs Cargo.toml Cargo.lock -type f -newer target/windows/$arch/p21auth.dll)" ] || return 1
    done
}

echo "== release $version, binary interface $abi, commit $commit"
done_or "commit or remove what git status shows" "nothing is uncommitted" nothing_uncommitted
done_or "write '## [$version] - $(date +%F)' above its entries in CHANGELOG.md" "CHANGELOG.md has a dated entry" dated
done_or "raise the version in Cargo.toml; tests/docs/versions.rs names the other places" "there is no tag v$version yet" no_tag
done_or "run $cargo update --workspace" "Cargo.lock is current" "$cargo" update --workspace --locked --offline
done_or "run $cargo test --test docs" "the version is the same everywhere" "$cargo" test --quiet --locked --test docs versions::
done_or "run P21AUTH_REFRESH=1 $cargo test --test docs" "the header is the generated one" "$cargo" test --quiet --locked --test docs header::
done_or "raise P21_ABI_VERSION in src/capi/types.rs, or keep every declaration of the last release" "the C interface has only grown" keeps_abi
done_or "run tests/tools/deny.sh" "licenses and sources are allowed ones" tests/tools/deny.sh
done_or "run make test-deep on this commit" "make test-deep has passed on this commit" tested_deeply
done_or "run make dist on this commit" "the release was made of this commit" of_this_commit
done_or "add a line for each exported function" "CHANGELOG.md has every exported function" in_changelog
done_or "run make dist with zig" "it runs with glibc $floor" with_floor
done_or "run tools/windows/build.sh, then make dist" "the packages hold the libraries for Windows, 64 and 32 bits" with_windows
done_or "run tools/windows/build.sh, then make dist" "those are not older than the sources" windows_is_new
done_or "run make dist" "the files are those of dist/SHA256SUMS" checksums
done_or "run tests/tools/dist.sh --built" "those very files have passed their tests" tested_from_files

if [ "$missing" != 0 ]; then
    echo "== $missing missing"
    exit 1
fi
echo "== ready: git tag -a v$version -m 'libp21auth $version', push the tag, publish what is in dist/"
