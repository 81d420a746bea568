#!/usr/bin/env bash
# Runs every tier of tests that this machine can run, and says which it could not.
#
# Tiers: unit, simulated and runner (anywhere), apiserver (Go, for kube-apiserver without nodes), chart (Go, for
# helm-unittest), cluster (a real cluster: see dev/cluster-up). Cluster and apiserver mostly wait, so they run beside the
# others, and their output follows. SKIP_CLUSTER=1 leaves the cluster out.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
export PATH=$PWD/.local/bin:$PWD/.venv/bin:$PATH
# Where the environment forbids bytecode, each of some hundred processes would compile Prefect and Dask anew.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=$PWD/.local/pycache
mkdir -p .local/log
summary=.local/log/tiers
beside=.local/log/test-beside.log
: >"$summary"

tier() { # name, command...
    local name=$1 started=$SECONDS word=ran
    shift
    printf '\n== %s\n' "$name"
    "$@" 2>&1 | tee ".local/log/tier-$name.log" || word=FAILED # with pipefail
    printf '%-8s %s (%s s)\n' "$word" "$name" "$((SECONDS - started))" >>"$summary"
}

# Where only the ends of the output are kept, its end must name the failures.
failures() {
    local name log
    awk '$1 == "FAILED" && $2 !~ /:$/ { print $2 }' "$summary" | while read -r name; do
        log=.local/log/tier-$name.log
        printf '\n== failures of %s\n' "$name"
        grep '^E   ' "$log" | tail -n 40 | cut -c1-300
        grep -E '^(FAILED|ERROR) ' "$log" | cut -c1-300 || tail -n 5 "$log"
    done
}

cluster() {
    if [ -n "${SKIP_CLUSTER:-}" ]; then
        echo "NOT RUN  cluster: SKIP_CLUSTER is set" >>"$summary"
    elif ! dev/cluster-up; then
        echo "NOT RUN  cluster: no cluster can be had here (see above)" >>"$summary"
    elif dev/images.sh && dev/install.sh flowrun-system; then
        tier cluster pytest tests/cluster -m "not alone"
    else
        echo "FAILED   cluster: images or chart could not be installed" >>"$summary"
    fi
}

# Both build Go programs, and so does the cluster: one after the other.
if dev/tools.sh; then
    tier chart helm-unittest charts/flowrun-operator
else
    echo "NOT RUN  chart: helm could not be had (see above)" >>"$summary"
fi
kubebox=$(dev/kubebox) && export KUBEBOX=$kubebox
echo "The tiers cluster and apiserver run beside the others; their output comes last (meanwhile: $beside)"
{
    cluster
    if [ -n "${KUBEBOX:-}" ]; then
        tier apiserver pytest tests/apiserver
    else
        echo "NOT RUN  apiserver: the API server could not be built (see above)" >>"$summary"
    fi
} >"$beside" 2>&1 &
tier unit pytest tests/unit
tier simulated pytest tests/simulated
# The stock runners on clusters take most of the conformance suite's time and none of them is ours: `make conformance`.
tier runner pytest tests/runner -k "not prefect-dask and not prefect-ray and not flowrun-threads"
wait
cat "$beside"
printf '\n== tiers\n'
cat "$summary"
failures
! grep -q '^FAILED' "$summary"
