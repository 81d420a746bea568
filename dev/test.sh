#!/usr/bin/env bash
# Runs every tier of tests that this machine can run, and says which it could not.
#
# Tiers: unit, simulated and runner (anywhere), apiserver (Go, for a real API server without nodes), chart (Go, for helm-unittest), cluster (a real cluster: see dev/cluster-up).
# SKIP_CLUSTER=1 leaves the last one out.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
export PATH=$PWD/.local/bin:$PWD/.venv/bin:$PATH
declare -a summary=()
failed=0

tier() { # name, command...
    local name=$1 started=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    if "$@"; then
        summary+=("ran      $name ($((SECONDS - started)) s)")
    else
        summary+=("FAILED   $name ($((SECONDS - started)) s)")
        failed=1
    fi
}

tier unit pytest tests/unit
tier simulated pytest tests/simulated
if KUBEBOX=$(dev/kubebox); then
    export KUBEBOX
    tier apiserver pytest tests/apiserver
else
    summary+=("NOT RUN  apiserver: the API server could not be built (see above)")
fi
# The stock runners on clusters take most of the conformance suite's time and none of them is ours: `make conformance`.
tier runner pytest tests/runner -k "not prefect-dask and not prefect-ray and not flowrun-threads"
if dev/tools.sh; then
    tier chart helm-unittest charts/flowrun-operator
else
    summary+=("NOT RUN  chart: helm could not be had (see above)")
fi
if [ -n "${SKIP_CLUSTER:-}" ]; then
    summary+=("NOT RUN  cluster: SKIP_CLUSTER is set")
elif dev/cluster-up; then
    if dev/images.sh && dev/install.sh flowrun-system; then
        tier cluster pytest tests/cluster
    else
        summary+=("FAILED   cluster: images or chart could not be installed")
        failed=1
    fi
else
    summary+=("NOT RUN  cluster: no cluster can be had here (see above)")
fi
printf '\n== tiers\n'
printf '%s\n' "${summary[@]}"
exit $failed
