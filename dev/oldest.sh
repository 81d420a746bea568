#!/usr/bin/env bash
# Runs the core of the conformance suite, on Dask, on the oldest Prefect that the plugin supports, in .venv-oldest.
# Not part of `make test`: it takes an environment of its own and three minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
uv=$(dev/setup.sh --uv)
stamp=.venv-oldest/.flowrun-setup
want=$(cat requirements/oldest.txt api/pyproject.toml runner_plugin/pyproject.toml | sha256sum | cut -d' ' -f1)-$PWD
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$want" ]; then
    [ -x .venv-oldest/bin/python ] || "$uv" venv --quiet --python '>=3.11,<3.14' .venv-oldest
    VIRTUAL_ENV=$PWD/.venv-oldest "$uv" pip sync --quiet requirements/oldest.txt
    VIRTUAL_ENV=$PWD/.venv-oldest "$uv" pip install --quiet --no-deps -e api -e runner_plugin
    echo "$want" >"$stamp"
fi
.venv-oldest/bin/python -c 'import prefect; print("Prefect", prefect.__version__)'
exec .venv-oldest/bin/python -m pytest tests/runner/conformance -k "flowrun-dask and (submit or map or dependencies or failures)" -q "$@"
