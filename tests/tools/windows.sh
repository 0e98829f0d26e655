#!/usr/bin/env bash
# What `make test-deep` shows of Windows without Windows: the library and the tool are built for it, and programs that use
# them run under Wine. About 30 minutes the first time, 5 after that. What this cannot show is listed at the end, and in
# docs/windows.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools/windows/build.sh x86_64 i686
# shellcheck source=tools/windows/environment.sh
. tools/windows/environment.sh

step() { echo "== Windows: $*"; }
fail() {
    echo "== Windows: FAILED: $*" >&2
    exit 1
}
# What holds for the programs of a plain user: no variable of ours, no proxy.
for name in $(compgen -e); do
    case $name in P21_* | *_proxy | *_PROXY | SSL_CERT_* | REQUESTS_CA_BUNDLE) unset "$name" ;; esac
done

out=$PWD/target/windows/x86_64
work=$(mktemp -d)
emulator=
leave() {
    [ -z "$emulator" ] || kill "$emulator" 2>/dev/null || true
    /usr/lib/wine/wineserver64 -k 2>/dev/null || true
    rm -rf "$work"
}
trap leave EXIT

step "exports are the functions of the header, and nothing comes along that Windows does not have"
grep -oE '\bp21_[a-z_]+\(' include/p21auth.h | tr -d '(' | LC_ALL=C sort -u >"$work/header"
for arch in x86_64 i686; do
    dll=target/windows/$arch/p21auth.dll
    dll_exports "$dll" | diff "$work/header" - || fail "exports of $dll"
    [ -s "target/windows/$arch/p21auth.lib" ] || fail "no import library for $arch"
    for file in "$dll" "target/windows/$arch/p21auth.exe"; do
        x86_64-w64-mingw32-objdump -p "$file" | sed -n 's/.*DLL Name: //p' | tr '[:upper:]' '[:lower:]' | sort -u >"$work/needed"
        [ -s "$work/needed" ] || fail "$file needs nothing, which cannot be"
        if grep -E 'libgcc|winpthread|stdc\+\+|vcruntime' "$work/needed"; then
            fail "$file needs the above"
        fi
    done
done

step "a Wine of its own"
# Out of reach of the real one, without a screen or a window.
export WINEPREFIX=$PWD/target/windows/wine WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml='
wine=/usr/lib/wine/wine64
unset DISPLAY
system32=$WINEPREFIX/drive_c/windows/system32
if [ ! -e "$system32/bcryptprimitives.dll" ]; then
    timeout 300 "$wine" wineboot -i >"$work/wineboot" 2>&1 || fail "wineboot: $(cat "$work/wineboot")"
    # Rust's standard library takes its random numbers from here; this Wine has the function under another name alone.
    cat >"$work/bcryptprimitives.c" <<'END'
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length)
{
    return SystemFunction036(buffer, (ULONG)length);
}
END
    x86_64-w64-mingw32-gcc-win32 -shared -O2 -o "$work/bcryptprimitives.dll" "$work/bcryptprimitives.c" -ladvapi32
    timeout 100 "$wine" winecfg -v win10
    cp "$work/bcryptprimitives.dll" "$system32/"
fi
# A Windows program, for a minute at most.
run() { timeout 60 "$wine" "$@"; }
# The Windows name of a file.
named() { echo "Z:$1"; }

step "the emulator as a Windows program, over TLS"
tool=$out/p21auth.exe
mkfifo "$work/said"
(cd "$work" && exec "$wine" "$tool" mock --tls --json --ca-file ca.pem) >"$work/said" &
emulator=$!
read -r about <"$work/said" || fail "the emulator said nothing"
P21_BASE_URL=$(echo "$about" | grep -oE 'https://127\.0\.0\.1:[0-9]+' | head -1)
[ -n "$P21_BASE_URL" ] || fail "no base URL: $about"
export P21_BASE_URL P21_USERNAME=demo P21_PASSWORD=demo-password
P21_CA_FILE=$(named "$work/ca.pem")
export P21_CA_FILE
control() { curl -sS --noproxy '*' --cacert "$work/ca.pem" "$P21_BASE_URL/_control/$1" "${@:2}"; }
requests() { control counters | grep -oE '"token\.requests":[0-9]+' | cut -d: -f2; }
expect_requests() {
    local seen
    seen=$(requests)
    [ "$seen" = "$1" ] || fail "$seen token requests instead of $1: $2"
    control reset -d '{"only": "counters"}' >/dev/null
}

step "the command line tool"
run "$tool" token --header >"$work/header-line"
tr -d '\r' <"$work/header-line" | grep -q '^Authorization: Bearer .' || fail "no header"
run "$tool" token | run "$tool" inspect >"$work/inspected"
grep -q demo "$work/inspected" || fail "inspect: $(cat "$work/inspected")"
expect_requests 2 "two processes without a store"
status=0
P21_CA_FILE='' run "$tool" token 2>"$work/err" || status=$?
[ "$status" = 4 ] || fail "exit status $status instead of 4"
# Which words come after the address depends on the system's verdict, and Wine's is its own.
grep -q 'the TLS certificate of 127.0.0.1' "$work/err" || fail "not a word of the certificate: $(cat "$work/err")"
expect_requests 0 "a server that is not trusted"
P21_CA_FILE='' P21_TLS_PIN_SHA256=$(grep -oE '[0-9a-f]{64}' "$work/err" | head -1) run "$tool" token >"$work/pinned"
[ -s "$work/pinned" ] || fail "a pin"
control reset -d '{"only": "counters"}' >/dev/null
run "$tool" demo >"$work/demo" 2>&1 || fail "demo: $(cat "$work/demo")"
tail -3 "$work/demo"

step "login: the Credential Manager keeps the secret, a profile the rest"
login() { # PASSWORD ARGUMENT…
    printf '%s\n' "$1" | run "$tool" login --profile play --base-url "$P21_BASE_URL" --username demo --ca-file "$P21_CA_FILE" \
        "${@:2}" >"$work/login" 2>&1
}
status=0
login planted-and-wrong || status=$?
[ "$status" = 5 ] || fail "exit status $status instead of 5: $(cat "$work/login")"
login demo-password || fail "login: $(cat "$work/login")"
profiles=$(find "$WINEPREFIX/drive_c/users" -path '*/AppData/Roaming/p21auth/profiles.toml')
grep -q '^password_from = "wincred:p21auth/play"' "$profiles" || fail "the profile is $(cat "$profiles")"
! grep -E 'planted|demo-password' "$work/login" "$profiles" || fail "the password shows"
P21_BASE_URL='' P21_PASSWORD=wrong run "$tool" token --profile play >"$work/by-profile" || fail "no token by the profile"
[ "$(run "$tool" secret get play | tr -d '\r\n')" = demo-password ] || fail "secret get"
run "$tool" profiles | grep -q 'play .*password wincred:p21auth/play' || fail "profiles"
login demo-password && fail "an existing profile was changed without --yes"
run "$tool" logout --profile play 2>"$work/err" || fail "logout: $(cat "$work/err")"
status=0
run "$tool" secret get play 2>"$work/err" || status=$?
[ "$status" = 2 ] || fail "the secret is still there: $status"
! grep -q play "$profiles" || fail "the profile is still there"
control reset -d '{"only": "counters"}' >/dev/null

step "Windows reads the version from both files"
cat >"$work/version.c" <<'CODE'
#include <stdio.h>
#include <windows.h>

int main(int count, char **arguments)
{
    static char about[65536];
    VS_FIXEDFILEINFO *numbers;
    char *name;
    UINT length;
    if (count != 2 || !GetFileVersionInfoA(arguments[1], 0, sizeof about, about) ||
        !VerQueryValueA(about, "\\", (void **)&numbers, &length) ||
        !VerQueryValueA(about, "\\StringFileInfo\\040904b0\\OriginalFilename", (void **)&name, &length))
        return 1;
    printf("%s %lu.%lu.%lu\n", name, numbers->dwFileVersionMS >> 16, numbers->dwFileVersionMS & 0xffff,
           numbers->dwFileVersionLS >> 16);
    return 0;
}
CODE
x86_64-w64-mingw32-gcc-win32 -o "$work/version.exe" "$work/version.c" -lversion
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
for arch in x86_64 i686; do
    for file in p21auth.dll p21auth.exe; do
        seen=$(run "$work/version.exe" "$(named "$PWD/target/windows/$arch/$file")" | tr -d '\r')
        [ "$seen" = "$file ${version%%[-+]*}" ] || fail "$arch/$file says it is '$seen'"
    done
done

step "C and C++ programs, linked by the import libraries of MinGW and MSVC"
warnings=(-Wall -Wextra -Wpedantic -Wshadow -Werror)
mkdir "$work/programs"
cp "$out/p21auth.dll" "$work/programs/"
compile() { # OUTPUT SOURCE ARGUMENT...
    x86_64-w64-mingw32-gcc-win32 -std=c99 "${warnings[@]}" -Iinclude -o "$work/programs/$1.exe" "$2" "${@:3}"
}
mingw=(-L"$out" -l:libp21auth.dll.a)
compile api tests/c/api.c "${mingw[@]}"
compile api-msvc tests/c/api.c "$out/p21auth.lib"
for library in libp21auth.dll.a p21auth.lib; do
    i686-w64-mingw32-gcc-win32 -std=c99 "${warnings[@]}" -Iinclude -o "$work/programs/api-32.exe" tests/c/api.c \
        "target/windows/i686/$library"
done
compile threads tests/c/threads.c "${mingw[@]}" -static -lpthread
compile unload tests/c/unload.c "${mingw[@]}" -static -lpthread
compile quick_start examples/c/quick_start.c "${mingw[@]}"
compile errors examples/c/errors.c "${mingw[@]}"
compile event_loop examples/c/event_loop.c "${mingw[@]}" -static -lpthread
for source in tests/c/wrapper.cpp examples/cpp/quick_start.cpp; do
    x86_64-w64-mingw32-g++-posix -std=c++17 "${warnings[@]}" -Iinclude -o "$work/programs/$(basename "$source" .cpp)-cpp.exe" \
        "$source" "${mingw[@]}" -static
done
says() { # WORDS PROGRAM ARGUMENT...
    run "$work/programs/$2.exe" "${@:3}" >"$work/said-by" 2>&1 || fail "$2: $(cat "$work/said-by")"
    grep -qF -- "$1" "$work/said-by" || fail "$2 does not say '$1': $(cat "$work/said-by")"
}
says 'api: ok' api
says 'api: ok' api-msvc
says 'threads: ok' threads
says 'wrapper: ok' wrapper-cpp
says 'user demo' quick_start-cpp
says 'UI server: http' quick_start
says 'a token after ' event_loop
says 'P21_E_UNAUTHORIZED, HTTP 401' errors
says 'unload: ok' unload "$(named "$work/programs/p21auth.dll")"
control reset -d '{}' >/dev/null
control hold -d '{}' >/dev/null
says 'unload: leaving' unload "$(named "$work/programs/p21auth.dll")" hang
control reset -d '{}' >/dev/null

step "the file store: two programs, one request; a refusal is shared; what others can write is refused"
P21_STORE=file:///$(named "$work/store")
export P21_STORE P21_STORE_REQUIRED=1
first=$(run "$tool" token)
second=$(run "$tool" token)
[ -n "$first" ] && [ "$first" = "$second" ] || fail "two tokens"
expect_requests 1 "two processes with a store"
# Wine puts Administrators into the group's bits.
private() { # FOLDER
    [ -d "$1" ] && [[ $(stat -c %a "$1") == 7[05]0 ]] || fail "$1 is not the user's own: $(stat -c %a "$1")"
}
private "$work/store"
for _ in 1 2; do
    status=0
    P21_PASSWORD=wrong run "$tool" token 2>"$work/err" || status=$?
    [ "$status" = 5 ] || fail "exit status $status instead of 5: $(cat "$work/err")"
done
expect_requests 1 "two processes with a wrong password"
mkdir "$work/open"
chmod 777 "$work/open"
status=0
P21_STORE=file:///$(named "$work/open") run "$tool" token 2>"$work/err" || status=$?
[ "$status" = 3 ] && grep -q 'open can be written by others' "$work/err" || fail "status $status: $(cat "$work/err")"
expect_requests 0 "a store that is refused"
# Wine makes LOCALAPPDATA itself, no matter what it is told.
own=$(find "$WINEPREFIX/drive_c/users" -path '*/AppData/Local' -type d)/p21auth
rm -rf "$own"
P21_STORE=file run "$tool" token >/dev/null
private "$own"
unset P21_STORE
unset P21_STORE_REQUIRED P21_BASE_URL P21_USERNAME P21_PASSWORD P21_CA_FILE
kill "$emulator"
emulator=

step "lints of what is compiled for Windows alone"
# The lint named last takes std's own macro for ours here.
RUSTC_WORKSPACE_WRAPPER=/usr/bin/clippy-driver \
    CLIPPY_ARGS='-Dwarnings__CLIPPY_HACKERY__-Aclippy::missing_const_for_thread_local__CLIPPY_HACKERY__' \
    windows_cargo x86_64 build --quiet --workspace

step "the Rust tests"
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=$wine
skipped=(
    # Names of variables differ by more than case, and authorities come from SSL_CERT_FILE, on Unix alone.
    the_environment_decides_where_no_option_does
    a_bundle_that_is_in_use_is_not_mentioned
    without_authorities_on_the_machine_only_https_by_issuer_fails
    # Wine's verdict on a certificate without a known issuer is not that of Windows.
    a_private_authority_is_refused_with_the_way_to_trust_it
    an_emulator_in_one_process_and_a_token_in_another
    # Wine shows a connection's reset as its end, and does not wake who writes to one that is shut down.
    connections_break_on_request
    tls_connections_break_too
    a_stop_ends_everything
)
printf '== Windows: NOT TESTED: %s\n' "${skipped[@]}"
tests=(abi behavior cli emulator http store)
# Each is a program of its own, whose failure need not hide another's.
windows_cargo x86_64 test --quiet --no-fail-fast --workspace --lib --bins "${tests[@]/#/--test=}" -- \
    "${skipped[@]/#/--skip=}"

echo "== Windows: NOT TESTED: what is not here (docs/windows.md): real Windows, NTFS and its access lists, MSVC's compiler and" \
    "linker, a system's certificate store and proxy settings, services, IIS, scheduled tasks; 32-bit programs, built and not run"
