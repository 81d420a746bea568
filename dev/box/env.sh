# shellcheck shell=bash
# Names and addresses of the bundled cluster. Needs dev/lib/common.sh.

BOX=$LOCAL/box         # state of this checkout's cluster
RUN=/run/flowrun-box   # sockets, pids, mounts of the one cluster that this host can run
LOGS=$BOX/log
CERTS=$BOX/certs
NODE=box
NODE_BRIDGE=boxnode
POD_BRIDGE=boxpods
NODE_IP=10.200.0.1
POD_CIDR=10.244.0.0/24
CLUSTER_CIDR=10.244.0.0/16
SERVICE_CIDR=10.96.0.0/16
API=https://127.0.0.1:6443
# What the second node (second.sh) has otherwise: how its processes' names begin, what enters its network, and so on.
PREFIX=""
ENTER=()
CGROUP_ROOT=/
TAINTS=""
PORTS="6443 2379 2380 10248 10249 10250 10256 10257 10259"
COMPONENTS="etcd containerd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy"
PAUSE_IMAGE=localhost/flowrun-box-pause:1
COREDNS_IMAGE=localhost/flowrun-box-coredns:1
# Kernel settings that Kubernetes or we change; written down at start and put back by cluster-down.
SYSCTLS="net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.ipv4.conf.all.route_localnet fs.inotify.max_user_instances vm.overcommit_memory
  vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes
  net.netfilter.nf_conntrack_max net.netfilter.nf_conntrack_tcp_timeout_established
  net.netfilter.nf_conntrack_tcp_timeout_close_wait"

ctr_() { ctr -a "$RUN/containerd.sock" -n k8s.io "$@"; }

kc() { "$KUBEBOX" kubectl --kubeconfig "$CERTS/admin.kubeconfig" --cache-dir "$BOX/kubectl-cache" "$@"; }
