#!/usr/bin/env bash
# Puts the tools that the host lacks into .local/bin, built from Go modules, cached for the machine.
#
# usage: dev/tools.sh [kubectl] [helm] [helm-unittest]     default: all three
# helm-unittest is the stand-alone program: `helm-unittest CHART`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in lib/common lib/gobuild; do
  # shellcheck source=/dev/null
  . "$here/$part.sh"
done

HELM=v3.19.5
HELM_KUBERNETES="-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=34"
HELM_UNITTEST=v0.8.2 # 1.0 and later can't be installed as a dependency

put() { # name, program: a link in .local/bin
  mkdir -p "$LOCAL/bin"
  ln -sfn "$2" "$LOCAL/bin/$1"
}

tool() { # name
  case $1 in
    kubectl)
      if have_own kubectl && kubectl version --client >/dev/null 2>&1; then return; fi
      build_kubebox
      mkdir -p "$LOCAL/bin"
      printf '#!/bin/sh\nexec "%s" kubectl "$@"\n' "$KUBEBOX" >"$LOCAL/bin/.kubectl"
      chmod 755 "$LOCAL/bin/.kubectl"
      mv "$LOCAL/bin/.kubectl" "$LOCAL/bin/kubectl"
      ;;
    helm)
      if have_own helm && helm version --short 2>/dev/null | grep -q '^v3\.'; then return; fi
      # Without a cluster `helm template` takes a Kubernetes of this version; the default, 1.20, is below the chart's.
      install_package helm helm.sh/helm/v3/cmd/helm "$HELM" \
        "-X helm.sh/helm/v3/internal/version.version=$HELM $HELM_KUBERNETES"
      put helm "$BUILT"
      ;;
    helm-unittest)
      install_package helm-unittest github.com/helm-unittest/helm-unittest/cmd/helm-unittest "$HELM_UNITTEST"
      put helm-unittest "$BUILT"
      ;;
    *) die "unknown tool: $1" "there are: kubectl helm helm-unittest" ;;
  esac
}

have_own() { # the host has the program, outside .local/bin
  local found
  found=$(PATH=$(printf '%s' "$PATH" | tr ':' '\n' | grep -vxF "$LOCAL/bin" | paste -sd:) command -v "$1") && [ -x "$found" ]
}

[ $# -gt 0 ] || set -- kubectl helm helm-unittest
for name in "$@"; do tool "$name"; done
