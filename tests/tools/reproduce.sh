#!/usr/bin/env bash
# Two builds of one commit are the same, byte by byte: the second one in another folder, under another home with a registry of
# its own, by a Rust that lies elsewhere. Takes as long as a release (15 minutes, with Windows 20 more) and 6 GB below TMPDIR.
#
#   tests/tools/reproduce.sh      the first build is what is in dist/ if that is of this commit; else it is made
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
first=$PWD
[ -z "$(git status --porcelain --untracked-files=no)" ] || fail "there is more than is committed, which a second build cannot have"
stage=$(staged "$host")
if [ ! -f dist/SHA256SUMS ] || [ -z "$stage" ] || ! grep -qx "commit: $(commit)" "$stage/share/doc/libp21auth/BUILD"; then
    make dist
fi

work=$(mktemp -d "${TMPDIR:-/var/tmp}/reproduce.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
home=$work/home/of/another
second=$work/a/folder/somewhere/else
mkdir -p "$home/.cargo/registry"
git clone --quiet --no-hardlinks "$first" "$second"
# What was fetched need not be fetched again; what was unpacked or built is not taken along, but for tools that leave no trace.
for part in index cache; do
    cp -R "${CARGO_HOME:-$HOME/.cargo}/registry/$part" "$home/.cargo/registry/"
done
[ ! -f "${CARGO_HOME:-$HOME/.cargo}/config.toml" ] || cp "${CARGO_HOME:-$HOME/.cargo}/config.toml" "$home/.cargo/"
cp -R "$(rustc --print sysroot)" "$work/rust"
mkdir -p "$second/target/dist"
[ ! -d target/dist/cargo ] || cp -R target/dist/cargo "$second/target/dist/"
[ ! -d target/dotnet ] || cp -R target/dotnet "$second/target/"
elsewhere() {
    env -C "$second" -u CARGO_HOME -u RUSTUP_HOME -u CARGO_TARGET_DIR HOME="$home" PATH="$work/rust/bin:$PATH" "$@"
}
step "the second build, in $second"
start=$SECONDS
archs=()
for arch in x86_64 i686; do
    [ ! -f "target/windows/$arch/p21auth.dll" ] || archs+=("$arch")
done
[ ${#archs[@]} = 0 ] || elsewhere tools/windows/build.sh "${archs[@]}"
[ ${#archs[@]} = 2 ] || echo "== NOT TESTED: two builds for Windows; tools/windows/build.sh had not built the first for all of it"
elsewhere make dist
took=$((SECONDS - start))

differ=0
while read -r _ name; do
    cmp "dist/$name" "$second/dist/$name" || differ=$((differ + 1))
done <dist/SHA256SUMS
cmp dist/SHA256SUMS "$second/dist/SHA256SUMS" || differ=$((differ + 1))
[ "$differ" = 0 ] || fail "$differ files differ"
echo "== seen: $(wc -l <dist/SHA256SUMS) files of the release, the same bytes in two builds, the second in $((took / 60)) min"
