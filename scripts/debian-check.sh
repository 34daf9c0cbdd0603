#!/usr/bin/env bash
# Tries the packages as their users do, in Debian roots made by debootstrap:
#   scripts/debian-check.sh [amd64|arm64|rpm]...      (default: all three)
# amd64 and rpm: systemd is booted in namespaces of its own; the package is installed,
# the service takes turns with a shell, a caged agent and node under the unit's
# restrictions, is reloaded, upgraded while a turn runs, removed, purged. arm64: the
# same without systemd, which an emulated processor does not boot.
# The roots stay in target/places; what is done in them does not.
#   SUITE=bookworm  MIRROR=http://deb.debian.org/debian
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

suite=${SUITE:-bookworm} mirror=${MIRROR:-http://deb.debian.org/debian}
packages=adduser,ca-certificates,dbus,init-system-helpers,nodejs,procps,rpm,systemd,systemd-sysv
hub=${CARGO_TARGET_DIR:-target}/debug/examples/hub
[ "$(id -u)" = 0 ] || missing "root, for chroot and namespaces" "sudo scripts/debian-check.sh"
command -v debootstrap >/dev/null || missing debootstrap "apt-get install debootstrap"
cargo build --quiet --no-default-features --example hub

work=$(mktemp -d)
guest='' group='' failed=0 kind=''

# shellcheck disable=SC2317,SC2329  # called at the end
cleanup() {
    if [ -n "$guest" ]; then
        kill -KILL "$guest" 2>/dev/null || true # PID 1 of a namespace takes everybody in it along
    fi
    wait 2>/dev/null || true
    if [ -n "$group" ]; then
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap cleanup EXIT

base() { # base ARCHITECTURE: a Debian root, made once
    local root=$PWD/target/places/debian-$1 emulated=()
    if ! [ -e "$root/etc/debian_version" ] || [ -e "$root/debootstrap" ]; then
        say "making $root"
        rm -rf "$root"
        mkdir -p "$root"
        [ "$1" = "$(dpkg --print-architecture)" ] || emulated=(--foreign)
        debootstrap "${emulated[@]}" --arch="$1" --variant=minbase --include="$packages" "$suite" "$root" "$mirror" >&2
        if [ ${#emulated[@]} -gt 0 ]; then
            chroot "$root" /debootstrap/debootstrap --second-stage >&2
        fi
    fi
    printf '%s\n' "$root"
}

# A copy of the root that goes away with its namespaces, and $1 started in it.
# shellcheck disable=SC2016  # expanded by the inner shell
in_copy='
set -eu
base=$1 command=$2
mount -t tmpfs tmpfs "$3"
mkdir "$3/upper" "$3/work" "$3/root"
mount -t overlay -o "lowerdir=$base,upperdir=$3/upper,workdir=$3/work" overlay "$3/root"
root=$3/root
cp "$4"/* "$root/root/"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
    touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
ip link set lo up
mkdir -p "$root/.old"
cd "$root"
pivot_root . .old
umount -l .old
rmdir .old
# As systemd expects it of a container: it passes credentials on by propagation.
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin $command
'

start() { # start ROOT COMMAND: sets $guest, its PID 1 seen from here
    local parent
    group=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)/amurg-debian-check-$$
    mkdir -p "$group"
    # In a group of its own, which is the guest's root.
    (
        echo 0 >"$group/cgroup.procs"
        exec unshare --mount --propagation private --pid --fork --kill-child --ipc --uts --cgroup --net \
            sh -c "$in_copy" sh "$1" "$2" "$work/guest" "$work/packages"
    ) </dev/null >"$work/console" 2>&1 &
    parent=$!
    for _ in $(seq 200); do
        guest=$(pgrep -P "$parent" | head -n 1) || true
        [ -z "$guest" ] || [ "$(readlink "/proc/$guest/root")" = / ] || break
        sleep 0.1
    done
    [ -n "$guest" ] || { cat "$work/console" >&2 && exit 70; }
}

inside() { nsenter --target "$guest" --all env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb LANG=C.UTF-8 "$@"; }

expect() { # expect NAME COMMAND...: it has to succeed
    local name=$1
    shift
    if "$@" >"$work/said" 2>&1; then
        say "ok      $kind: $name"
    else
        say "FAILED  $kind: $name"
        cat "$work/said" >&2
        failed=1
    fi
}

# shellcheck disable=SC2317,SC2329  # called by expect, as are heard and turn
not() { ! "$@"; }

open_hub() { # sets $url, the hub's address inside
    # Its own exit would only repeat what is missing in what it prints.
    coproc HUB { exec nsenter --target "$guest" --net "$hub" 2>&1; }
    read -r -t 30 url <&"${HUB[0]}"
}

send() { printf '%s\n' "$*" >&"${HUB[1]}"; }

# shellcheck disable=SC2317,SC2329
heard() { # heard TEXT: what is said until the turn's end has that line
    local line said=''
    while read -r -t 120 line <&"${HUB[0]}" && [ "$line" != "== turn ended" ]; do
        said+=$line$'\n'
    done
    printf '%s' "$said" | tee "$work/heard"
    grep -qxF -- "$1" "$work/heard"
}

# shellcheck disable=SC2317,SC2329
turn() { # turn ENDPOINT MESSAGE EXPECTED
    send "$1 $2"
    heard "$3"
}

# The operator's part: a configuration, and the token as a credential.
configure() {
    inside sh -c 'cat >/etc/amurg/config.json' <<END
{ "hub": {"url": "$url", "token_credential": "amurg-token"}, "runtime": {"id": "package"},
  "endpoints": [
    {"id": "shell", "profile": "generic-cli", "cli": {"command": "sh"}},
    {"id": "node", "profile": "generic-job", "job": {"command": "node", "args": ["-"]}},
    {"id": "caged", "profile": "generic-cli", "cli": {"command": "sh"},
     "security": {"cwd": "/var/lib/amurg/cage", "allowed_paths": ["/var/lib/amurg/cage"], "enforce": "required"}}
  ] }
END
    inside sh -c 'umask 077; echo scripts >/etc/amurg/token
        mkdir -p /etc/systemd/system/amurg-runtime.service.d
        printf "[Service]\nLoadCredential=amurg-token:/etc/amurg/token\n" \
            >/etc/systemd/system/amurg-runtime.service.d/token.conf
        install -d -o amurg -g amurg /var/lib/amurg /var/lib/amurg/cage
        systemctl daemon-reload'
}

main_pid() { inside systemctl show -P MainPID amurg-runtime; }

# Under a booted systemd: FIRST and NEXT install, REMOVE and PURGE take away.
under_systemd() { # under_systemd ROOT FIRST NEXT REMOVE PURGE
    local before
    start "$1" "/lib/systemd/systemd --log-target=console"
    for _ in $(seq 300); do
        ! inside systemctl is-system-running >"$work/state" 2>&1 || break
        sleep 0.2
    done
    expect "systemd is booted" grep -qx running "$work/state"
    open_hub

    # shellcheck disable=SC2086  # they are words
    expect "install" inside $2
    expect "a configuration nobody wrote does not make it fail" not inside systemctl is-failed amurg-runtime
    expect "systemd-analyze verify" inside systemd-analyze verify --man=no amurg-runtime.service amurg-runtime@other.service
    expect "systemd-analyze security, $(inside systemd-analyze security --no-pager amurg-runtime.service | tail -n 1 | grep -oE '[0-9.]+ [A-Z]+')" \
        inside systemd-analyze security --threshold=27 amurg-runtime.service
    configure
    expect "check" inside systemd-run --quiet --pipe --wait --uid=amurg -p LoadCredential=amurg-token:/etc/amurg/token \
        amurg-runtime check
    expect "start" inside systemctl enable --now amurg-runtime
    expect "a turn with a shell" turn shell "echo \$((6*7))" 42
    expect "status, told as root" inside amurg-runtime status --config /etc/amurg/config.json
    expect "a turn with node, and its JIT" turn node \
        "let n = 0; for (let i = 0; i < 3e7; i++) n = (n + i) % 1000003; console.log('node', n > 0)" "node true"
    expect "a turn in a cage" turn caged "echo in >f && cat f; cat /etc/amurg/config.json /var/lib/dpkg/status 2>&1; echo \$?" 1
    expect "and what it writes is there" grep -qx in "$work/heard"
    expect "the service's view of /etc is read-only" turn shell "touch /etc/x 2>&1 | grep -o 'Read-only file system'" "Read-only file system"
    before=$(main_pid)
    expect "reload" inside systemctl reload amurg-runtime
    inside sed -i 's/"endpoints": \[/"endpoints": [ {"id": 7},/' /etc/amurg/config.json
    expect "a reload with a bad file fails" not inside systemctl reload amurg-runtime
    expect "and the service goes on" turn shell "echo still" still
    configure
    expect "as the same process" test "$(main_pid)" = "$before"

    send shell "echo begun; sleep 6; echo late"
    for _ in $(seq 100); do
        ! inside pgrep -x sleep >/dev/null || break
        sleep 0.1
    done
    # shellcheck disable=SC2086
    expect "upgrade while a turn runs" inside $3
    expect "which is not cut off" heard late
    expect "a turn after the upgrade" turn shell "echo again" again
    expect "by another process" test "$(main_pid)" != "$before"
    expect "nothing was killed" not grep -E 'amurg-runtime.*(Failed with result|code=killed)' "$work/console"
    expect "the operator's configuration is kept" inside grep -q caged /etc/amurg/config.json

    # shellcheck disable=SC2086
    expect "remove" inside $4
    expect "the service is stopped" not inside pgrep -x amurg-runtime
    expect "the program is gone" not inside test -e /usr/bin/amurg-runtime
    expect "configuration and state stay" inside sh -c 'ls /etc/amurg/config.json* && test -d /var/lib/amurg'
    if [ -n "$5" ]; then
        # shellcheck disable=SC2086
        expect "purge" inside $5
        expect "configuration and state are gone" not inside sh -c 'test -e /etc/amurg/config.json || test -e /var/lib/amurg'
    fi
    expect "no unit is left failed" inside sh -c '! systemctl --failed --no-legend --plain | grep .'
    finish
}

# Where nothing is booted: an image that is being built, another processor.
without_systemd() { # without_systemd ROOT DEB
    start "$1" "sleep 3600"
    open_hub
    expect "install" inside dpkg --install "/root/$2"
    inside sh -c 'cat >/etc/amurg/config.json' <<END
{ "hub": {"url": "$url", "token": "scripts"}, "runtime": {"id": "package"},
  "endpoints": [{"id": "shell", "profile": "generic-cli", "cli": {"command": "sh"}},
                {"id": "node", "profile": "generic-job", "job": {"command": "node", "args": ["-"]}}] }
END
    expect "version" inside amurg-runtime version
    inside install -d -o amurg -g amurg /var/lib/amurg
    expect "check" inside runuser -u amurg -- env STATE_DIRECTORY=/var/lib/amurg amurg-runtime check
    inside runuser -u amurg -- env STATE_DIRECTORY=/var/lib/amurg amurg-runtime run >"$work/service" 2>&1 &
    expect "a turn with a shell" turn shell "echo \$((6*7)) \$(uname -m)" "42 aarch64"
    expect "a turn with node" turn node "console.log('node', process.arch)" "node arm64"
    expect "stop" inside pkill -TERM -x amurg-runtime
    expect "install again" inside dpkg --install "/root/$2"
    expect "remove" inside dpkg --remove amurg-runtime
    expect "purge" inside dpkg --purge amurg-runtime
    expect "configuration and state are gone" not inside sh -c 'test -e /etc/amurg/config.json || test -e /var/lib/amurg'
    finish
}

finish() {
    kill "$HUB_PID"
    kill -KILL "$guest"
    guest=''
    wait 2>/dev/null || true
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    group=''
}

# The next version of a package is this one under a higher number.
next_deb() { # next_deb DEB
    dpkg-deb --raw-extract "$1" "$work/next"
    sed -i 's/^Version: .*/&+next/' "$work/next/DEBIAN/control"
    dpkg-deb --root-owner-group -Zgzip --build "$work/next" "$work/packages/next.deb" >/dev/null
    rm -rf "$work/next"
}

wanted=("$@")
[ ${#wanted[@]} -gt 0 ] || wanted=(amd64 arm64 rpm)
for kind in "${wanted[@]}"; do
    rm -rf "$work/packages" "$work/guest"
    mkdir "$work/packages" "$work/guest"
    case $kind in
    amd64 | arm64)
        deb=target/dist/amurg-runtime_$(version)_$kind.deb
        [ -f "$deb" ] || missing "$deb" "make deb"
        cp "$deb" "$work/packages/first.deb"
        ;;
    rpm)
        rpm=target/dist/amurg-runtime-$(version)-1.x86_64.rpm
        [ -f "$rpm" ] || missing "$rpm" "make rpm"
        cp "$rpm" "$work/packages/first.rpm"
        ;;
    *) say "$kind: amd64, arm64 or rpm" && exit 64 ;;
    esac
    case $kind in
    amd64)
        next_deb "$deb"
        under_systemd "$(base amd64)" "dpkg --install /root/first.deb" "dpkg --install /root/next.deb" \
            "dpkg --remove amurg-runtime" "dpkg --purge amurg-runtime"
        ;;
    arm64)
        "target/dist/amurg-runtime-$(version)-aarch64-unknown-linux-musl" version >/dev/null 2>&1 \
            || missing "a processor or an emulator for arm64" "apt-get install qemu-user-static binfmt-support"
        without_systemd "$(base arm64)" first.deb
        ;;
    rpm)
        # Debian's rpm knows no packages of this root, so nothing is required of it.
        under_systemd "$(base amd64)" "rpm --install --nodeps /root/first.rpm" \
            "rpm --upgrade --nodeps --force /root/first.rpm" "rpm --erase --nodeps amurg-runtime" ""
        ;;
    esac
done
exit "$failed"
