#!/usr/bin/env bash
# Builds for every target there is, runs what can be run here, and prints a table
# of what held. It fails when something that can be had here does.
#   ONLY=…          targets whose name holds this (windows, darwin, aarch64, …)
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
stories() { # stories BINARY LOG [TEST [OPTION]]
    AMURG_TEST_BINARY=$1 cargo test --test "${3:-stories}" -- ${4:+"$4"} --show-output --test-threads "${THREADS:-2}" ${STORIES:+"$STORIES"} >"$2" 2>&1
    local code=$? skipped
    skipped=$(grep -c '^skipped: under an emulator' "$2")
    [ "$skipped" -eq 0 ] && skipped= || skipped=", $skipped of them skipped under the emulator"
    sed -n "s/^test result: [a-zA-Z]*\. \([0-9]* passed; [0-9]* failed\).*/\1$skipped/p" "$2" | head -n 1
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
        row "$target" "$built" "not here: no emulator for it (apt-get install qemu-user-static binfmt-support)"
        return
    fi
    if run=$(stories "$binary" "$logs/$target.run"); then
        row "$target" "$built" "${run:-stories told}"
    else
        failed=1
        row "$target" "$built" "${run:-no stories}, see $logs/$target.run"
    fi
}

# Does it compile? Linking needs the other system's libraries, so it is checked
# only: with rustup's standard library where there is one, else with its source.
checked() { # checked TARGET
    local target=$1 log=$logs/$1.build errors warnings
    local check=(check --lib --bins --target "$target" --no-default-features --features tls)
    if has_prebuilt "$target"; then
        cargo "${check[@]}" >"$log" 2>&1
    elif (need_rust_src) >"$log" 2>&1; then
        cargo +nightly "${check[@]}" -Zbuild-std=std,panic_abort >"$log" 2>&1
    else
        row "$target" "not here: $(missing_in "$log")" "-"
        return
    fi
    local code=$?
    errors=$(grep -cE '^error(\[|:)' "$log")
    warnings=$(grep -cE '^warning: [^`]' "$log")
    if [ "$code" -ne 0 ]; then
        failed=1
        row "$target" "no: $errors errors, see $log" "-"
    elif [ "$warnings" -ne 0 ]; then
        failed=1
        row "$target" "compiles with $warnings warnings, see $log" "-"
    else
        row "$target" "compiles (not linked here)" "-"
    fi
}

# What a log says is missing.
missing_in() { sed -n 's/^missing: //p' "$1" | head -n 1; }

# Linked by mingw, and told stories under wine.
windows() {
    local target=x86_64-pc-windows-gnu binary agent run log=$logs/windows.build
    if ! command -v x86_64-w64-mingw32-gcc >/dev/null; then
        row "$target" "not here: no gcc-mingw-w64-x86-64" "-"
        return
    fi
    local build=(build --profile static --target "$target" --bins --example story-agent)
    if has_prebuilt "$target"; then
        cargo "${build[@]}" >"$log" 2>&1
    elif (need_rust_src) >"$log" 2>&1; then
        cargo +nightly "${build[@]}" -Zbuild-std=std,panic_abort >"$log" 2>&1
    else
        row "$target" "not here: $(missing_in "$log")" "-"
        return
    fi || {
        failed=1
        row "$target" "no, see $log" "-"
        return
    }
    mkdir -p target/dist
    binary=$PWD/target/dist/amurg-runtime-$(version)-$target.exe
    cp "target/$target/static/amurg-runtime.exe" "$binary"
    agent=$PWD/target/$target/static/examples/story-agent.exe
    built=$(stat -c %s "$binary" | awk '{printf "%.2f MB", $1 / 1e6}')
    if ! under_wine "$binary" "$agent"; then
        row "$target" "$built" "not here: no wine64"
        return
    fi
    if run=$(AMURG_TEST_AGENT="Z:${wine_agent//\//\\}" stories "$wine_binary" "$logs/windows.run" other_systems --ignored); then
        row "$target" "$built" "$run, under wine"
    else
        failed=1
        row "$target" "$built" "${run:-no stories}, see $logs/windows.run"
    fi
}

# Puts both where they run under wine: `wine_binary` starts the one, `wine_agent`
# is the other.
under_wine() { # under_wine BINARY AGENT
    local place=$PWD/target/wine wine
    wine=$(command -v wine64 || { [ -x /usr/lib/wine/wine64 ] && echo /usr/lib/wine/wine64; }) || return
    mkdir -p "$place"
    cp "$1" "$place/amurg-runtime.exe"
    cp "$2" "$place/story-agent.exe"
    # The one library that Rust's standard library needs and older wines lack.
    cat >"$place/bcryptprimitives.c" <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE to, SIZE_T size) { return SystemFunction036(to, (ULONG)size); }
C
    x86_64-w64-mingw32-gcc -shared -o "$place/bcryptprimitives.dll" "$place/bcryptprimitives.c" -ladvapi32 || return
    wine_binary=$place/amurg-runtime
    wine_agent=$place/story-agent.exe
    printf '#!/bin/sh\nexport WINEARCH=win64 WINEPREFIX="%s" WINEDEBUG=-all\nexec "%s" "%s" "$@"\n' \
        "$place/prefix" "$wine" "$place/amurg-runtime.exe" >"$wine_binary"
    chmod +x "$wine_binary"
    # The first start makes the prefix.
    "$wine_binary" version >/dev/null 2>&1
}

wanted() { [[ $1 == *${ONLY:-}* ]]; }

{
    row "target" "built" "stories"
    for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl; do
        if wanted "$target"; then linux "$target"; fi
    done
    if wanted x86_64-pc-windows-gnu; then windows; fi
    for target in aarch64-pc-windows-gnullvm x86_64-apple-darwin aarch64-apple-darwin; do
        if wanted "$target"; then checked "$target"; fi
    done
    exit "$failed"
} > >(tee "$table")
