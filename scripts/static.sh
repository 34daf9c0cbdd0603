#!/usr/bin/env bash
# Builds a static musl binary into target/dist/amurg-runtime-VERSION-TARGET[-plain].
#   scripts/static.sh [TARGET]      TARGET: x86_64-unknown-linux-musl (default), aarch64-unknown-linux-musl
#   FEATURES=plain                  without TLS: ws:// and http:// only, no C compiler needed;
#                                   as small as can be, at twice the CPU per byte
#   STD=prebuilt                    rustup's standard library: a sixth larger, the plain one
#                                   two thirds; default: source where its source can be had
#   NAMES=kept                      with names, for the place that a panic told, beside the
#                                   one without: the code lies where it does there
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

target=${1:-x86_64-unknown-linux-musl}
case $target in
x86_64-unknown-linux-musl | aarch64-unknown-linux-musl) ;;
*)
    say "$target: the static targets are x86_64-unknown-linux-musl and aarch64-unknown-linux-musl"
    exit 64
    ;;
esac
profile=static features=() suffix=
if [ "${FEATURES:-}" = plain ]; then
    profile=tiny features=(--no-default-features) suffix=-plain
else
    # OpenSSL is most of the binary: build it small, and let the linker drop what
    # nobody calls. Only it wants a C compiler; Rust brings linker, musl and unwinder.
    unset OPENSSL_NO_VENDOR
    need_zig
    zig_cc "$target"
    export OPENSSL_SRC_PERL=$PWD/scripts/openssl-configure.sh
    # The last one: cargo builds it anew when what configures it has changed.
    CFLAGS="-Oz -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-unwind-tables"
    CFLAGS+=" -DCONFIGURED_BY=$(cksum <scripts/openssl-configure.sh | cut -d ' ' -f 1)"
    export CFLAGS
fi
strip=symbols
if [ "${NAMES:-}" = kept ]; then
    strip=none suffix+=-names
fi

flags=(--locked --profile "$profile" --target "$target" "${features[@]}")

# Nothing unwinds: a panic is told and aborts. Outlining gathers what many
# functions have in common. Paths are shortened, and do not depend on the home.
small="-C force-unwind-tables=no -C llvm-args=-enable-machine-outliner=always"
if [ "$profile" = tiny ]; then
    # What has a large frame stays a function: inside of another one it would make
    # every access to that one's locals longer. And SHA-256, for a hash now and then,
    # keeps its loop a loop.
    small+=" -C llvm-args=-inline-max-stacksize=96 --cfg sha2_backend_soft=\"compact\""
fi
remap="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src= --remap-path-prefix=$PWD="
remap+=" --remap-path-prefix=$(rustc --print sysroot)/lib/rustlib/src/rust=/rustc"
link="-C linker=rust-lld -C link-arg=--icf=all -C link-arg=-zpack-relative-relocs"
# Stripped, it has no symbols that a backtrace could name.
std=("-Zbuild-std=std,panic_abort" "-Zbuild-std-features=optimize_for_size,backtrace-trace-only")
# For the last step alone. Functions that differ in constants become one.
last=(--bin amurg-runtime -- -C "strip=$strip" -C llvm-args=-enable-global-merge-func)
# A short `match` compares instead of jumping through a table, and branches lie where they
# are shortest.
options=(min-jump-table-entries=8 apply-ext-tsp-for-size disable-early-taildup
    enable-pre=false split-spill-mode=size)
if [ "$profile" = tiny ]; then
    # What a loop could keep in a register is made where it is used.
    options+=(disable-machine-licm disable-licm-promotion disable-constant-hoisting)
fi
for option in "${options[@]}"; do
    last+=(-C "llvm-args=-$option")
done
# What becomes a call of no effect. Without unwind tables a backtrace shows nothing: the
# unwinder stays out. And musl's `printf`, by which it names a thread: `threads` does.
left_out=()
for function in _Unwind_Backtrace _Unwind_GetIP pthread_setname_np; do
    left_out+=(-C "link-arg=--defsym=$function=getpid")
done
# What the plain one takes only with a standard library that is compiled along.
compiled_along() { # compiled_along COMPILER…
    local silence="-Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none"
    [ "$profile" = tiny ] || return 0
    # Values of more than 16 bytes are moved by a call. With rustup's library the code
    # generator overflows its stack over this.
    small+=" -C llvm-args=-max-store-memcpy=1 -C llvm-args=-max-store-memset=1"
    small+=" -C llvm-args=-max-store-memmove=1"
    # A panic traps, and has no words: they are a tenth of it. `logging` takes the trap,
    # and tells thread and place.
    # shellcheck disable=SC2086
    if RUSTC_BOOTSTRAP=1 "$@" $silence --print cfg >/dev/null 2>&1; then
        small+=" $silence"
    else
        say "this compiler has no panic=immediate-abort: the binary is a tenth larger"
    fi
}
if ! has_prebuilt "$target"; then
    # zig links then: it has musl and an unwinder for every target.
    need_zig
    need_rust_src
    compiled_along rustc +nightly
    RUSTFLAGS="$small $remap -C link-self-contained=no" \
        RUSTUP_TOOLCHAIN=nightly cargo-zigbuild rustc "${flags[@]}" "${std[@]}" "${last[@]}"
elif [ "${STD:-source}" = source ] && has_own_src; then
    # Stable as it is, except that it may compile its own library along.
    compiled_along rustc
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="$small $remap $link" \
        cargo rustc "${flags[@]}" "${std[@]}" "${last[@]}" "${left_out[@]}"
else
    say "with rustup's own standard library: the binary is larger by a sixth, the plain one by two thirds"
    RUSTFLAGS="$small $remap $link" cargo rustc "${flags[@]}" "${last[@]}"
fi

mkdir -p target/dist
out=target/dist/amurg-runtime-$(version)-$target$suffix
install -m 0755 "${CARGO_TARGET_DIR:-target}/$target/$profile/amurg-runtime" "$out"
# A loader or a library in the headers would be a dependency after all.
if readelf -ldW "$out" | grep -E 'INTERP|NEEDED'; then
    say "$out is not static"
    exit 70
fi
ls -l "$out"
