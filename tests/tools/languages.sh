#!/usr/bin/env bash
# Calls the library from Node.js, Java, Go, PHP and Ruby: the quick starts of examples/, against the emulator, with a
# token each and with a refused password, whose hint they must show. Installs the languages on Debian (3 minutes).
set -euo pipefail
cd "$(dirname "$0")/../.."

echo "== Node.js, Java, Go, PHP and Ruby against the emulator (3 minutes the first time)"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    need=()
    command -v go >/dev/null || need+=(golang-go)
    command -v java >/dev/null || need+=(default-jdk-headless)
    [ -f /usr/share/java/jna.jar ] || need+=(libjna-java)
    command -v php >/dev/null || need+=(php-cli)
    command -v ruby >/dev/null || need+=(ruby)
    command -v npm >/dev/null || need+=(nodejs npm)
    if [ ${#need[@]} -gt 0 ]; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
    fi
fi
"${CARGO:-cargo}" build --quiet --workspace
work=$PWD/target/languages
mkdir -p "$work/node"
ln -sf "$PWD/target/debug/libp21auth.so" "$work/libp21auth.so"
ln -sf "$PWD/target/debug/libp21auth.so" "$work/libp21auth.so.1"
[ -d "$work/node/node_modules/koffi" ] || npm install --silent --no-audit --no-fund --prefix "$work/node" koffi@2 >/dev/null
cp examples/node/quick_start.mjs "$work/node/"
CGO_CFLAGS=-I$PWD/include CGO_LDFLAGS=-L$work go build -o "$work/go" examples/go/quick_start.go
javac -cp /usr/share/java/jna.jar -d "$work/java" examples/java/QuickStart.java

# The emulator says where it listens, and ends when its standard input does.
mkfifo "$work/in.$$" "$work/out.$$"
trap 'exec 3>&- || true; rm -f "$work/in.$$" "$work/out.$$"' EXIT
target/debug/p21auth mock --port 0 --json --until-stdin-ends <"$work/in.$$" >"$work/out.$$" &
exec 3>"$work/in.$$"
read -r about <"$work/out.$$"
P21_BASE_URL=$(sed 's/.*"base_url": *"\([^"]*\)".*/\1/' <<<"$about")
export P21_BASE_URL P21_USERNAME=demo P21AUTH_LIBRARY=$work/libp21auth.so.1 LD_LIBRARY_PATH=$work

failed=0
try() { # NAME COMMAND...
    local name=$1 said
    shift
    if ! said=$(P21_PASSWORD=demo-password "$@" 2>&1) || ! grep -q '^Authorization: Bearer ' <<<"$said" \
        || ! grep -q '^UI server: http' <<<"$said"; then
        failed=1
        printf '%s FAILED with a good password:\n%s\n' "$name" "$said"
    elif said=$(P21_PASSWORD=wrong "$@" 2>&1) || ! grep -q 'username and password' <<<"$said"; then
        failed=1
        printf '%s FAILED with a wrong password:\n%s\n' "$name" "$said"
    else
        echo "   $name: a token, the UI URL, and the hint for a refused password"
    fi
}
try Node.js node "$work/node/quick_start.mjs"
try Java java -cp "/usr/share/java/jna.jar:$work/java" -Djna.library.path="$work" QuickStart
try Go "$work/go"
try PHP php -d ffi.enable=true examples/php/quick_start.php
try Ruby ruby examples/ruby/quick_start.rb
echo "== seen: Node.js, Java, Go, PHP and Ruby: a token, the UI URL, and the hint for a refused password"
exit $failed
