#!/usr/bin/env bash
# The emulator's page in a real browser (headless Chromium): every button is pressed and what it does is read back from the
# emulator; by keyboard, in light and dark, at 360 px (half a minute, once Chromium is there). P21AUTH_REFRESH=1 takes the pictures
# for the documentation again.
set -euo pipefail
cd "$(dirname "$0")/../.."

need=()
command -v chromium >/dev/null || need+=(chromium)
command -v npm >/dev/null || need+=(nodejs npm)
if [ ${#need[@]} -gt 0 ]; then
    echo "== installing ${need[*]} (2 minutes)"
    apt-get install -y --no-install-recommends "${need[@]}" >/dev/null 2>&1 || {
        echo "== NOT TESTED: ${need[*]} cannot be installed"
        exit 0
    }
fi
work=target/page
mkdir -p "$work"
[ -d "$work/node_modules/playwright-core" ] ||
    npm install --silent --no-audit --no-fund --prefix "$work" playwright-core@1 >/dev/null
"${CARGO:-cargo}" build --quiet -p p21auth-cli
cp tests/tools/page.mjs "$work/"
node "$work/page.mjs" target/debug/p21auth docs/pictures
