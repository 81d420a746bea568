#!/usr/bin/env bash
# Installs the chart with the images that `make images` built. Repeating it upgrades.
#
# usage: dev/install.sh NAMESPACE
# HELM_ARGS  further arguments of helm, such as "--set prefect.apiUrl=https://..."
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
. "$here/lib/common.sh"
namespace=${1:?namespace}
export KUBECONFIG=${KUBECONFIG:-$LOCAL/kubeconfig}
registry=${IMAGE_REGISTRY:-localhost} tag=${IMAGE_TAG:-dev}

say "installing the chart into namespace $namespace"
# The tag is the same after every build: this makes the operator restart when its image is another one.
image_id=$(cat "$LOCAL/images/operator.id" 2>/dev/null || echo unknown)
# shellcheck disable=SC2086
helm upgrade --install flowrun "$ROOT/charts/flowrun-operator" --namespace "$namespace" --create-namespace \
    --set image.repository="$registry/flowrun-operator" --set image.tag="$tag" \
    --set runtime.image="$registry/flowrun-runtime:$tag" \
    --set-string podAnnotations."flowrun\.dev/image-id"="$image_id" \
    ${HELM_ARGS:-} --wait --timeout 5m >"$LOCAL/log/helm.log" 2>&1 ||
    {
        show_log "$LOCAL/log/helm.log"
        kubectl --namespace "$namespace" get pods >&2
        die "the chart was not installed" "kubectl --kubeconfig $KUBECONFIG -n $namespace describe pods"
    }
say "installed: $(kubectl --namespace "$namespace" get deployments -o jsonpath='{range .items[*]}{.metadata.name} {.status.readyReplicas}/{.spec.replicas}  {end}')"
