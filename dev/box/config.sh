# shellcheck shell=bash
# Configuration files of the components. Needs env.sh.

write_containerd_config() { # [disabled plugin], given after a crash
  cat >"$BOX/containerd.toml" <<EOF
version = 2
root = "$BOX/containerd"
state = "$RUN/containerd"
disabled_plugins = [${1:+"\"$1\""}]
[grpc]
  address = "$RUN/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$BOX/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_IMAGE"
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE (a container, some VMs) every sandbox fails otherwise: "can't get final child's PID".
  restrict_oom_score_adj = true
  # Below our folder instead of /run/netns: all that a crash leaves is found in one place.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$BOX/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "$RUN/runc"
EOF
}

write_cni_config() {
  mkdir -p "$BOX/cni"
  cat >"$BOX/cni/10-box.conflist" <<EOF
{"cniVersion": "0.4.0", "name": "flowrun-$NODE", "plugins": [
  {"type": "bridge", "bridge": "$POD_BRIDGE", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$RUN/cni", "ranges": [[{"subnet": "$POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
EOF
}

write_kubelet_config() {
  # The node's resolver is not given to pods: names outside the cluster are not resolved (no registry is needed).
  echo "nameserver 127.0.0.1" >"$BOX/resolv.conf"
  cat >"$BOX/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: $CGROUP_ROOT
containerRuntimeEndpoint: unix://$RUN/containerd.sock
podLogsDir: $BOX/pod-logs
volumePluginDir: $BOX/volume-plugins
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $CERTS/ca.crt}}
authorization: {mode: Webhook}
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
maxPods: 250
enforceNodeAllocatable: []
evictionHard: {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"}
imageGCHighThresholdPercent: 100
resolvConf: $BOX/resolv.conf
syncFrequency: 10s
nodeStatusUpdateFrequency: 5s
registerWithTaints: [$TAINTS]
kubeAPIQPS: 200
kubeAPIBurst: 400
EOF
}

write_node_configs() {
  write_containerd_config ""
  write_cni_config
  write_kubelet_config
  cat >"$BOX/kube-proxy.yaml" <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $CERTS/kube-proxy.kubeconfig}
mode: iptables
clusterCIDR: $CLUSTER_CIDR
hostnameOverride: $NODE
conntrack: {maxPerCore: 0}
EOF
}

write_configs() {
  write_node_configs
  # The default client limit of the scheduler (50 pods/s) would be measured instead of the product.
  cat >"$BOX/kube-scheduler.yaml" <<EOF
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: $CERTS/kube-scheduler.kubeconfig, qps: 1000, burst: 2000}
EOF
}
