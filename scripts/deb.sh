#!/usr/bin/env bash
# Builds target/dist/amurg-runtime_VERSION_ARCHITECTURE.deb around a static binary.
#   scripts/deb.sh [amd64|arm64]
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

architecture=${1:-amd64}
case $architecture in
amd64) target=x86_64-unknown-linux-musl ;;
arm64) target=aarch64-unknown-linux-musl ;;
*) say "$architecture: the packages are amd64 and arm64" && exit 64 ;;
esac
command -v dpkg-deb >/dev/null || missing dpkg-deb "apt-get install dpkg"

# The same bytes whenever it is built.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
umask 022
root=target/deb/$architecture
rm -rf "$root"
mkdir -p "$root/DEBIAN"
scripts/stage.sh "$root" "$target" debian
doc=$root/usr/share/doc/amurg-runtime
install -m 0644 packaging/debian/copyright "$doc/copyright"
install -D -m 0644 packaging/debian/lintian-overrides "$root/usr/share/lintian/overrides/amurg-runtime"
maintainer=$(sed -n 's/^Maintainer: //p' packaging/debian/control)
cat >"$doc/changelog" <<END
amurg-runtime ($(version)) unstable; urgency=medium

  * Release $(version). What changed is told in CHANGELOG.md.

 -- $maintainer  $(date -R -u -d "@$SOURCE_DATE_EPOCH")
END
gzip -9n "$doc/changelog"

sed -e "s/@VERSION@/$(version)/" -e "s/@ARCHITECTURE@/$architecture/" \
    -e "s/@SIZE@/$(du -sk --apparent-size "$root" | cut -f 1)/" packaging/debian/control >"$root/DEBIAN/control"
echo /etc/amurg/config.json >"$root/DEBIAN/conffiles"
install -m 0755 packaging/debian/postinst packaging/debian/prerm packaging/debian/postrm "$root/DEBIAN/"
(cd "$root" && find etc lib usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0r touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
dpkg-deb --root-owner-group -Zxz --build "$root" "target/dist/amurg-runtime_$(version)_$architecture.deb" >&2
ls -l "target/dist/amurg-runtime_$(version)_$architecture.deb"
if command -v lintian >/dev/null; then
    lintian --fail-on error,warning "target/dist/amurg-runtime_$(version)_$architecture.deb"
else
    say "not checked: lintian is missing (apt-get install lintian)"
fi
