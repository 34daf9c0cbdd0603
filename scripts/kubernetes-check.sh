#!/usr/bin/env bash
# Builds every Kustomize directory and holds it against the API's schemas, of the
# oldest version the manifests are for and of the newest the validator knows.
#   KUSTOMIZE=…     its path, if it is not in PATH
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

kustomize=${KUSTOMIZE:-$(command -v kustomize || true)}
if [ -z "$kustomize" ]; then
    kustomize=$toolchain/go/kustomize
    # Go's module proxy has it in source; this one builds with Go 1.24.
    [ -x "$kustomize" ] || GOBIN=$toolchain/go go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1 \
        || missing kustomize "go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1"
fi
validate=$toolchain/kubernetes/bin/kubernetes-validate
if ! [ -x "$validate" ]; then
    python3 -m venv "$toolchain/kubernetes" || missing "python3 with venv" "apt-get install python3-venv"
    # It carries the schemas: nothing is fetched while it validates.
    "$toolchain/kubernetes/bin/python" -m pip install --quiet kubernetes-validate \
        || missing kubernetes-validate "pip install kubernetes-validate"
fi
mkdir -p target/kubernetes
for directory in packaging/kubernetes/base packaging/kubernetes/overlays/*; do
    built=target/kubernetes/$(basename "$directory").yaml
    "$kustomize" build "$directory" >"$built"
    for api in 1.29 "$("$validate" --version | grep -oE '[0-9]+\.[0-9]+' | head -n 1)"; do
        "$validate" --strict -k "$api" "$built"
    done
done
