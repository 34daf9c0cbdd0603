#!/usr/bin/env bash
# Starts the static binary in places where nothing else is, and takes a turn in
# each with a hub of its own:
#   scripts/places.sh [TARGET]
# an empty root, with and without /proc, and whom it trusts there; the container's root file system under
# bubblewrap, as PID 1 of a namespace and as the image's user: writable, read-only
# without a volume, and with a configuration that it may not read.
#   BUSYBOX=…     a static busybox for TARGET, the agent in there (default: Debian's)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

target=${1:-x86_64-unknown-linux-musl}
binary=target/dist/amurg-runtime-$(version)-$target
[ -x "$binary" ] || missing "$binary" "make static TARGET=$target"
[ "$(id -u)" = 0 ] || missing "root, for chroot and another user" "sudo scripts/places.sh"
command -v bwrap >/dev/null || missing bubblewrap "apt-get install bubblewrap"
architecture=amd64
[ "${target%%-*}" != aarch64 ] || architecture=arm64
"$binary" version >/dev/null 2>&1 \
    || missing "a processor or an emulator for $target" "apt-get install qemu-user-static binfmt-support"
busybox=${BUSYBOX:-}
if [ -z "$busybox" ] && [ "$architecture" = "$(dpkg --print-architecture 2>/dev/null)" ]; then
    busybox=$(command -v busybox || true)
fi
if [ -z "$busybox" ]; then
    # Another processor's needs no installing, only unpacking.
    apt=$toolchain/busybox-$architecture
    busybox=$apt/bin/busybox
    if ! [ -x "$busybox" ]; then
        command -v apt-get >/dev/null || missing "a static busybox for $target" "BUSYBOX=… scripts/places.sh $target"
        mkdir -p "$apt/lists/partial"
        options=(-o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture" -o "Dir::State::lists=$apt/lists")
        apt-get "${options[@]}" update -qq
        (cd "$apt" && apt-get "${options[@]}" download busybox-static)
        dpkg -x "$apt"/busybox-static_*.deb "$apt"
    fi
fi
cargo build --quiet --no-default-features --example hub

work=$(mktemp -d)
chmod 755 "$work"
trap 'umount "$work/proc/proc" 2>/dev/null || true; rm -rf "$work"' EXIT
mkfifo "$work/told"
failed=0

result() { # result CODE NAME [FILE…]
    if [ "$1" = 0 ]; then
        say "ok      $target: $2"
    else
        say "FAILED  $target: $2"
        cat "${@:3}" >&2
        failed=1
    fi
}

# One turn with what the function STARTER starts; it finds the hub's address in $url.
turn() { # turn NAME STARTER ARGUMENT…
    local name=$1 hub runtime code=0
    shift
    "${CARGO_TARGET_DIR:-target}/debug/examples/hub" <<<"sh echo \$((6*7))" >"$work/told" &
    hub=$!
    exec 3<"$work/told"
    read -r url <&3
    "$@" >"$work/log" 2>&1 &
    runtime=$!
    cat <&3 >"$work/said"
    wait "$hub" || code=$?
    grep -qx 42 "$work/said" || code=1
    result "$code" "a turn $name" "$work/said" "$work/log"
    inside=$runtime
    if [ -n "${image:-}" ]; then
        # bubblewrap's child is the namespace's PID 1.
        inside=$(pgrep -P "$runtime" | head -n 1)
        code=0
        env -i "${image[@]}" "AMURG_HUB_URL=$url" "$(command -v nsenter)" -t "$inside" --user --mount --pid --ipc --uts \
            --setuid 65532 --setgid 65532 /usr/bin/amurg-runtime status --alive >"$work/said" 2>&1 || code=$?
        result "$code" "status $name" "$work/said" "$work/log"
    fi
    kill "$inside"
    code=0
    wait "$runtime" || code=$?
    result "$code" "SIGTERM $name, exit code $code" "$work/log"
}

configuration() { # configuration SHELL DIRECTORY
    cat <<END
{ "hub": {"url": "\${AMURG_HUB_URL}", "token": "\${AMURG_TOKEN}"}, "runtime": {"id": "places"},
  "endpoints": [{"id": "sh", "profile": "generic-cli",
                 "cli": {"command": "$1", "args": ["sh"], "work_dir": "$2"}}] }
END
}

# shellcheck disable=SC2317,SC2329  # called by turn
in_root() { # in_root DIRECTORY
    exec env -i "AMURG_HUB_URL=$url" AMURG_TOKEN=scripts STATE_DIRECTORY=/state \
        "$(command -v chroot)" "$1" /amurg-runtime --config /config.json run --log-format text
}
for root in empty proc; do
    mkdir "$work/$root"
    cp "$binary" "$work/$root/amurg-runtime"
    cp "$busybox" "$work/$root/busybox"
    configuration /busybox / >"$work/$root/config.json"
    chmod 600 "$work/$root/config.json"
done
mkdir "$work/proc/proc"
mount -t proc proc "$work/proc/proc"
turn "in an empty root" in_root "$work/empty"
turn "in an empty root with /proc" in_root "$work/proc"

# Whom it trusts where there is nothing, against a server with a certificate of its own.
roots() { # roots NAME EXPECTED VARIABLE…
    local name=$1 expected=$2 runtime code=1
    shift 2
    env -i "$@" "AMURG_HUB_URL=wss://127.0.0.1:$port/ws/runtime" AMURG_TOKEN=scripts STATE_DIRECTORY=/state \
        "$(command -v chroot)" "$work/empty" /amurg-runtime --config /config.json run >"$work/log" 2>&1 &
    runtime=$!
    for _ in $(seq 100); do
        ! grep -q "$expected" "$work/log" || { code=0 && break; }
        sleep 0.1
    done
    kill "$runtime"
    wait "$runtime" || true
    result "$code" "$name" "$work/log"
}
if [[ "$("$binary" version)" == *"TLS: none"* ]]; then
    say "without TLS: no roots looked for"
else
    command -v openssl >/dev/null || missing openssl "apt-get install openssl"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=hub -addext subjectAltName=IP:127.0.0.1 \
        -keyout "$work/key.pem" -out "$work/empty/ca.pem" 2>/dev/null
    port=$((20000 + $$ % 10000))
    openssl s_server -quiet -accept "127.0.0.1:$port" -cert "$work/empty/ca.pem" -key "$work/key.pem" -www \
        </dev/null >/dev/null 2>&1 &
    server=$!
    roots "no roots are there, and it says so" "no root certificates at all"
    # Past TLS: what answers is no hub.
    roots "roots by SSL_CERT_FILE" "no WebSocket with" SSL_CERT_FILE=/ca.pem
    mkdir -p "$work/empty/etc/ssl"
    cp "$work/empty/ca.pem" "$work/empty/etc/ssl/cert.pem"
    roots "roots found in a usual place" "no WebSocket with"
    kill "$server" || true
fi

# What the image says (ENV, USER, ENTRYPOINT), under a container's circumstances.
image=(STATE_DIRECTORY=/var/lib/amurg AMURG_CONFIG=/etc/amurg/config.json HOME=/var/lib/amurg
    PATH=/usr/bin AMURG_TOKEN=scripts)
in_container() { # in_container OPTION…
    exec setpriv --reuid 65532 --regid 65532 --clear-groups env -i "${image[@]}" "AMURG_HUB_URL=$url" \
        "$(command -v bwrap)" --unshare-user --uid 65532 --gid 65532 --unshare-pid --as-pid-1 \
        --unshare-ipc --unshare-uts --cap-drop ALL "$@" --proc /proc --dev /dev \
        --ro-bind "$work/config.json" /etc/amurg/config.json --chdir /var/lib/amurg \
        /usr/bin/amurg-runtime run --log-format text
}
scripts/rootfs.sh "$binary" "$work/container"
cp "$busybox" "$work/container/usr/bin/busybox"
touch "$work/container/etc/amurg/config.json"
configuration busybox /var/lib/amurg >"$work/config.json"
chown 65532 "$work/config.json"
chmod 600 "$work/config.json"
turn "in the container" in_container --bind "$work/container" /
rm -rf "$work/container/var/lib/amurg/places"
turn "in the container, read-only" in_container --ro-bind "$work/container" /
turn "in the container, read-only but for /tmp" in_container --ro-bind "$work/container" / --tmpfs /tmp

chown 0 "$work/config.json"
url=ws://localhost code=0
(in_container --ro-bind "$work/container" /) >"$work/log" 2>&1 || code=$?
grep -q 'belongs to user .*chown 65532' "$work/log" && [ "$code" = 78 ] || code=1
result "$((code == 78 ? 0 : 1))" "a configuration it may not read" "$work/log"
exit "$failed"
