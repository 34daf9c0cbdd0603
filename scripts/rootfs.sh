#!/bin/sh
# Assembles the root file system of the container image without a shell:
#   scripts/rootfs.sh BINARY DIRECTORY [CERTIFICATES]
# The Dockerfile and the tests make the same one with it. CERTIFICATES is a PEM
# file with the roots for TLS; without it the usual places are looked at.
set -eu

[ $# -ge 2 ] || { echo "usage: $0 BINARY DIRECTORY [CERTIFICATES]" >&2; exit 64; }
binary=$1 root=$2 certificates=${3-}
for place in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    if [ -z "$certificates" ] && [ -r "$place" ]; then
        certificates=$place
    fi
done
[ -n "$certificates" ] || { echo "$0: no certificates found; name a PEM file" >&2; exit 69; }

mkdir -p "$root/usr/bin" "$root/etc/amurg" "$root/etc/ssl/certs" "$root/var/lib/amurg" "$root/tmp" \
    "$root/proc" "$root/dev" "$root/sys" "$root/run"
cp "$binary" "$root/usr/bin/amurg-runtime"
chmod 0755 "$root/usr/bin/amurg-runtime"
cp "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"
chmod 0644 "$root/etc/ssl/certs/ca-certificates.crt"
echo 'amurg:x:65532:65532::/var/lib/amurg:/sbin/nologin' >"$root/etc/passwd"
echo 'amurg:x:65532:' >"$root/etc/group"
chmod 1777 "$root/tmp"
# Whoever starts the container as root makes the files of the user it runs as.
if [ "$(id -u)" = 0 ]; then
    chown 65532:65532 "$root/var/lib/amurg"
fi
chmod 0700 "$root/var/lib/amurg"
