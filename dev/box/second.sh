# shellcheck shell=bash
# A second node for tests of node loss: a network namespace with its own containerd, kubelet and kube-proxy. Needs
# env.sh, process.sh, network.sh, sweep.sh; to start it also certs.sh, config.sh, components.sh.
#
# Its link can be cut: then nothing of it reaches the cluster, while its containers run on. It bears a taint, so that
# nothing is placed on it but what a test sends there.

SECOND=node2
SECOND_IP=10.200.0.2
SECOND_PODS=10.244.1.0/24
SECOND_NETNS=flowrun-$SECOND
SECOND_LINK=boxnode2 # the host's end
SECOND_CGROUP=flowrun-$SECOND

# shellcheck disable=SC2034  # used by what it runs
as_second() { # command...: runs it with the second node's names
  local COMPONENTS="containerd kubelet kube-proxy" PREFIX=$SECOND- CGROUP_ROOT=/$SECOND_CGROUP
  local TAINTS="{key: flowrun.dev/second-node, effect: NoSchedule}"
  local API=https://$NODE_IP:6443
  local NODE=$SECOND NODE_IP=$SECOND_IP POD_CIDR=$SECOND_PODS
  local BOX=$BOX/$SECOND RUN=$RUN/$SECOND LOGS=$LOGS/$SECOND
  local CERTS=$BOX/certs
  # Not `ip netns exec`: it mounts /sys anew, without the cgroups.
  local ENTER=(nsenter "--net=/run/netns/$SECOND_NETNS")
  "$@"
}

second_network_up() {
  ip netns add "$SECOND_NETNS"
  ip link add "$SECOND_LINK" type veth peer name eth0 netns "$SECOND_NETNS"
  ip link set "$SECOND_LINK" master "$NODE_BRIDGE" up
  ip route add "$SECOND_IP/32" dev "$NODE_BRIDGE" src "$NODE_IP"
  ip route add "$SECOND_PODS" via "$SECOND_IP" dev "$NODE_BRIDGE" src "$NODE_IP" onlink
  local inside=(ip -n "$SECOND_NETNS")
  "${inside[@]}" link set lo up
  "${inside[@]}" addr add "$SECOND_IP/32" dev eth0
  "${inside[@]}" link set eth0 up
  "${inside[@]}" route add "$NODE_IP/32" dev eth0
  "${inside[@]}" route add default via "$NODE_IP" dev eth0 onlink
  ip netns exec "$SECOND_NETNS" sysctl -q -e -w net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1 || true
}

second_network_down() {
  ip link del "$SECOND_LINK" 2>/dev/null || true
  ip route del "$SECOND_IP/32" dev "$NODE_BRIDGE" 2>/dev/null || true
  ip route del "$SECOND_PODS" dev "$NODE_BRIDGE" 2>/dev/null || true
  [ ! -e "/run/netns/$SECOND_NETNS" ] || ip netns del "$SECOND_NETNS"
}

cgroup_hierarchies() { # the one of version 2, or all of version 1
  if [ -e /sys/fs/cgroup/cgroup.procs ]; then
    echo /sys/fs/cgroup
  else
    find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs -printf '%h\n'
  fi
}

# A root of its own: a kubelet removes the pods' cgroups that it does not know, with all that runs in them.
second_cgroups_up() {
  local dir file
  while read -r dir; do
    mkdir -p "$dir/$SECOND_CGROUP"
    for file in cpuset.cpus cpuset.mems; do # empty in a new one; without them version 1 lets no process in
      [ ! -e "$dir/tasks" ] || [ ! -e "$dir/$file" ] || cat "$dir/$file" >"$dir/$SECOND_CGROUP/$file"
    done
  done < <(cgroup_hierarchies)
}

second_cgroup_dirs() { find /sys/fs/cgroup -maxdepth 2 -name "$SECOND_CGROUP" -type d 2>/dev/null; }

second_pod_pids() {
  second_cgroup_dirs | while read -r dir; do find "$dir" -name cgroup.procs -exec cat {} + 2>/dev/null; done | sort -u
}

make_second_certs() { # in the second node's names; $1: folder with the cluster's CA
  mkdir -p "$CERTS"
  chmod 700 "$CERTS"
  cp "$1/ca.crt" "$1/ca.key" "$1/admin.kubeconfig" "$CERTS/"
  {
    certificate kubelet "/O=system:nodes/CN=system:node:$NODE"
    certificate kube-proxy /CN=system:kube-proxy
  } >"$LOGS/certs.log" 2>&1 || fail_with_log certs "making the certificates of the second node failed"
  kubeconfig kubelet
  kubeconfig kube-proxy
}

start_second() { # in the second node's names; $1: folder with the cluster's CA; further: images, already in the first
  local ca=$1
  shift
  mkdir -p "$BOX/kubelet" "$BOX/pod-logs" "$LOGS" "$RUN"
  write_node_configs
  touch "$BOX/containers-present"
  start_containerd
  make_second_certs "$ca"
  wait_for 30 containerd "containerd of the second node" ctr_ version
  copy_images "$@"
  start_node
}

copy_images() { # in the second node's names; images: those that this node's containerd lacks, from the first's
  local image first missing=()
  first=(ctr -a "${RUN%/*}/containerd.sock" -n k8s.io)
  for image in "$PAUSE_IMAGE" "$@"; do
    [ "$(image_digest "${first[@]}" "$image")" = "$(image_digest ctr_ "$image")" ] || missing+=("$image")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "copying to the second node: ${missing[*]}"
  "${first[@]}" images export - "${missing[@]}" | ctr_ images import - >"$LOGS/import.log" 2>&1 ||
    fail_with_log import "the second node did not take the images: ${missing[*]}"
}

image_digest() { # command of ctr..., image
  "${@:1:$#-1}" images ls "name==${*: -1}" | awk 'NR == 2 { print $3 }'
}

second_ready() { # the node is, and its kube-proxy has done its work
  [ "$(kc get node "$SECOND" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' --request-timeout 3s 2>/dev/null)" = True ] &&
    nsenter "--net=/run/netns/$SECOND_NETNS" iptables-save -t nat 2>/dev/null | grep -q -- '-A KUBE-SVC-'
}

second_whole() {
  local name
  for name in containerd kubelet kube-proxy; do as_second is_alive "$name" || return 1; done
  link_exists "$SECOND_LINK" && [ -d "$BOX/$SECOND" ]
}

second_left() { # is there anything of a second node on this host?
  [ -e "/run/netns/$SECOND_NETNS" ] || [ -n "$(second_cgroup_dirs)" ] || [ -n "$(box_pids "$SECOND-")" ]
}

# Removes the second node from the host, however it ended; works without a living cluster. Keeps its images, if its
# containerd could be told to forget the containers; otherwise that would bring them up at its next start.
remove_second() {
  local state=$BOX/$SECOND run=$RUN/$SECOND pids
  [ -d "$run" ] || second_left || return 0
  mapfile -t pids < <(box_pids "$SECOND-kube")
  stop_pids 0 "${pids[@]}"
  mapfile -t pids < <(second_pod_pids)
  stop_pids 0 "${pids[@]}"
  if [ -n "$(box_pids "$SECOND-containerd\$")" ] && [ -S "$run/containerd.sock" ] && as_second forget_containers; then
    rm -f "$state/containers-present"
  fi
  mapfile -t pids < <(box_pids "$SECOND-")
  stop_pids 2 "${pids[@]}"
  unmount_all "$run" "$state"
  second_network_down
  rm -rf "$run" "$state"/{kubelet,pod-logs,certs,kubectl-cache} "$state"/containerd/io.containerd.{grpc.v1.cri,runtime.v2.task}
  remove_cni_results "$SECOND"
  remove_shim_sockets
  [ ! -e "$state/containers-present" ] || rm -rf "$state"/{containerd,containers-present}
  second_cgroup_dirs | while read -r dir; do find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null || true; done
}
