#!/usr/bin/env bash
# Shows that two builds of this tree, each from clean, give the same bytes.
#   scripts/reproducible.sh [TARGET]        FEATURES=plain for the small one
# Same path, same compiler and same zig are assumed: OpenSSL writes the directory
# it was built in into the library.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

target=${1:-x86_64-unknown-linux-musl}
suffix=${FEATURES:+-$FEATURES}
name=amurg-runtime-$(version)-$target$suffix
export CARGO_TARGET_DIR=$PWD/target/reproducible
sums=()
for round in 1 2; do
    say "build $round of 2, from clean"
    rm -rf "$CARGO_TARGET_DIR"
    scripts/static.sh "$target" >&2
    sums+=("$(sha256sum "target/dist/$name" | cut -d ' ' -f 1)")
    say "build $round: ${sums[-1]}"
done
rm -rf "$CARGO_TARGET_DIR"
if [ "${sums[0]}" != "${sums[1]}" ]; then
    say "$name differs from build to build"
    exit 1
fi
say "$name is reproducible: ${sums[0]}"
