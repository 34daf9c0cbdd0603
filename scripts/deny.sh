#!/usr/bin/env bash
# Holds the dependencies against .cargo/deny.toml: licences, advisories,
# duplicates, sources. Installs nothing: says how when cargo-deny is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo deny --version >/dev/null 2>&1; then
    echo "cargo-deny is not installed: cargo install cargo-deny --locked" >&2
    exit 69
fi
cargo deny --locked check
echo "crates: $(cargo tree --locked -e normal --prefix none --no-dedupe | sort -u | grep -cv '^amurg-runtime ')"
