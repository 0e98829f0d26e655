#!/usr/bin/env bash
# The headers under clang: C99, and C++ 17, 20 and 23 with strict warnings; gcc does the same in every test run. Installs
# clang on Debian (a minute the first time).
set -euo pipefail
cd "$(dirname "$0")/../.."

echo "== C and C++ headers under clang (a minute the first time)"
if ! command -v clang++ >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends clang >/dev/null
fi
warnings=(-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror -Iinclude -fsyntax-only)
clang -std=c99 "${warnings[@]}" -Wno-sign-conversion -Wno-conversion tests/c/api.c
for standard in c++17 c++20 c++2b; do
    for source in tests/c/header.cpp tests/c/wrapper.cpp tests/c/doctor.cpp; do
        clang++ "-std=$standard" "${warnings[@]}" -Wold-style-cast -Wnon-virtual-dtor -Woverloaded-virtual \
            -Wno-string-conversion "$source"
    done
done
echo "== seen: C99, C++17, C++20 and C++23 by $(clang --version | head -n 1)"
