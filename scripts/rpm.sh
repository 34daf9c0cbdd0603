#!/usr/bin/env bash
# Builds target/dist/amurg-runtime-VERSION-1.ARCHITECTURE.rpm around a static binary.
#   scripts/rpm.sh [x86_64|aarch64]
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

architecture=${1:-x86_64}
command -v rpmbuild >/dev/null || missing rpmbuild "apt-get install rpm, or dnf install rpm-build"
work=$PWD/target/rpm/$architecture
rm -rf "$work"
umask 022
scripts/stage.sh "$work/staged" "$architecture-unknown-linux-musl" rpm
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
rpmbuild -bb --quiet --target "$architecture" --define "amurg_version $(version)" --define "staged $work/staged" \
    --define "_topdir $work" --define "_rpmdir $work/out" --define "_buildhost localhost" \
    --define "use_source_date_epoch_as_buildtime 1" --define "clamp_mtime_to_source_date_epoch 1" \
    --define "_docdir /usr/share/doc" packaging/rpm/amurg-runtime.spec
cp "$work/out/$architecture"/*.rpm target/dist/
ls -l target/dist/amurg-runtime-"$(version)"-1."$architecture".rpm
if command -v rpmlint >/dev/null; then
    rpmlint -c packaging/rpm/rpmlint.toml packaging/rpm/amurg-runtime.spec target/dist/amurg-runtime-"$(version)"-1."$architecture".rpm
else
    say "not checked: rpmlint is missing (apt-get install rpmlint)"
fi
