#!/usr/bin/env bash
# Builds every artefact of this version into target/dist, with checksums.
#   scripts/release.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

# The version stands in Cargo.toml alone; what else names it has to agree.
version=$(version)
if ! grep -qE "^## \[$version\]" CHANGELOG.md; then
    say "CHANGELOG.md has no section [$version]: move what is under [Unreleased] there"
    exit 65
fi
rm -rf target/dist
for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl; do
    scripts/static.sh "$target"
    FEATURES=plain scripts/static.sh "$target"
done
for architecture in amd64 arm64; do
    scripts/deb.sh "$architecture"
done
if command -v rpmbuild >/dev/null; then
    for architecture in x86_64 aarch64; do
        scripts/rpm.sh "$architecture"
    done
else
    say "without rpm packages: rpmbuild is missing (apt-get install rpm)"
fi
scripts/bundle.sh
(cd target/dist && sha256sum -- amurg-runtime* >SHA256SUMS)
say "version $version:"
ls -l target/dist
