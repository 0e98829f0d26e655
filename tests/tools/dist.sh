#!/usr/bin/env bash
# Proves the release from its built files alone, in an empty folder: programs in C and C++ by pkg-config and CMake, shared and
# static, from the tarball and from `make install`, and for Windows from the zip files; a Python script by the wheel; C# programs
# by the NuGet package's files. Each gets a token over TLS from the emulator in the tarball.
#
#   tests/tools/dist.sh           makes the release first (15 minutes the first time)
#   tests/tools/dist.sh --built   takes what is in dist/
#
# The last line says how many passed and failed; what could not be run is a loud NOT TESTED line and neither.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "${1:-}" = --built ] || make dist
tools/dist/setup.sh --tests
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
project=$PWD
rm -f "$dist/tested"
tarball=$(echo dist/libp21auth-"$version"-*.tar.gz)
cmake=$project/$venv/bin/cmake
# Those for which tools/windows/build.sh has built.
windows=()
for arch in x86_64 i686; do
    [ ! -f "target/windows/$arch/p21auth.dll" ] || windows+=("$arch")
done

# A blank in its path, as in C:\Program Files or a home of someone with two names.
work=$(mktemp -d)/"with blank"
mkdir "$work"
emulator=
cleanup() {
    exec 9>&- || true
    [ -z "$emulator" ] || wait "$emulator" 2>/dev/null || true
    rm -rf "${work%/*}"
}
trap cleanup EXIT

passed=0
failed=0
# Runs a command that must succeed, with nothing of the environment but a path and the emulator's address.
check() { # WHAT COMMAND…
    local what=$1
    shift
    if (cd "$work" && "$@") >"$work/log" 2>&1 </dev/null; then
        passed=$((passed + 1))
        echo "ok      $what"
    else
        failed=$((failed + 1))
        echo "FAILED  $what"
        sed 's/^/        /' "$work/log"
    fi
}
says() { # TEXT COMMAND…
    local text=$1 said
    shift
    said=$("$@" 2>&1) || {
        echo "$said"
        return 1
    }
    echo "$said"
    case $said in *"$text"*) ;; *) return 1 ;; esac
}
not_tested() { echo "== NOT TESTED: $*"; }
clean() {
    env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$work" LANG=C.UTF-8 P21_BASE_URL="$base" P21_CA_FILE="$work/ca.pem" \
        P21_USERNAME=demo P21_PASSWORD=demo-password "$@"
}

step "the tarball, unpacked"
tar -xzf "$tarball" -C "$work"
check "the checksums of the release" sh -c "cd '$project/dist' && sha256sum --check --strict --quiet SHA256SUMS"
mv "$work/$(basename "$tarball" .tar.gz)" "$work/p21auth"
unpacked=$work/p21auth
check "the checksums in the tarball" sh -c "cd p21auth && sha256sum --check --strict --quiet SHA256SUMS"
check "every file of the tarball has one" sh -c \
    "cd p21auth && [ \"\$(find . -type f ! -name SHA256SUMS | wc -l)\" = \"\$(wc -l <SHA256SUMS)\" ]"
for file in LICENSE-MIT LICENSE-APACHE THIRD-PARTY-NOTICES.md RUST-STANDARD-LIBRARY.html CHANGELOG.md; do
    check "it brings $file" test -s "p21auth/share/doc/libp21auth/$file"
done
check "no file of it names the folder that it was built in" sh -c "! grep -rlF '$project' p21auth"

signed() { # a throw-away key; then one byte more
    local GNUPGHOME=$work/keys
    export GNUPGHOME
    mkdir -m 700 "$GNUPGHOME" "$work/signed"
    cp "$project/dist/SHA256SUMS" "$work/signed/"
    gpg --batch --quiet --passphrase '' --quick-generate-key release@example.org default default never
    (cd "$project" && P21AUTH_SIGN='gpg --batch --quiet --armor --detach-sign' sign "$work/signed")
    gpg --batch --verify "$work/signed/SHA256SUMS.asc" "$work/signed/SHA256SUMS" || return 1
    echo >>"$work/signed/SHA256SUMS"
    ! gpg --batch --verify "$work/signed/SHA256SUMS.asc" "$work/signed/SHA256SUMS" || return 1
    gpgconf --kill all
}
check "P21AUTH_SIGN signs the checksums, and a changed file is refused" signed
check "P21AUTH_SIGN that writes nothing is a failure" sh -c "cd '$project' && ! bash -c '. tools/dist/common.sh; P21AUTH_SIGN=true sign \"$work/signed-not\"'"

step "the shared library, as loaders see it"
shared=p21auth/lib/libp21auth.so
check "the links: .so to .so.$abi to the file" sh -c \
    "[ \$(readlink $shared) = libp21auth.so.$abi ] && [ \$(readlink $shared.$abi) = libp21auth.so.$abi.$version ]"
check "SONAME libp21auth.so.$abi" sh -c "readelf -dW $shared | grep -F '(SONAME)' | grep -F '[libp21auth.so.$abi]'"
check "it stays in memory once loaded" sh -c "readelf -dW $shared | grep FLAGS_1 | grep NODELETE"
exports() { nm -D --defined-only --format=posix "$1" | cut -d' ' -f1 | LC_ALL=C sort; }
declared() { sed -n '/^ \*/!s/.*[ *]\(p21_[a-z_]*\)(.*/\1/p' "$1" | LC_ALL=C sort; }
same_functions() { diff <(exports "$shared") <(declared p21auth/include/p21auth.h); }
check "it exports the functions of the header and nothing else" same_functions
libraries='libc|libm|libdl|libpthread|librt|libutil|ld-linux-x86-64|ld-linux-aarch64'
case $tarball in *-glibc*) libraries="$libraries|libgcc_s" ;; esac
check "it needs nothing but glibc" sh -c \
    "! readelf -dW $shared p21auth/bin/p21auth | grep -F '(NEEDED)' | grep -vE '\[($libraries)\.so\.[0-9]\]'"
# Messages of a panic name the crate's folder; each crate has a row in the notices, and each row's crate a text.
noticed() { # FILE
    local notices=p21auth/share/doc/libp21auth/THIRD-PARTY-NOTICES.md row rows
    rows=$(grep -aoE '/registry/src/[A-Za-z0-9._-]+/[A-Za-z0-9_-]+-[0-9]+\.[0-9]+\.[0-9]+[A-Za-z0-9.+-]*/src/' "$1" |
        sed -E 's,.*/([A-Za-z0-9_-]+)-([0-9]+\.[0-9]+\.[^/]+)/src/$,| \1 | \2 |,' | sort -u)
    [ "$(wc -l <<<"$rows")" -gt 15 ] || { echo "too few to be true: $rows"; return 1; }
    while read -r row; do
        grep -qF "$row" "$notices" || { echo "no row: $row"; return 1; }
    done <<<"$rows"
    while IFS=' |' read -r _ name number _; do
        grep -qE "^## .*[ ,]$name ${number//./\\.}(,|\$)" "$notices" || { echo "no text: $name $number"; return 1; }
    done < <(grep -E '^\| .* \| [0-9]+\.' "$notices")
}
check "the notices name all that is linked" noticed "$shared"
check "the notices name all that the tool links" noticed p21auth/bin/p21auth
check "no library is missing for it" sh -c "! ldd $shared | grep 'not found'"
case $tarball in
    *-glibc*) not_tested "the floor of glibc $floor: this release was made without zig and does NOT HOLD it" ;;
    *) for file in "$shared" p21auth/bin/p21auth; do
        check "$(basename "$file") needs glibc $floor at most" holds_floor "$file"
    done ;;
esac
check "the tool is of this version" says "p21auth $version" p21auth/bin/p21auth --version

step "the emulator of the tarball, over TLS"
mkfifo "$work/in"
env -i PATH=/usr/bin:/bin "$unpacked/bin/p21auth" mock --tls --json --until-stdin-ends --ca-file "$work/ca.pem" <"$work/in" >"$work/hello" &
emulator=$!
exec 9>"$work/in"
until [ -s "$work/hello" ] || ! kill -0 "$emulator" 2>/dev/null; do sleep 0.02; done
hello() { grep -o "\"$1\":\"[^\"]*" "$work/hello" | cut -d'"' -f4; }
base=$(hello base_url)
case $base in https://*) ;; *) fail "the emulator has not started: $(cat "$work/hello")" ;; esac
check "the tool gets a token" clean "$unpacked/bin/p21auth" token

for part in c windows vcpkg python dotnet; do
    # shellcheck source=/dev/null
    . "tests/tools/dist/$part.sh"
done

sizes() {
    local file name limit
    for file in "$dist"/stage/*/{lib/libp21auth.{so,a},bin/p21auth} dist/*.{tar.gz,zip,deb,rpm,whl,nupkg} target/windows/*/p21auth.{dll,exe}; do
        name=${file#"$dist"/stage/*/}
        name=${name#dist/}
        name=${name#target/}
        case $name in *.so | *.dll) limit="at most 4,194,304" ;; *) limit= ;; esac
        # The same row for the next version.
        [ ! -f "$file" ] || printf '| size | `%s` | %s bytes | | %s |\n' "${name/[-.]$version/}" \
            "$(stat -Lc %s "$file" | sed ':a;s/\B[0-9]\{3\}\>/,&/;ta')" "$limit"
    done
}
(cd "$project" && sizes | tools/record.py benches/RESULTS.md 2)
echo "== seen: $passed passed, $failed failed"
[ "$failed" = 0 ] || exit 1
# For tools/release-check.sh: which files these were.
cp dist/SHA256SUMS "$project/$dist/tested"
