# shellcheck shell=bash
# Sourced by the static and cross builds: finds, or gets, what a build for
# another target needs. Everything it fetches itself lands in target/toolchain.
#
#   need_zig          zig (the C compiler for every target) and cargo-zigbuild
#   zig_cc T          CC, AR and RANLIB for the target T, from zig
#   has_prebuilt T    whether rustup has (or gets) the target T
#   has_own_src       whether rustup has (or gets) the standard library's source
#   need_rust_src     that source for the nightly compiler, from Debian if need be
#   runnable          the path of a static build that runs here
#   version           the version, from its one place
set -euo pipefail
toolchain=$(pwd)/target/toolchain
mkdir -p "$toolchain"

say() { printf '%s\n' "$*" >&2; }

missing() { # missing WHAT COMMAND
    say "missing: $1"
    say "    get it with: $2"
    exit 69
}

version() { sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1; }

has_prebuilt() {
    local libdir
    libdir=$(rustc --print sysroot)/lib/rustlib/$1/lib
    [ -d "$libdir" ] || rustup target add "$1" >/dev/null 2>&1 || return 1
    [ -d "$libdir" ]
}

has_own_src() {
    local library
    library=$(rustc --print sysroot)/lib/rustlib/src/rust/library
    [ -e "$library/std/Cargo.toml" ] || rustup component add rust-src >/dev/null 2>&1 || return 1
    [ -e "$library/std/Cargo.toml" ]
}

need_zig() {
    if ! [ -x "$toolchain/venv/bin/cargo-zigbuild" ]; then
        python3 -m venv "$toolchain/venv" 2>/dev/null || missing "python3 with venv" "apt-get install python3-venv"
        # Pinned: another compiler makes other bytes.
        "$toolchain/venv/bin/python" -m pip install --quiet ziglang==0.17.1 cargo-zigbuild==0.24.0 \
            || missing "zig and cargo-zigbuild" "pip install ziglang==0.17.1 cargo-zigbuild==0.24.0"
    fi
    export PATH="$toolchain/venv/bin:$PATH"
    # cargo-zigbuild looks for `zig`, then for this interpreter's module.
    export CARGO_ZIGBUILD_PYTHON_PATH=$toolchain/venv/bin/python
}

zig_cc() {
    local arch=${1%%-*} tool name zig
    name=${1//-/_}
    zig=$("$CARGO_ZIGBUILD_PYTHON_PATH" -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__))')/zig
    mkdir -p "$toolchain/bin"
    # Without the target's name in Rust's own way, which zig does not know. Directly:
    # cargo-zigbuild in between takes three times as long as the compiler.
    cat >"$toolchain/bin/$arch-cc" <<END
#!/bin/sh
for argument; do
    shift
    case \$argument in
    --target=*) ;;
    *) set -- "\$@" "\$argument" ;;
    esac
done
exec $zig cc -target $arch-linux-musl "\$@"
END
    for tool in ar ranlib; do
        printf '#!/bin/sh\nexec %s %s "$@"\n' "$zig" "$tool" >"$toolchain/bin/$arch-$tool"
    done
    chmod +x "$toolchain/bin/$arch"-*
    export "CC_$name=$toolchain/bin/$arch-cc" "AR_$name=$toolchain/bin/$arch-ar" "RANLIB_$name=$toolchain/bin/$arch-ranlib"
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
    suite_file=$(find /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1)
    case $suite_file in
    *.sources)
        awk -v RS= 'NR == 1' "$suite_file" | sed 's/^Suites:.*/Suites: sid/' >"$apt/sid.sources" ;;
    *)
        grep -m 1 '^deb ' "$suite_file" | sed -E 's#^(deb +[^ ]+) +[^ ]+ .*#\1 sid main#' >"$apt/sid.list" ;;
    esac
    local options=(-o "Dir::Etc::sourcelist=$(find "$apt" -maxdepth 1 -name 'sid.*')"
        -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$apt/lists")
    apt-get "${options[@]}" update -qq
    (cd "$apt" && apt-get "${options[@]}" download rust-src)
    dpkg -x "$apt"/rust-src_*.deb "$apt/rust-src"
    mkdir -p "$(dirname "$library")"
    ln -sfn "$(find "$apt/rust-src/usr" -type d -path '*/library' -prune | head -n 1)" "$library"
    [ -e "$library/std/Cargo.toml" ] || missing "the standard library's source" "rustup component add rust-src --toolchain nightly"
}

# A build of this version that runs here: it writes its man page and completions.
runnable() {
    local target
    for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl; do
        if "target/dist/amurg-runtime-$(version)-$target" version >/dev/null 2>&1; then
            printf '%s\n' "target/dist/amurg-runtime-$(version)-$target"
            return
        fi
    done
    missing "a static build that runs here" "make static"
}
