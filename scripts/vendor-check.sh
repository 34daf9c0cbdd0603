#!/usr/bin/env bash
# Shows that the source tree builds on a machine without a network: vendors every
# crate, then builds a copy of the tree with nothing but that.
#   scripts/vendor-check.sh
# What it leaves in target/vendor-check/source is that copy, ready to be carried away.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

root=$PWD/target/vendor-check
rm -rf "$root"
mkdir -p "$root/source/.cargo" "$root/empty-home"
# What git knows, as it stands: not what was built.
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$root/source"
cargo vendor --locked --quiet "$root/source/vendor" >/dev/null
# Relative, so that the tree may lie anywhere. What cargo itself prints is not, and
# comes only when it may be loud.
cat >>"$root/source/.cargo/config.toml" <<'END'
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "vendor"
END
say "$(find "$root/source/vendor" -mindepth 1 -maxdepth 1 | wc -l) crates, $(du -sh "$root/source/vendor" | cut -f 1)"

# Without a network where that can be had, without a registry in any case.
isolate=()
if unshare --net true 2>/dev/null; then
    isolate=(unshare --net)
elif unshare --user --map-root-user --net true 2>/dev/null; then
    isolate=(unshare --user --map-root-user --net)
else
    say "network not cut off: unshare is not allowed here"
fi
cd "$root/source"
unset OPENSSL_NO_VENDOR
"${isolate[@]}" env CARGO_HOME="$root/empty-home" CARGO_TARGET_DIR="$root/target" CARGO_NET_OFFLINE=true \
    RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" cargo build --frozen
"$root/target/debug/amurg-runtime" version
rm -rf "$root/target"
say "builds without a network from target/vendor-check/source"
