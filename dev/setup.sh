#!/usr/bin/env bash
# Makes .venv from the lock file. `--uv` prints the path of uv instead, and gets it first where the host has none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_uv() {
    if command -v uv >/dev/null; then
        command -v uv
        return
    fi
    if [ ! -x .local/uv/bin/uv ]; then
        command -v python3 >/dev/null || { echo "python3 (3.11 or newer) is missing: install it first" >&2; exit 1; }
        echo "setup: getting uv into .local/uv" >&2
        python3 -m venv .local/uv || { echo "python3 lacks venv: install python3-venv" >&2; exit 1; }
        .local/uv/bin/python -m pip install --quiet uv
    fi
    echo "$PWD/.local/uv/bin/uv"
}

uv=$(find_uv)
if [ "${1:-}" = --uv ]; then
    echo "$uv"
    exit
fi
# Nothing to do while neither the lock file nor the packages' metadata changed.
stamp=.venv/.flowrun-setup
want=$(cat requirements/dev.txt api/pyproject.toml client/pyproject.toml operator/pyproject.toml runner_plugin/pyproject.toml | sha256sum | cut -d' ' -f1)-$PWD
[ "$(cat "$stamp" 2>/dev/null || true)" = "$want" ] && exit 0
echo "setup: Python environment in .venv"
[ -x .venv/bin/python ] || "$uv" venv --quiet --python '>=3.11,<3.14' .venv
VIRTUAL_ENV=$PWD/.venv "$uv" pip sync --quiet requirements/dev.txt
VIRTUAL_ENV=$PWD/.venv "$uv" pip install --quiet --no-deps -e api -e client -e operator -e runner_plugin
echo "$want" >"$stamp"
