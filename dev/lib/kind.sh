# shellcheck shell=bash
# A kind cluster, where Docker answers. Needs common.sh, gobuild.sh.

KIND_CLUSTER=flowrun
KIND_VERSION=v0.30.0
KIND_NODE_IMAGE=${KIND_NODE_IMAGE:-} # empty: the node image that belongs to this kind version

kind_command() { # prints the path of kind, building it when the host has none
  if have kind; then
    command -v kind
  else
    install_package kind sigs.k8s.io/kind "$KIND_VERSION"
    echo "$BUILT"
  fi
}

kind_up() {
  docker_answers || die "kind needs Docker, and Docker does not answer"
  local kind
  kind=$(kind_command)
  if "$kind" get clusters 2>/dev/null | grep -qx "$KIND_CLUSTER"; then
    "$kind" export kubeconfig --name "$KIND_CLUSTER" --kubeconfig "$LOCAL/kubeconfig" >/dev/null 2>&1
    chmod 600 "$LOCAL/kubeconfig"
    say "kind cluster is running"
    return
  fi
  say "making the kind cluster '$KIND_CLUSTER' (a minute or two; its node image is fetched the first time)"
  mkdir -p "$LOCAL/kind/log"
  cp "$DEV/audit.yaml" "$LOCAL/kind/audit.yaml"
  sed "s|@STATE@|$LOCAL/kind|g" "$DEV/kind/cluster.yaml" >"$LOCAL/kind/cluster.yaml"
  quietly "$LOCAL/log/kind.log" "$kind" create cluster --name "$KIND_CLUSTER" --config "$LOCAL/kind/cluster.yaml" \
    --kubeconfig "$LOCAL/kubeconfig" --wait 180s ${KIND_NODE_IMAGE:+--image "$KIND_NODE_IMAGE"}
  chmod 600 "$LOCAL/kubeconfig"
  say "kind cluster is ready"
}

kind_down() {
  docker_answers || { warn "Docker does not answer: a kind cluster can't be removed" && return; }
  quietly "$LOCAL/log/kind.log" "$(kind_command)" delete cluster --name "$KIND_CLUSTER" --kubeconfig "$LOCAL/kubeconfig"
  rm -rf "$LOCAL/kind"
  say "kind cluster is removed"
}
