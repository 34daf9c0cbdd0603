#!/usr/bin/env bash
# Builds for every target there is, runs what can be run here, and prints a table
# of what held. It fails when a Linux target does.
#   STORIES=…       which stories run (a filter of cargo test; default: all)
#   QUICK=1         uses the static binaries of target/dist as they are
set -uo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh
set +e

logs=$PWD/target/cross-check
mkdir -p "$logs"
table=$logs/table.txt
failed=0
row() { printf '%-28s %-34s %s\n' "$1" "$2" "$3"; }

# The suite's stories, told of another binary than the one cargo builds beside them.
stories() { # stories BINARY LOG
    AMURG_TEST_BINARY=$1 cargo test --test stories -- --test-threads "${THREADS:-2}" ${STORIES:+"$STORIES"} >"$2" 2>&1
    local code=$?
    sed -n 's/^test result: [a-zA-Z]*\. \([0-9]* passed; [0-9]* failed\).*/\1/p' "$2" | head -n 1
    return $code
}

linux() { # linux TARGET
    local target=$1 binary built run
    binary=$PWD/target/dist/amurg-runtime-$(version)-$target
    if [ -z "${QUICK:-}" ] && ! scripts/static.sh "$target" >"$logs/$target.build" 2>&1; then
        failed=1
        row "$target" "no, see $logs/$target.build" "-"
        return
    fi
    built=$(stat -c %s "$binary" | awk '{printf "static, %.2f MB", $1 / 1e6}')
    if ! "$binary" version >/dev/null 2>&1; then
        row "$target" "$built" "not here: no processor or emulator for it"
        return
    fi
    if run=$(stories "$binary" "$logs/$target.run"); then
        row "$target" "$built" "${run:-stories told}"
    else
        failed=1
        row "$target" "$built" "${run:-no stories}, see $logs/$target.run"
    fi
}

# Does it compile? Linking needs the other system's libraries, so it is checked only.
checked() { # checked TARGET
    local target=$1 errors
    rustup target add "$target" >/dev/null 2>&1 || {
        row "$target" "not here: rustup has no such target" "-"
        return
    }
    # Without OpenSSL's source: TLS is the system's own there.
    if cargo check --lib --bins --target "$target" --no-default-features --features tls >"$logs/$target.build" 2>&1; then
        row "$target" "compiles (not linked here)" "-"
    else
        errors=$(grep -cE '^error(\[|:)' "$logs/$target.build")
        row "$target" "no: $errors errors" "-"
    fi
}

{
    row "target" "built" "stories"
    linux x86_64-unknown-linux-musl
    linux aarch64-unknown-linux-musl
    for target in x86_64-pc-windows-gnu aarch64-pc-windows-gnullvm x86_64-apple-darwin aarch64-apple-darwin; do
        checked "$target"
    done
} > >(tee "$table")
wait
exit "$failed"
