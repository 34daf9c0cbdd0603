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
# As the README counts them.
count() { cargo tree --locked --target x86_64-unknown-linux-gnu -e "$1" --prefix none --no-dedupe "${@:2}" | sed 's, (proc-macro),,' | sort -u | grep -cv '^amurg-runtime '; }
echo "crates: $(count normal), $(count normal,no-proc-macro) of them in the binary"
