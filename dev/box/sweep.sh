# shellcheck shell=bash
# Stops whatever cluster of ours runs on this host and removes all it left, however it ended. Needs env.sh,
# process.sh, network.sh, second.sh.
#
# It works from what the host shows (processes, mounts, links, rules), not from what we think we started: the same
# code is cluster-down, the clean-up before a start after a crash, and the take-over from another checkout.

owner() { cat "$RUN/owner" 2>/dev/null; } # state folder of the checkout whose cluster runs or crashed

stop_control_plane() {
  local name pids=()
  for name in kubelet kube-proxy kube-scheduler kube-controller-manager kube-apiserver; do
    mapfile -t -O ${#pids[@]} pids < <(box_pids "$name\$")
  done
  stop_pids 0 "${pids[@]}" # nothing of theirs is kept: no reason to wait
}

stop_pods() { # kill what runs in pods, let a living containerd forget it
  local pids ids
  mapfile -t pids < <(pod_pids)
  stop_pids 0 "${pids[@]}"
  [ -n "$(box_pids 'containerd$')" ] && [ -S "$RUN/containerd.sock" ] || return 0
  # Shims outlive a containerd that was killed: what it can't forget is told of at the next start.
  if forget_containers; then rm -f "$(owner)/containers-present"; fi
}

forget_containers() { # needs containerd running; its metadata of containers, not the images
  local ids
  for _ in 1 2 3 4 5; do
    ids=$(ctr_ --timeout 10s containers ls -q 2>/dev/null) || return 1
    [ -n "$ids" ] || return 0
    # shellcheck disable=SC2086
    ctr_ --timeout 60s containers rm $ids >/dev/null 2>&1 || sleep 0.3
  done
  return 1
}

stop_runtime() {
  local pids
  mapfile -t pids < <(box_pids 'containerd$')
  stop_pids 2 "${pids[@]}"
  mapfile -t pids < <(box_pids)
  stop_pids 0 "${pids[@]}"
}

mounts_below() { # folders...: mount points at or below them, deepest first
  local dir
  for dir in "$@"; do
    [ -z "$dir" ] || awk -v d="$dir" '$5 == d || index($5, d "/") == 1 { print $5 }' /proc/self/mountinfo
  done | sort -ru
}

unmount_all() { # folders...
  local mount
  while read -r mount; do
    mount=$(printf '%b' "$mount") # the kernel writes a space as \040
    umount "$mount" 2>/dev/null || umount -l "$mount" 2>/dev/null || true
  done < <(mounts_below "$@")
  # Never delete below a mount: through a bind mount that would delete files of the host.
  [ -z "$(mounts_below "$@")" ] || die "some mounts could not be removed, see: grep flowrun-box /proc/self/mountinfo" "$(mounts_below "$@" | head -5)"
}

remove_cni_results() { # node; containerd's fixed place; the loopback network's name is not ours alone, the container's id is
  local file id
  for file in /var/lib/cni/results/"flowrun-$1"-*-eth0; do
    [ -e "$file" ] || continue
    id=${file#*/flowrun-"$1"-}
    rm -f "$file" "/var/lib/cni/results/cni-loopback-${id%-eth0}-lo"
  done
}

remove_shim_sockets() { # containerd's fixed place; those that nobody listens on any more
  local socket listening
  listening=$(ss -Hxl 2>/dev/null)
  for socket in /run/containerd/s/*; do
    case $listening in *"$socket"*) ;; *) rm -f "$socket" ;; esac
  done
  rmdir /run/containerd/s /run/containerd 2>/dev/null || true
}

remove_files() { # state folder
  local state=$1 link
  rm -rf "$RUN" "$state"/{kubelet,etcd,certs,pod-logs,kubectl-cache,volumes}
  for link in /var/log/containers/*; do # the kubelet's fixed place for links to the logs of pods
    case $(readlink "$link" 2>/dev/null) in "$state"/*) rm -f "$link" ;; esac
  done
  remove_cni_results "$NODE"
  remove_shim_sockets
  rm -f /var/lib/kubelet/device-plugins/{kubelet.sock,DEPRECATION,kubelet_internal_checkpoint}
  rmdir /var/log/containers /var/log/pods /var/lib/kubelet/device-plugins /var/lib/kubelet \
    /var/lib/cni/{results,cache/results,cache,networks,} 2>/dev/null || true
}

remove_cgroups() {
  find /sys/fs/cgroup -maxdepth 2 -name kubepods -type d 2>/dev/null | while read -r dir; do
    find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
}

traces() { # is there anything of a cluster on this host?
  [ -d "$RUN" ] || [ -n "$(box_pids)" ] || link_exists "$NODE_BRIDGE" || link_exists "$POD_BRIDGE" ||
    second_left || [ -n "$(mounts_below "$BOX")" ] || iptables-save 2>/dev/null | grep -q flowrun-box
}

sweep() {
  traces || return 0
  local state
  state=$(owner) || state=$BOX
  BOX=$state remove_second
  stop_control_plane
  stop_pods
  stop_runtime
  unmount_all "$RUN" "$state" "$BOX"
  network_down
  remove_files "$state"
  [ "$state" = "$BOX" ] || remove_files "$BOX"
  remove_cgroups
  for state in "$state" "$BOX"; do
    rm -rf "$state"/containerd/io.containerd.grpc.v1.cri "$state"/containerd/io.containerd.runtime.v2.task
  done
}
