#!/usr/bin/env bash
# Fuzzes for a while: scripts/fuzz.sh SECONDS [TARGET...], every target by
# default. What it learns stays in tests/fuzz/corpus, what it finds in
# tests/fuzz/artifacts: a finding becomes a seed, and so an ordinary test.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
targets=("${@:2}")
if [ ${#targets[@]} -eq 0 ]; then
    for file in tests/fuzz/targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

rustup run nightly rustc --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked

for target in "${targets[@]}"; do
    corpus=tests/fuzz/corpus/$target
    mkdir -p "$corpus"
    echo "== $target, ${seconds} s"
    cargo +nightly fuzz run --fuzz-dir tests/fuzz "$target" "$corpus" "tests/fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0
done
echo "no findings in ${#targets[@]} targets"
