#!/usr/bin/env bash
# `make demo`: runs the examples on the cluster and looks at them, by the commands that a user would type.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export KUBECONFIG=${KUBECONFIG:-$PWD/.local/kubeconfig}

typed() { # command...: shows it as it is typed, and runs it
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}

# Images are where `make images` brought them.
manifest() { sed "s|localhost/flowrun-examples:dev|${IMAGE_REGISTRY:-localhost}/flowrun-examples:${IMAGE_TAG:-dev}|" "examples/$1.yaml"; }

for name in greetings model_selection; do
    printf '\n\033[1m$ flowrun run examples/%s.yaml --replace\033[0m\n' "$name"
    manifest "$name" | flowrun run - --replace
done
typed flowrun get greetings
typed flowrun list
typed kubectl get pods,services,taskclusters.flowrun.dev -l app.kubernetes.io/part-of=flowrun
echo "(a driver's pod is kept for its log, until the TTL of its run)"
cat <<NEXT

What next:
  export KUBECONFIG=$KUBECONFIG
  flowrun ui                      # Prefect, with what the tasks have printed: http://127.0.0.1:4200
  flowrun run flow.py:main        # a flow of your own (docs/cli.md)
  make cluster-down               # removes the cluster
NEXT
