#!/usr/bin/env bash
# `p21auth login` with a real Secret Service: gnome-keyring on a session bus of its own. The password goes in once; the tool, a C
# program and Python get tokens by the profile's name; logout removes everything. While all that runs, no command line, output or
# profile may hold the password. Installs the keyring on Debian. One minute.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "${1:-}" != --in-session ]; then
    echo "== secrets: p21auth login with the Secret Service (1 minute)"
    missing=()
    for pair in secret-tool:libsecret-tools gnome-keyring-daemon:gnome-keyring dbus-run-session:dbus-daemon dbus-send:dbus-bin; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    /usr/bin/python3 -c 'import keyring, secretstorage' 2>/dev/null || missing+=(python3-keyring python3-secretstorage)
    if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
    "${CARGO:-cargo}" build --quiet --workspace
    # Nothing of the developer's own settings, keyring and bus.
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -m 700 "$work/run"
    status=0
    env -i PATH="$PATH" HOME="$work" XDG_CONFIG_HOME="$work/config" XDG_DATA_HOME="$work/data" XDG_RUNTIME_DIR="$work/run" \
        timeout 300 dbus-run-session -- bash "$0" --in-session || status=$?
    exit $status
fi

work=$HOME
tool=$PWD/target/debug/p21auth
# That of the system, which has Debian's packages.
python=/usr/bin/python3
password=planted-$$-$RANDOM$RANDOM
step() { echo "== secrets: $*"; }
fail() {
    echo "== secrets: FAILED: $*" >&2
    exit 1
}

# What others can see of the program that keeps the secret, and of the one that starts it: their words and environments.
mkdir "$work/bin"
cat >"$work/bin/secret-tool" <<'END'
#!/bin/sh
for process in $$ $PPID; do
    tr '\0' '\n' <"/proc/$process/cmdline"
    tr '\0' '\n' <"/proc/$process/environ"
done >>"$HOME/seen"
exec /usr/bin/secret-tool "$@"
END
chmod +x "$work/bin/secret-tool"
PATH=$work/bin:$PATH
emulator=
keyring=
# shellcheck disable=SC2317 # called by the trap
leave() {
    [ -z "$emulator" ] || kill "$emulator" 2>/dev/null || true
    [ -z "$keyring" ] || kill "$keyring" 2>/dev/null || true
}
trap leave EXIT

printf '{"users": [{"name": "api.user", "password": "%s"}]}' "$password" >"$work/emulator.json"
mkfifo "$work/said"
"$tool" mock --tls --port 0 --json --ca-file "$work/ca.pem" --config "$work/emulator.json" >"$work/said" &
emulator=$!
read -r about <"$work/said"
url=$(grep -oE 'https://127\.0\.0\.1:[0-9]+' <<<"$about" | head -n 1)

login() { # ARGUMENT…
    printf '%s\n' "$password" | "$tool" login --profile play --base-url "$url" --username api.user --ca-file "$work/ca.pem" "$@" \
        >>"$work/messages" 2>&1
}
profiles=$XDG_CONFIG_HOME/p21auth/profiles.toml

step "without a bus the secret goes into a file, and that is said"
bus=$DBUS_SESSION_BUS_ADDRESS
unset DBUS_SESSION_BUS_ADDRESS
login || fail "no login: $(cat "$work/messages")"
grep -q "The system's store of secrets cannot be used" "$work/messages" || fail "not said: $(cat "$work/messages")"
[ "$(stat -c %a "$XDG_CONFIG_HOME/p21auth/secrets/play")" = 600 ] || fail "the file can be read by others"
"$tool" token --profile play >"$work/token"
"$tool" logout --profile play 2>>"$work/messages"
[ ! -e "$XDG_CONFIG_HOME/p21auth/secrets/play" ] || fail "the file is still there"

export DBUS_SESSION_BUS_ADDRESS=$bus

step "an unlocked keyring keeps it, and each language finds it by the profile's name"
start_keyring() { # FILE ARGUMENT…: the file is what unlocks it
    gnome-keyring-daemon --foreground --components=secrets "${@:2}" <"$1" >>"$work/keyring" 2>&1 &
    keyring=$!
    until dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner \
        string:org.freedesktop.secrets | grep -q 'boolean true'; do
        kill -0 "$keyring" || fail "no keyring: $(cat "$work/keyring")"
        sleep 0.1
    done
}
printf unlock >"$work/unlock"
start_keyring "$work/unlock" --unlock
login || fail "no login: $(cat "$work/messages")"
grep -q '^password_from = "keyring:p21auth/play"$' "$profiles" || fail "the profile is $(cat "$profiles")"
[ ! -e "$XDG_CONFIG_HOME/p21auth/secrets/play" ] || fail "there is a file"
[ "$(secret-tool lookup service p21auth username play)" = "$password" ] || fail "secret-tool does not find it"
"$tool" token --profile play >"$work/token"
[ "$("$tool" secret get play)" = "$password" ] || fail "secret get"
"$tool" profiles >>"$work/messages"
ln -s "$PWD/target/debug/libp21auth.so" "$work/libp21auth.so.1"
export LD_LIBRARY_PATH=$work
cc -Iinclude -Ltarget/debug examples/c/quick_start.c -lp21auth -o "$work/quick_start"
P21_PROFILE=play "$work/quick_start" >"$work/c" 2>&1 || fail "C: $(cat "$work/c")"
grep -q '^Authorization: Bearer ' "$work/c" || fail "C: $(cat "$work/c")"
export PYTHONPATH=$PWD/bindings/python/src P21AUTH_LIBRARY=$PWD/target/debug/libp21auth.so PYTHONDONTWRITEBYTECODE=1
"$python" -c 'import p21auth; print(len(p21auth.Client.from_profile("play").get_token()))' >"$work/python" 2>&1 ||
    fail "Python: $(cat "$work/python")"

step "Python's package keyring has the same entry"
[ "$("$python" -m keyring get p21auth play)" = "$password" ] || fail "the package does not find what login kept"
printf %s "$password" | "$python" -c 'import keyring, sys; keyring.set_password("p21auth", "python", sys.stdin.read())'
"$tool" token --base-url "$url" --username api.user --ca-file "$work/ca.pem" --password-from keyring:p21auth/python >"$work/token" ||
    fail "the library does not find what the package keeps"

step "a second login replaces the secret"
secret-tool store --label=x service p21auth username play <<<old
login && fail "an existing profile was changed without --yes"
login --yes || fail "no login: $(cat "$work/messages")"
[ "$(secret-tool lookup service p21auth username play)" = "$password" ] || fail "the old one is still there"
[ "$(secret-tool search --all service p21auth username play 2>/dev/null | grep -c '^secret = ')" = 1 ] || fail "two entries"

step "logout removes both"
"$tool" logout --profile play 2>>"$work/messages"
! secret-tool lookup service p21auth username play || fail "it is still there"
! grep -q play "$profiles" || fail "the profile is $(cat "$profiles")"

step "a locked keyring without a screen is not waited for"
kill "$keyring"
wait "$keyring" || true
start_keyring /dev/null
login || fail "no login: $(cat "$work/messages")"
tail -n 4 "$work/messages" | grep -q unencrypted || fail "not said: $(cat "$work/messages")"
"$tool" token --profile play >"$work/token"
status=0
"$tool" token --base-url "$url" --username api.user --ca-file "$work/ca.pem" --password-from keyring:p21auth/python \
    >"$work/token" 2>"$work/locked" || status=$?
[ "$status" = 2 ] || fail "status $status: $(cat "$work/locked")"
grep -q locked "$work/locked" || fail "status $status: $(cat "$work/locked")"
"$tool" logout --profile play 2>>"$work/messages"

step "no one could see the password"
for word in store lookup clear login; do
    grep -qx "$word" "$work/seen" || fail "no program with the word $word was seen"
done
for file in seen messages c python locked config/p21auth/profiles.toml; do
    ! grep -qF "$password" "$work/$file" || fail "the password is in $file"
done
echo "== seen: a keyring unlocked, locked and missing, tokens by profile in the tool, C and Python, no password in $(wc -c <"$work/seen") bytes of words and environments"
