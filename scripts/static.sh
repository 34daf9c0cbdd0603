#!/usr/bin/env bash
# Builds a static musl binary into target/dist/amurg-runtime-VERSION-TARGET[-plain].
#   scripts/static.sh [TARGET]      TARGET: x86_64-unknown-linux-musl (default), aarch64-unknown-linux-musl
#   FEATURES=plain                  without TLS
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

target=${1:-x86_64-unknown-linux-musl}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
flags=() suffix=
if [ "${FEATURES:-}" = plain ]; then
    flags=(--no-default-features)
    suffix=-plain
fi

# OpenSSL is most of the binary: build it small, and let the linker drop what nobody calls.
export CFLAGS="-Os -ffunction-sections -fdata-sections"
export CARGO_PROFILE_RELEASE_OPT_LEVEL=${OPT_LEVEL:-s}
need_zig
if has_prebuilt "$target"; then
    cargo zigbuild --release --locked --target "$target" "${flags[@]}"
else
    need_rust_src
    RUSTFLAGS="-C link-self-contained=no" cargo +nightly zigbuild --release --locked \
        -Zbuild-std=std,panic_abort --target "$target" "${flags[@]}"
fi

mkdir -p target/dist
out=target/dist/amurg-runtime-$version-$target$suffix
cp "target/$target/release/amurg-runtime" "$out"
# A loader in the headers would be a dependency after all.
if readelf -lW "$out" | grep -q INTERP; then
    say "$out is not static"
    exit 70
fi
ls -l "$out"
