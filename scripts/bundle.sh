#!/usr/bin/env bash
# Packs target/dist/amurg-runtime-VERSION-bundle.tar.xz: everything for a machine
# without a network. What it packs has to be built before (make release does it all).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

name=amurg-runtime-$(version)
dist=target/dist
root=target/bundle/$name
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
umask 022
rm -rf target/bundle
mkdir -p "$root/bin" "$root/deb" "$root/systemd" "$root/share" "$root/doc"

for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl; do
    [ -x "$dist/$name-$target" ] || missing "$dist/$name-$target" "make static TARGET=$target"
    install -m 0755 "$dist/$name-$target" "$root/bin/amurg-runtime-$target"
    if [ -x "$dist/$name-$target-plain" ]; then
        install -m 0755 "$dist/$name-$target-plain" "$root/bin/amurg-runtime-$target-plain"
    fi
done
for architecture in amd64 arm64; do
    deb=$dist/amurg-runtime_$(version)_$architecture.deb
    [ -f "$deb" ] || missing "$deb" "make deb"
    install -m 0644 "$deb" "$root/deb/"
done
install -m 0644 packaging/systemd/* "$root/systemd/"
install -m 0644 packaging/config.json "$root/config.json"
install -m 0755 packaging/bundle/install.sh "$root/install.sh"
sed "s/VERSION/$(version)/g" packaging/bundle/README.md >"$root/README.md"
install -m 0644 CHANGELOG.md LICENSE README.md config.example.json "$root/doc/"
cp -r packaging/networks packaging/kubernetes packaging/docker packaging/examples packaging/monitoring \
    "$root/doc/"
python3 scripts/sbom.py >"$root/sbom.cdx.json"

program=$(runnable)
"$program" man >"$root/share/amurg-runtime.1"
"$program" completions bash >"$root/share/amurg-runtime.bash"
"$program" completions zsh >"$root/share/_amurg-runtime"
"$program" completions fish >"$root/share/amurg-runtime.fish"

# shellcheck disable=SC2094  # it is not among what is read
(cd "$root" && find . -type f ! -name SHA256SUMS -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum >SHA256SUMS)
tar --create --directory target/bundle --sort=name --owner=0 --group=0 --numeric-owner \
    --mtime="@$SOURCE_DATE_EPOCH" "$name" | xz -9e -T 1 >"$dist/$name-bundle.tar.xz"
cp "$root/sbom.cdx.json" "$dist/$name.cdx.json"
ls -l "$dist/$name-bundle.tar.xz"
