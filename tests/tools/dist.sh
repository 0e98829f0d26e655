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
tarball=dist/$(basename "$(staged "$host")").tar.gz
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
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct "$(sed -n 's/^commit: \([0-9a-f]*\).*/\1/p' "$unpacked/share/doc/libp21auth/BUILD")")}
check "no file of the release holds a path of this machine, and each is of the time of its commit" python3 \
    "$project/tests/tools/dist/archives.py" "$project/dist" "$epoch" "$project" "${CARGO_HOME:-$HOME/.cargo}" "$(rustc --print sysroot)" "$HOME/"

signed() { # a throw-away key and the page's own line; then one byte more in a file, and in the checksums
    local GNUPGHOME=$work/keys verify
    export GNUPGHOME
    mkdir -m 700 "$GNUPGHOME"
    cp -R "$project/dist" "$work/signed"
    rm -f "$work"/signed/SHA256SUMS?*
    gpg --batch --quiet --passphrase '' --quick-generate-key release@example.org default default never
    (cd "$project" && P21AUTH_SIGN='gpg --batch --quiet --armor --detach-sign' sign "$work/signed")
    verify=$(grep '^gpg --verify' "$project/docs/packaging.md")
    cd "$work/signed"
    sh -c "$verify" || return 1
    echo >>"$(basename "$tarball")"
    ! sh -c "$verify" || return 1
    echo >>SHA256SUMS
    ! sh -c "${verify%%&&*}" || return 1
    gpgconf --kill all
}
check "P21AUTH_SIGN signs the checksums; a changed file and changed checksums are refused" signed
mkdir "$work/signed-not"
check "P21AUTH_SIGN that writes nothing is a failure" sh -c "cd '$project' && ! bash -c '. tools/dist/common.sh; P21AUTH_SIGN=true sign \"$work/signed-not\"'"

step "the shared library, as loaders see it"
shared=p21auth/lib/libp21auth.so
check "the links: .so to .so.$abi to the file" sh -c \
    "[ \$(readlink $shared) = libp21auth.so.$abi ] && [ \$(readlink $shared.$abi) = libp21auth.so.$abi.$version ]"
check "SONAME libp21auth.so.$abi" sh -c "readelf -dW $shared | grep -F '(SONAME)' | grep -F '[libp21auth.so.$abi]'"
check "it stays in memory once loaded" sh -c "readelf -dW $shared | grep FLAGS_1 | grep NODELETE"
exports() { nm -D --defined-only --format=posix "$1" | cut -d' ' -f1 | LC_ALL=C sort; }
declared() { sed -n '/^ \*/!s/.*[ *]\(p21_[a-z_]*\)(.*/\1/p' "$1" | LC_ALL=C sort -u; }
same_functions() { diff <(exports "$shared") <(declared p21auth/include/p21auth.h); }
check "it exports the functions of the header and nothing else" same_functions
libraries='libc|libm|libdl|libpthread|librt|libutil|ld-linux-x86-64|ld-linux-aarch64'
case $tarball in *-glibc*) libraries="$libraries|libgcc_s" ;; esac
check "it needs nothing but glibc" sh -c \
    "! readelf -dW $shared p21auth/bin/p21auth | grep -F '(NEEDED)' | grep -vE '\[($libraries)\.so\.[0-9]\]'"
# Messages of a panic name the crate's folder.
crates() { # FILE: name and version of those that it names
    grep -aoE '/cargo/registry/[A-Za-z0-9_-]+-[0-9]+\.[0-9]+\.[0-9]+[A-Za-z0-9.+-]*/src/' "$1" |
        sed -E 's,.*/([A-Za-z0-9_-]+)-([0-9]+\.[0-9]+\.[^/]+)/src/$,\1 \2,' | sort -u
}
# Each crate has a row in the notices, and each row's crate a text.
noticed() { # FILE
    local notices=p21auth/share/doc/libp21auth/THIRD-PARTY-NOTICES.md row rows
    rows=$(crates "$1" | sed 's/^/| /; s/ \([0-9]\)/ | \1/; s/$/ |/')
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

step "debug information, and lists of components"
debug=$work/debug
mkdir "$debug"
check "the tarball with debug information can be unpacked" tar -xzf "$project/${tarball%.tar.gz}-debug.tar.gz" -C "$debug" --strip-components=3
# As debuggers find it: by the build-id.
in_source() { # FILE FUNCTION: where the source of it is
    local id address
    id=$(readelf --notes --wide "$1" | sed -n 's/.*Build ID: //p')
    address=$(nm --format=posix "$debug/.build-id/${id:0:2}/${id:2}.debug" | sed -n "s/^$2 [Tt] \([0-9a-f]*\).*/\1/p")
    addr2line -i -e "$debug/.build-id/${id:0:2}/${id:2}.debug" "0x$address"
}
check "the debug information of the library knows p21_version" says "/libp21auth/src/capi/library.rs:" in_source "$shared" p21_version
check "there is that of the tool too" sh -c "readelf -SW debug/.build-id/*/*.debug | grep -c ' \.debug_line ' | grep -x 2"
for file in "$shared" p21auth/bin/p21auth; do
    check "$(basename "$file") has none itself" sh -c "! readelf -SW $file | grep -E '\.(debug_info|symtab)'"
done

check "a validator for lists of components" sh -c "python3 -m venv components && components/bin/python -m pip install -q cyclonedx-python-lib[json-validation]==11.12.0"
listed() { # FILE of the release
    components/bin/python - "$project/$1" <<'END'
import hashlib, json, pathlib, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
file = pathlib.Path(sys.argv[1])
text = pathlib.Path(f"{file}.cdx.json").read_text()
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
assert error is None, error
bom = json.loads(text)
assert bom["metadata"]["component"]["hashes"][0]["content"] == hashlib.sha256(file.read_bytes()).hexdigest(), "another file"
assert "serialNumber" not in bom
END
}
for file in dist/*; do
    case $file in *.cdx.json | *-debug.* | *.snupkg | */SHA256SUMS*) continue ;; esac
    check "the list of components of $(basename "$file")" listed "$file"
done
complete() { # LIST FILE: every crate that the file names is in the list
    local name number
    while read -r name number; do
        grep -qF "pkg:cargo/$name@$number" "$1" || { echo "not in it: $name $number"; return 1; }
    done < <(crates "$2")
}
check "the list of the library is complete" complete "$project/$(echo dist/libp21auth1_*.deb).cdx.json" "$shared"
check "the list of the tool is complete" complete "$project/$(echo dist/p21auth_*.deb).cdx.json" p21auth/bin/p21auth

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

# shellcheck source=tests/tools/dist/rows.sh
. tests/tools/dist/rows.sh
(cd "$project" && rows)
echo "== seen: $passed passed, $failed failed"
[ "$failed" = 0 ] || exit 1
# For tools/release-check.sh: which files these were.
cp dist/SHA256SUMS "$project/$dist/tested"
