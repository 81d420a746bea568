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

tests() { # name, arguments of pytest...
    local name=$1
    shift
    rm -rf ".local/pytest/$name"
    tier "$name" pytest -o cache_dir="$PWD/.local/pytest/$name" "$@"
}

that_are() { awk -v words="$1" '$1 ~ "^(" words ")$" && $2 !~ /:$/ { print $2 }' "$summary"; }

# Hundreds of processes on a few cores: a handful of tests that failed beside all the others get a second try alone. A
# tier that passes then is unsteady: a defect of a test or of the product, which must not hide, nor hold up all else.
second_try() {
    local name failed
    for name in $(that_are FAILED); do
        failed=$(grep -cE '^(FAILED|ERROR) tests/[^ ]*::' ".local/log/tier-$name.log")
        # A module that could not be read: none of its tests, nor of the others', has run.
        if grep -qE '^ERROR tests/[^: ]*( |$)' ".local/log/tier-$name.log"; then continue; fi
        if [ ! -d ".local/pytest/$name" ] || [ "$failed" -lt 1 ] || [ "$failed" -gt 5 ]; then continue; fi
        printf '\n== %s, a second try\n' "$name"
        pytest "tests/$name" -o cache_dir="$PWD/.local/pytest/$name" --last-failed --last-failed-no-failures none &&
            sed -i "s/^FAILED   $name /UNSTEADY $name /" "$summary"
    done
}

# Where only the ends of the output are kept, its end must name the failures.
failures() {
    local name log
    for name in $(that_are 'FAILED|UNSTEADY'); do
        log=.local/log/tier-$name.log
        printf '\n== failures of %s\n' "$name"
        grep '^E   ' "$log" | tail -n 40 | cut -c1-300
        grep -E '^(FAILED|ERROR) tests/' "$log" | cut -c1-300 || tail -n 5 "$log"
    done
}

cluster() {
    if [ -n "${SKIP_CLUSTER:-}" ]; then
        echo "NOT RUN  cluster: SKIP_CLUSTER is set" >>"$summary"
    elif ! dev/cluster-up; then
        echo "NOT RUN  cluster: no cluster can be had here (see above)" >>"$summary"
    elif dev/images.sh && dev/install.sh flowrun-system; then
        tests cluster tests/cluster -m "not alone"
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
        tests apiserver tests/apiserver
    else
        echo "NOT RUN  apiserver: the API server could not be built (see above)" >>"$summary"
    fi
} >"$beside" 2>&1 &
tests unit tests/unit
tests simulated tests/simulated
# The stock runners on clusters take most of the conformance suite's time and none of them is ours: `make conformance`.
tests runner tests/runner -k "not prefect-dask and not prefect-ray and not flowrun-threads"
wait
cat "$beside"
second_try
printf '\n== tiers\n'
cat "$summary"
failures
! grep -q '^FAILED' "$summary"
