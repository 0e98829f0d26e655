#!/usr/bin/env bash
# shellcheck disable=SC2154
# Sourced by tests/tools/dist.sh: a Python script by the wheel.

step "Python, from the wheel"
# Not that for musl, where the release has one.
wheel=$(find dist -name "p21auth-$version-py3-none-*_$machine.whl" ! -name '*-musllinux_*')
# Name and SHA-256 of each file of a zip file below a folder.
bundled() { # ARCHIVE FOLDER
    python3 - "$@" <<'END'
import hashlib, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    for name in sorted(archive.namelist()):
        if name.startswith(sys.argv[2]) and not name.endswith("/"):
            print(hashlib.sha256(archive.read(name)).hexdigest(), name[len(sys.argv[2]):])
END
}
hash_of() { sha256sum <"$1" | cut -d' ' -f1; }
holds() { # ARCHIVE FOLDER NAME FILE: the archive's FOLDER/NAME is that file
    bundled "$1" "$2/" | grep -Fx "$(hash_of "$4") $3"
}
in_wheel=p21auth/_bundled
check "it holds the tarball's library" holds "$project/$wheel" $in_wheel libp21auth.so p21auth/lib/libp21auth.so
check "it holds the tarball's tool" holds "$project/$wheel" $in_wheel p21auth p21auth/bin/p21auth
check "it holds the licenses" holds "$project/$wheel" $in_wheel licenses/THIRD-PARTY-NOTICES.md p21auth/share/doc/libp21auth/THIRD-PARTY-NOTICES.md
case $tarball in
    *-glibc*) check "its tag promises no floor" test "${wheel%-linux_"$machine".whl}" != "$wheel" ;;
    *) check "its tag is manylinux2014" test "${wheel%-manylinux2014_"$machine".whl}" != "$wheel" ;;
esac
"$(python3 -c 'import sys; print(sys.executable)')" -m venv "$work/venv"
python=$work/venv/bin/python
check "pip installs it, with nothing else" clean "$python" -m pip install -q --no-index --disable-pip-version-check "$project/$wheel"
cat >"$work/source/token.py" <<'END'
import os

import p21auth
import p21auth.testing

with p21auth.Client.from_env() as client:
    print("Authorization:", client.get_headers()["Authorization"][:12])
    print("from", client.url("/"))
reply = p21auth.get_token_v2(os.environ["P21_BASE_URL"], "demo", "demo-password", ca_file=os.environ["P21_CA_FILE"])
print(reply["TokenType"], reply["ExpiresInSeconds"])
with p21auth.testing.Emulator() as emulator, emulator.client() as client:
    print(len(client.get_token()) > 20, "from an emulator of its own")
END
mv "$work/source/token.py" "$work/with_p21auth.py"
check "a script gets tokens" says "Authorization: Bearer" clean "$python" with_p21auth.py
check "p21auth is a command" says "p21auth $version" clean "$work/venv/bin/p21auth" --version
check "python -m p21auth is the tool" says "p21auth $version" clean "$python" -m p21auth --version
# The manual is in the wheel. What its examples use comes from the package index; the emulator is the wheel's own.
mkdir "$work/manual"
cp tests/tools/dist/readme.py README.md docs/migrating.md docs/testing-your-code.md "$work/manual"
if "$python" -m pip install -q --disable-pip-version-check httpx==0.28.1 requests==2.34.2 aiohttp==3.14.5; then
    check "the manual, the README and the pages, word for word, in an empty folder over TLS" says "examples of the manual" \
        env -C "$work/manual" -i PATH=/usr/bin:/bin HOME="$work" "$python" -I readme.py README.md migrating.md testing-your-code.md
else
    not_tested "the manual's examples from the wheel: httpx, requests and aiohttp can't be had"
fi

for arch in "${windows[@]}"; do
    case $arch in x86_64) platform=win_amd64 ;; *) platform=win32 ;; esac
    windows_wheel=$project/dist/p21auth-$version-py3-none-$platform.whl
    for file in p21auth.dll p21auth.exe; do
        check "the wheel for $platform holds $file" holds "$windows_wheel" $in_wheel "$file" "$project/target/windows/$arch/$file"
    done
    other_files() { bundled "$windows_wheel" $in_wheel/ | grep -vE ' (p21auth\.(dll|exe)|licenses/.*)$'; }
    check "the wheel for $platform holds no other binary" eval '! other_files'
    not_tested "the wheel for $platform on Windows: there is no Python for it here"
done
