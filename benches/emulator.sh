#!/usr/bin/env bash
# The load that the emulator stands, beside nginx that serves a file of the same size: wrk with one thread, 50 and 500
# connections, kept alive, plain http, by turns, best of three. Writes the rows "emulator" of benches/RESULTS.md. Takes two minutes once
# the release build is there. Wants wrk and nginx.
set -euo pipefail
cd "$(dirname "$0")/.."
for program in wrk nginx curl; do
    command -v "$program" >/dev/null || {
        echo "== the emulator's load is not measured: there is no $program" >&2
        exit 0
    }
done
"${CARGO:-cargo}" build --quiet --release -p p21auth-cli
seconds=${SECONDS_EACH:-4}
work=$(mktemp -d)
mkfifo "$work/in"
exec 3<>"$work/in"
target/release/p21auth mock --json --until-stdin-ends <"$work/in" >"$work/about" 3<&- &
emulator=$!
trap 'exec 3>&-; kill $emulator ${nginx:-} 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
until [ -s "$work/about" ]; do sleep 0.05; done
field() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/$1" "$2"; }
base=$(field about base_url)
login='{"username":"demo","password":"demo-password"}'
ask() { curl -sS "$base/api/security/token/v2" -H 'Accept: application/json' -H 'Content-Type: application/json' -d "$login"; }
ask >"$work/token"
token=$(field token AccessToken)
page='/odataservice/odata/table/customer?$top=10'
curl -sS "$base$page" -H "Authorization: Bearer $token" >"$work/page"

port=$((20000 + RANDOM % 20000))
cat >"$work/nginx.conf" <<CONF
daemon off; pid $work/nginx.pid; error_log stderr crit; worker_processes auto; worker_rlimit_nofile 4096;
events { worker_connections 1024; }
http {
    access_log off; keepalive_requests 1000000000; default_type application/json; client_body_temp_path $work/body;
    proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
    server { listen 127.0.0.1:$port backlog=4096; root $work; }
}
CONF
chmod 755 "$work"; chmod 644 "$work/token" "$work/page"
nginx -e stderr -c "$work/nginx.conf" &
nginx=$!
until curl -sf "http://127.0.0.1:$port/page" >/dev/null; do sleep 0.05; done
cat >"$work/post.lua" <<LUA
wrk.method = "POST"
wrk.body = '$login'
wrk.headers["Accept"] = "application/json"
wrk.headers["Content-Type"] = "application/json"
LUA
printf '' >"$work/none.lua"

# Requests per second; anything but a success makes it fail.
load() {
    local said
    said=$(wrk -t1 -c"$1" -d"${seconds}s" -s "$2" "$3")
    if grep -q "Non-2xx" <<<"$said"; then
        echo "$said" >&2
        exit 1
    fi
    sed -n 's/^Requests\/sec: *\([0-9]*\).*/\1/p' <<<"$said"
}
for connections in 50 500; do
    for work_name in token page; do
        ours=0 theirs=0
        for _ in 1 2 3; do
            case $work_name in
            token) mine=$(load $connections "$work/post.lua" "$base/api/security/token/v2") what="token requests" ;;
            page)
                # The one before may be forgotten: the emulator keeps the newest 50,000 tokens at most.
                ask >"$work/new"
                printf 'wrk.headers["Authorization"] = "Bearer %s"\n' "$(field new AccessToken)" >"$work/get.lua"
                mine=$(load $connections "$work/get.lua" "$base$page") what="OData pages of ten rows" ;;
            esac
            other=$(load $connections "$work/none.lua" "http://127.0.0.1:$port/$work_name")
            ours=$((mine > ours ? mine : ours)) theirs=$((other > theirs ? other : theirs))
        done
        ratio=$(awk "BEGIN { printf \"%.2f\", $ours / $theirs }")
        size=$(stat -c %s "$work/$work_name")
        echo "| emulator | $what ($size bytes), $connections connections | $ours a second: $ratio of nginx | | at least 0.2 |"
    done
done | tee "$work/rows"
python3 tools/record.py benches/RESULTS.md 2 --all <"$work/rows"
