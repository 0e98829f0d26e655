# Sourced by what builds or tests for Windows: the compiler, the linkers, and how they are called. The working directory is
# the project's.

# Debian's compiler, whose standard library is built from its source along with the crates; that is experimental in cargo.
# clippy as cargo finds it belongs to the other compiler.
export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1
export CARGO_TARGET_DIR=$PWD/target/windows/build
for arch in x86_64 i686; do
    # win32: the thread model that needs no library beside the program.
    gcc=$arch-w64-mingw32-gcc-win32
    upper=$(echo "$arch" | tr '[:lower:]' '[:upper:]')
    export "CARGO_TARGET_${upper}_PC_WINDOWS_GNU_LINKER=$gcc"
    export "CC_${arch}_pc_windows_gnu=$gcc" "AR_${arch}_pc_windows_gnu=$arch-w64-mingw32-ar"
done
unset arch gcc upper

# 32-bit programs begin and end with an object each that registers where their unwinding tables are. They come with rustup's
# libraries, which are not used here; the linker is shown to them.
start=$PWD/target/windows/start
if [ ! -x "$start/linker" ]; then
    mkdir -p "$start"
    for object in rsbegin rsend; do
        "$RUSTC" --target i686-pc-windows-gnu --emit=obj -o "$start/$object.o" \
            "/usr/lib/rustlib/src/rust/library/rtstartup/$object.rs"
    done
    cat >"$start/linker" <<'END'
#!/bin/sh
for argument; do
    shift
    case $argument in rsbegin.o | rsend.o) argument=${0%/*}/$argument ;; esac
    set -- "$@" "$argument"
done
exec i686-w64-mingw32-gcc-win32 "$@"
END
    chmod +x "$start/linker"
fi
export CARGO_TARGET_I686_PC_WINDOWS_GNU_LINKER=$start/linker
unset start object

# cargo COMMAND for an architecture, with the standard library.
windows_cargo() { # ARCH COMMAND ARGUMENT...
    local arch=$1 command=$2
    shift 2
    "${CARGO:-cargo}" "$command" -Zbuild-std=std,panic_unwind,test --target "$arch-pc-windows-gnu" "$@"
}

# The p21_ functions that a DLL exports, sorted.
dll_exports() { # DLL
    x86_64-w64-mingw32-objdump -p "$1" | sed -n '/^\[Ordinal\/Name Pointer\] Table/,/^$/s/.*\] //p' | tail -n +2 | LC_ALL=C sort
}
