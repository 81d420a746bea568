#!/usr/bin/env bash
# Everything that can be checked without running the product. Needs `make setup`; the chart part needs helm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH=$PWD/.local/bin:$PWD/.venv/bin:$PATH
step() { printf '\n== %s\n' "$*"; }

step "ruff"
ruff check .
ruff format --check .
step "mypy --strict"
mypy
step "import-linter"
lint-imports --no-cache
step "generated files"
generated=$(mktemp -d)
trap 'rm -rf "$generated"' EXIT
python -m flowrun_api.kinds.crd "$generated/crds"
diff -ru "$generated/crds" charts/flowrun-operator/files/crds || { echo "stale: run make generate" >&2; exit 1; }
cp docs/api.md "$generated/api.md"
python -m flowrun_api.kinds.reference "$generated/api.md" "$generated/schemas"
{ diff -u "$generated/api.md" docs/api.md && diff -ru "$generated/schemas" docs/schemas; } || { echo "stale: run make generate" >&2; exit 1; }
if command -v shellcheck >/dev/null; then
    step "shellcheck"
    find dev requirements .ci -type f \( -name '*.sh' -o -name cluster-up -o -name cluster-down -o -name kubebox -o -name run \) -print0 |
        xargs -0 shellcheck -x -e SC1091
fi
if command -v helm >/dev/null; then
    step "helm lint"
    helm lint --strict --quiet charts/flowrun-operator
fi
