#!/usr/bin/env bash
# The concurrent tests under ThreadSanitizer: tsan.sh [TEST-NAME...]. A race in std would be invisible unless std itself is
# instrumented, so this builds std too: with Debian's rustc, whose library comes as source, and the sanitizer's runtime of
# rustup's toolchain. Installs both compilers' packages where they are missing. About 8 minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=x86_64-unknown-linux-gnu
rustlib=$(rustc --print sysroot)/lib/rustlib/$target
runtime=$rustlib/lib/librustc-stable_rt.tsan.a
not_tested() {
    echo "== NOT TESTED under ThreadSanitizer: $*" >&2
    exit 1
}
[ -f "$runtime" ] || not_tested "rustup's toolchain with the sanitizer's runtime is needed, and is not at $runtime"
if [ ! -x /usr/bin/rustc ] || [ ! -d /usr/lib/rustlib/src/rust/library/std ]; then
    [ "$(id -u)" = 0 ] || not_tested "please install rustc-web, libstd-rust-web-dev and rust-web-src"
    echo "== installing Debian's rustc and the source of its library"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends rustc-web libstd-rust-web-dev rust-web-src >/dev/null
fi

export RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
export RUSTFLAGS="-Zsanitizer=thread -Zexternal-clangrt -Clink-arg=-fuse-ld=lld -Clink-arg=-B$rustlib/bin/gcc-ld"
# The runtime goes into each program, whole: what instrumented code calls is not known before. A shared library takes it
# from its program, so the linker is called by a script that knows the two apart.
mkdir -p target/tsan
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=$PWD/target/tsan/link-gcc
cat >"$CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER" <<LINK
#!/bin/sh
case " \$* " in *" -shared "* | *build_script*) exec cc "\$@" ;; esac
exec cc "\$@" -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive -lm
LINK
chmod +x "$CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER"
# A race fails the test that has it. Assembly of the TLS library is invisible to the sanitizer, its memory is not shared.
export TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1 die_after_fork=0 ${TSAN_OPTIONS:-}"

# The searches for planted secrets would take half an hour so, and are about text.
tests=("$@")
[ $# -gt 0 ] || tests=(--lib --test behavior --test stress --test abi)
echo "== the concurrent tests under ThreadSanitizer, with a build of their own"
"${CARGO:-cargo}" test -Zbuild-std=std,panic_unwind,test --target "$target" --target-dir target/tsan \
    "${tests[@]}" -- --test-threads=2 --skip secrets:: --skip c_programs:: --skip limits:: --skip scenarios:: --skip corpus::
