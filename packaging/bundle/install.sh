#!/bin/sh
# Installs Amurg Runtime from this directory; needs no network, and may be run
# again at any time: it changes only what is not yet as it should be.
set -eu

usage() {
    cat <<'END'
usage: ./install.sh [--prefix DIR] [--dry-run] [--uninstall] [--no-service]

  --prefix DIR   install below DIR (default: /usr/local)
  --dry-run      print what would be done, and do nothing
  --uninstall    remove what an earlier run installed; configuration and state stay
  --no-service   no user, no systemd units, no /etc/amurg: the program alone

DESTDIR=/some/root ./install.sh writes below that root instead (for images).
END
}

say() { printf '%s\n' "$*"; }
fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

prefix=/usr/local dry_run='' uninstall='' service=yes
while [ $# -gt 0 ]; do
    case $1 in
    --prefix)
        [ $# -ge 2 ] || fail "--prefix needs a directory"
        prefix=$2
        shift
        ;;
    --prefix=*) prefix=${1#--prefix=} ;;
    --dry-run) dry_run=yes ;;
    --uninstall) uninstall=yes ;;
    --no-service) service= ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 64 ;;
    esac
    shift
done
case $prefix in
/*) prefix=${prefix%/} ;;
*) fail "--prefix must be absolute: $prefix" ;;
esac

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
destdir=${DESTDIR:-}
manifest=$destdir$prefix/share/amurg-runtime/installed
# The live system: its user database and its service manager.
live=
[ -n "$destdir" ] || live=yes

run() { # run COMMAND…, or tell it
    if [ -n "$dry_run" ]; then
        say "would: $*"
    else
        "$@"
    fi
}

if [ -n "$uninstall" ]; then
    if ! [ -f "$manifest" ]; then
        say "nothing is installed below $prefix ($manifest is missing)"
        exit 0
    fi
    if [ -n "$live" ] && [ -d /run/systemd/system ] && grep -q '/amurg-runtime\.service$' "$manifest"; then
        run systemctl --quiet disable --now amurg-runtime.service || true
        run systemctl --quiet stop 'amurg-runtime@*.service' || true
    fi
    while IFS= read -r path; do
        if [ -e "$destdir$path" ]; then
            run rm -f "$destdir$path"
        fi
    done <"$manifest"
    run rm -f "$manifest"
    [ -n "$dry_run" ] || rmdir "$destdir$prefix/share/amurg-runtime" 2>/dev/null || true
    if [ -n "$live" ] && [ -d /run/systemd/system ]; then
        run systemctl daemon-reload
    fi
    say "removed; /etc/amurg and /var/lib/amurg stay"
    exit 0
fi

# Before anything is touched: is this what was packed?
if command -v sha256sum >/dev/null 2>&1; then
    verify="sha256sum -c"
elif command -v shasum >/dev/null 2>&1; then
    verify="shasum -a 256 -c"
else
    fail "neither sha256sum nor shasum is here: the checksums cannot be verified"
fi
(cd "$here" && $verify SHA256SUMS >/dev/null 2>&1) || {
    (cd "$here" && $verify SHA256SUMS 2>&1 | grep -v ': OK$' >&2) || true
    fail "the checksums of this bundle are wrong: nothing was installed; copy it again"
}

[ "$(uname -s)" = Linux ] || fail "this bundle is for Linux, and this is $(uname -s)"
case ${AMURG_ARCH:-$(uname -m)} in
x86_64 | amd64) target=x86_64-unknown-linux-musl ;;
aarch64 | arm64) target=aarch64-unknown-linux-musl ;;
*) fail "there is no binary for $(uname -m) in this bundle" ;;
esac
binary=$here/bin/amurg-runtime-$target

installed=$(mktemp)
trap 'rm -f "$installed" "$installed.file"' EXIT
changed=

put() { # put MODE FILE PATH: installs FILE unless it is there already
    printf '%s\n' "$3" >>"$installed"
    if [ -f "$destdir$3" ] && cmp -s "$2" "$destdir$3"; then
        return
    fi
    changed=yes
    say "$3"
    [ -z "$dry_run" ] || return 0
    mkdir -p "$(dirname "$destdir$3")" || fail "cannot write below $prefix: run it as root, or name another --prefix"
    # By another name first: a running program is replaced, not written into.
    cp "$2" "$destdir$3.new" || fail "cannot write $destdir$3: run it as root, or name another --prefix"
    chmod "$1" "$destdir$3.new"
    mv -f "$destdir$3.new" "$destdir$3"
}

put 0755 "$binary" "$prefix/bin/amurg-runtime"
put 0644 "$here/share/amurg-runtime.1" "$prefix/share/man/man1/amurg-runtime.1"
put 0644 "$here/share/amurg-runtime.bash" "$prefix/share/bash-completion/completions/amurg-runtime"
put 0644 "$here/share/_amurg-runtime" "$prefix/share/zsh/site-functions/_amurg-runtime"
put 0644 "$here/share/amurg-runtime.fish" "$prefix/share/fish/vendor_completions.d/amurg-runtime.fish"

if [ -n "$service" ] && { [ -n "$destdir" ] || [ "$(id -u)" = 0 ]; }; then
    if [ -n "$live" ] && ! getent passwd amurg >/dev/null 2>&1; then
        say "user amurg"
        changed=yes
        if command -v useradd >/dev/null 2>&1; then
            run useradd --system --user-group --home-dir /var/lib/amurg --no-create-home \
                --shell /usr/sbin/nologin --comment "Amurg Runtime" amurg
        else
            run addgroup -S amurg
            run adduser -S -D -H -h /var/lib/amurg -s /sbin/nologin -G amurg amurg
        fi
    fi
    for unit in amurg-runtime.service amurg-runtime@.service; do
        sed "s|/usr/bin/amurg-runtime|$prefix/bin/amurg-runtime|g" "$here/systemd/$unit" >"$installed.file"
        put 0644 "$installed.file" "/etc/systemd/system/$unit"
    done
    put 0644 "$here/systemd/amurg.sysusers" /usr/lib/sysusers.d/amurg.conf
    put 0644 "$here/systemd/amurg.tmpfiles" /usr/lib/tmpfiles.d/amurg.conf
    # The operator's from its first moment on: in no list, never overwritten.
    if ! [ -e "$destdir/etc/amurg/config.json" ]; then
        say /etc/amurg/config.json
        changed=yes
        if [ -z "$dry_run" ]; then
            mkdir -p "$destdir/etc/amurg"
            cp "$here/config.json" "$destdir/etc/amurg/config.json"
            chmod 0750 "$destdir/etc/amurg"
            chmod 0640 "$destdir/etc/amurg/config.json"
            if [ -n "$live" ]; then
                chown root:amurg /etc/amurg /etc/amurg/config.json
            fi
        fi
    fi
    if [ -n "$live" ] && [ -d /run/systemd/system ] && [ -n "$changed" ]; then
        run systemctl daemon-reload
    fi
else
    if [ -n "$service" ]; then
        say "not root: the program alone, without user, units and /etc/amurg"
    fi
    service=''
fi

# What an earlier run installed and this one does not goes away.
if [ -f "$manifest" ]; then
    while IFS= read -r path; do
        if ! grep -qxF "$path" "$installed" && [ -e "$destdir$path" ]; then
            run rm -f "$destdir$path"
        fi
    done <"$manifest"
fi
if [ -z "$dry_run" ] && ! cmp -s "$installed" "$manifest"; then
    mkdir -p "$(dirname "$manifest")"
    cp "$installed" "$manifest"
    chmod 0644 "$manifest"
fi

if [ -n "$dry_run" ]; then
    say "nothing was done"
elif [ -z "$changed" ]; then
    say "everything is installed already"
elif [ -n "$live" ] && [ -d /run/systemd/system ] && systemctl --quiet is-active amurg-runtime.service; then
    say "installed; the running service finishes its open turns and takes over the new version with:"
    say "  $prefix/bin/amurg-runtime control --config /etc/amurg/config.json drain"
elif [ -z "$service" ]; then
    say "installed; write a configuration with: $prefix/bin/amurg-runtime init"
else
    say "installed; edit /etc/amurg/config.json, put the token into /etc/amurg/token, then:"
    say "  $prefix/bin/amurg-runtime check --config /etc/amurg/config.json"
    say "  systemctl enable --now amurg-runtime"
fi
