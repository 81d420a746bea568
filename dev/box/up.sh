#!/usr/bin/env bash
# Starts the bundled single-node cluster, or finds it running. Leaves .local/kubeconfig and the state in .local/box.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in lib/common lib/gobuild lib/packages box/env box/process box/network box/certs box/config box/components box/images box/second box/sweep; do
  # shellcheck source=/dev/null
  . "$here/../$part.sh"
done

cluster_version() { content_hash "$here"/*.sh "$here"/*.yaml "$here"/*/go.sum "$DEV/audit.yaml"; }

node_ready() {
  [ "$(kc get node "$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' --request-timeout 3s 2>/dev/null)" = True ]
}
dns_ready() { [ "$(kc -n kube-system get deployment coredns -o 'jsonpath={.status.readyReplicas}' --request-timeout 3s 2>/dev/null)" = 1 ]; }

healthy() { # our cluster of this checkout runs, whole
  local name
  [ "$(owner)" = "$BOX" ] || return 1
  for name in $COMPONENTS; do is_alive "$name" || return 1; done
  KUBEBOX=$(cat "$RUN/kubebox") || return 1
  # All processes live: wait for a busy node rather than throw away what the user has in the cluster.
  local end=$((SECONDS + 30))
  until node_ready && dns_ready; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.5
  done
}

report_healthy() {
  [ -f "$LOCAL/kubeconfig" ] && cmp -s "$LOCAL/kubeconfig" "$CERTS/admin.kubeconfig" ||
    install -m 600 "$CERTS/admin.kubeconfig" "$LOCAL/kubeconfig"
  [ "$(cat "$RUN/version")" = "$(cluster_version)" ] ||
    warn "it was started by other versions of dev/box: 'make cluster-down cluster-up' to renew it"
  say "cluster is running"
}

refuse_foreign() { # another Kubernetes or server in our place
  local port user name
  for name in k3s kubelet; do
    ! pgrep -x "$name" >/dev/null || die "another Kubernetes node ($name) runs on this host" \
      "use it: KUBECONFIG=/path/to/its/kubeconfig make cluster-up"
  done
  for port in $PORTS; do
    user=$(ss -Hltnp "sport = :$port" 2>/dev/null)
    [ -z "$user" ] || die "port $port is in use by another program: ${user##*users:}" \
      "stop it, or use another cluster: KUBECONFIG=/path make cluster-up"
  done
}

announce_sweep() {
  local previous
  previous=$(owner) || previous=""
  if ! traces; then
    return
  elif [ -n "$previous" ] && [ "$previous" != "$BOX" ]; then
    say "stopping the cluster of another checkout: ${previous%/.local/box}"
  elif [ -n "$(box_pids)" ]; then
    say "the cluster of this checkout is not whole: starting it afresh"
  else
    say "removing what an earlier cluster left"
  fi
}

purge_containers() { # after a crash containerd would bring up the old pods' containers: remove them before its CRI part looks
  [ -f "$BOX/containers-present" ] || return 0
  write_containerd_config io.containerd.grpc.v1.cri
  start_containerd
  wait_for 30 containerd "containerd (cleaning)" ctr_ version
  forget_containers || warn "some containers of the crashed cluster could not be removed"
  stop_pids 5 "$(cat "$RUN/containerd.pid")"
  rm -f "$RUN/containerd.pid"
  write_containerd_config ""
}

make_volumes() { # fixed volumes: there is no provisioner; claims of any size up to 10Gi bind
  local i
  echo "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}, provisioner: kubernetes.io/no-provisioner}"
  for i in $(seq 10); do
    mkdir -p "$BOX/volumes/$i"
    chmod 777 "$BOX/volumes/$i"
    echo "---"
    echo "{apiVersion: v1, kind: PersistentVolume, metadata: {name: box-$i}, spec: {capacity: {storage: 10Gi}, accessModes: [ReadWriteOnce, ReadWriteMany], storageClassName: standard, persistentVolumeReclaimPolicy: Retain, hostPath: {path: $BOX/volumes/$i}}}"
  done
}

start_cluster() {
  rm -rf "$BOX/log.previous"
  [ ! -d "$LOGS" ] || mv "$LOGS" "$BOX/log.previous"
  mkdir -p "$LOGS" "$BOX/kubelet" "$BOX/pod-logs" "$RUN"
  echo "$BOX" >"$RUN/owner"
  echo "$KUBEBOX" >"$RUN/kubebox"
  cluster_version >"$RUN/version"
  network_up
  write_configs
  purge_containers
  touch "$BOX/containers-present"
  start_etcd
  start_containerd
  make_certs
  start_apiserver
  wait_for 30 containerd "containerd" ctr_ version
  import_box_images
  say "etcd and containerd run, waiting for the API server"
  wait_for 60 kube-apiserver "the API server" kc get --raw=/readyz
  start_controllers
  start_node
  { cat "$here/addons.yaml" && echo "---" && make_volumes; } | kc create --validate=false -f - >"$LOGS/addons.log" 2>&1 ||
    fail_with_log addons "could not create the DNS objects"
  say "API server runs, waiting for the node"
  wait_for 60 kubelet "the node to be Ready" node_ready
  say "node is Ready, waiting for DNS"
  wait_for 60 kubelet "CoreDNS to be Ready" dns_ready
  say "cluster is ready (Kubernetes $KUBERNETES, state in ${BOX#"$ROOT"/}, logs in ${LOGS#"$ROOT"/})"
}

[ "$(id -u)" = 0 ] || die "the bundled cluster needs root"
exec 9>/run/lock/flowrun-box.lock
flock -w 300 9 || die "another cluster-up or cluster-down holds /run/lock/flowrun-box.lock"
if healthy; then
  report_healthy
  exit 0
fi
# shellcheck disable=SC2086
ensure_packages $BOX_PACKAGES
build_kubebox
build_box_images
announce_sweep
sweep
refuse_foreign
say "starting the bundled cluster"
start_cluster
