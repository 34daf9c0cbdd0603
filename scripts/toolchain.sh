# Sourced by the static and cross builds: finds, or gets, what a build for
# another target needs. Everything lands in target/toolchain.
#
#   need_zig          zig and cargo-zigbuild in a virtual environment
#   need_rust_src     the standard library's source, where rustup has no prebuilt one
#   has_prebuilt T    whether rustup has (or gets) the target T
set -euo pipefail
toolchain=$(pwd)/target/toolchain
mkdir -p "$toolchain"

say() { printf '%s\n' "$*" >&2; }

missing() { # missing WHAT COMMAND
    say "missing: $1"
    say "    get it with: $2"
    exit 69
}

has_prebuilt() {
    local libdir
    libdir=$(rustc --print sysroot)/lib/rustlib/$1/lib
    [ -d "$libdir" ] || rustup target add "$1" >/dev/null 2>&1 || return 1
    [ -d "$libdir" ]
}

need_zig() {
    if ! [ -x "$toolchain/venv/bin/cargo-zigbuild" ]; then
        python3 -m venv "$toolchain/venv" 2>/dev/null || missing "python3 with venv" "apt-get install python3-venv"
        "$toolchain/venv/bin/pip" install --quiet ziglang cargo-zigbuild \
            || missing "zig and cargo-zigbuild" "pip install ziglang cargo-zigbuild"
    fi
    export PATH="$toolchain/venv/bin:$PATH"
}

# The source must match the compiler. Debian's rust-src of the newest suite does
# for the nightly of that time; it needs no installing, only unpacking.
need_rust_src() {
    rustc +nightly --version >/dev/null 2>&1 || missing "a nightly compiler" "rustup toolchain install nightly"
    local library
    library=$(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library
    [ -e "$library/std/Cargo.toml" ] && return
    if rustup component add rust-src --toolchain nightly >/dev/null 2>&1; then return; fi
    command -v apt-get >/dev/null || missing "the standard library's source" "rustup component add rust-src --toolchain nightly"
    say "fetching the standard library's source from Debian"
    local apt=$toolchain/apt suite_file
    mkdir -p "$apt/lists/partial" "$apt/rust-src"
    suite_file=$(ls /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1)
    case $suite_file in
    *.sources)
        awk -v RS= 'NR == 1' "$suite_file" | sed 's/^Suites:.*/Suites: sid/' >"$apt/sid.sources" ;;
    *)
        grep -m 1 '^deb ' "$suite_file" | sed -E 's#^(deb +[^ ]+) +[^ ]+ .*#\1 sid main#' >"$apt/sid.list" ;;
    esac
    local options=(-o "Dir::Etc::sourcelist=$(ls "$apt"/sid.*)" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$apt/lists")
    apt-get "${options[@]}" update -qq
    (cd "$apt" && apt-get "${options[@]}" download rust-src)
    dpkg -x "$apt"/rust-src_*.deb "$apt/rust-src"
    mkdir -p "$(dirname "$library")"
    ln -sfn "$(ls -d "$apt"/rust-src/usr/lib/rustlib/src/rust/library "$apt"/rust-src/usr/src/rustc-*/library 2>/dev/null | head -n 1)" "$library"
    [ -e "$library/std/Cargo.toml" ] || missing "the standard library's source" "rustup component add rust-src --toolchain nightly"
}
