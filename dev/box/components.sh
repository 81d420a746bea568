# shellcheck shell=bash
# Command lines of the components. Needs env.sh, process.sh; KUBEBOX is the multi-call binary.

start_etcd() {
  # Fresh at every start: objects of an earlier cluster would outlive their pods. No fsync: nothing here is kept.
  rm -rf "$BOX/etcd"
  start etcd "$KUBEBOX" etcd --data-dir "$BOX/etcd" --listen-client-urls http://127.0.0.1:2379 \
    --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 --unsafe-no-fsync --log-level warn
}

start_containerd() { start containerd containerd -c "$BOX/containerd.toml"; }

start_apiserver() {
  # Preferred address InternalIP: logs and exec would look up the node's name otherwise.
  start kube-apiserver "$KUBEBOX" kube-apiserver --etcd-servers http://127.0.0.1:2379 \
    --bind-address 0.0.0.0 --advertise-address "$NODE_IP" --secure-port 6443 --cert-dir "$CERTS" \
    --tls-cert-file "$CERTS/kube-apiserver.crt" --tls-private-key-file "$CERTS/kube-apiserver.key" \
    --client-ca-file "$CERTS/ca.crt" --service-account-issuer https://kubernetes.default.svc \
    --service-account-key-file "$CERTS/sa.pub" --service-account-signing-key-file "$CERTS/sa.key" \
    --service-cluster-ip-range "$SERVICE_CIDR" --authorization-mode Node,RBAC --allow-privileged \
    --kubelet-preferred-address-types InternalIP --kubelet-client-certificate "$CERTS/admin.crt" \
    --kubelet-client-key "$CERTS/admin.key" --enable-admission-plugins NodeRestriction \
    --audit-policy-file "$DEV/audit.yaml" --audit-log-path "$LOGS/audit.log" --audit-log-maxsize 500
}

start_controllers() {
  # The default limit of 20 requests/s would make garbage collection of many objects take minutes.
  start kube-controller-manager "$KUBEBOX" kube-controller-manager --kubeconfig "$CERTS/kube-controller-manager.kubeconfig" \
    --service-account-private-key-file "$CERTS/sa.key" --root-ca-file "$CERTS/ca.crt" --use-service-account-credentials \
    --leader-elect=false --cluster-cidr "$CLUSTER_CIDR" --cluster-signing-cert-file "$CERTS/ca.crt" \
    --cluster-signing-key-file "$CERTS/ca.key" --cert-dir "$CERTS" --bind-address 127.0.0.1 \
    --node-monitor-grace-period 20s --kube-api-qps 500 --kube-api-burst 1000 --concurrent-gc-syncs 20
  start kube-scheduler "$KUBEBOX" kube-scheduler --config "$BOX/kube-scheduler.yaml" --cert-dir "$CERTS" --bind-address 127.0.0.1
}

start_node() {
  start kubelet "$KUBEBOX" kubelet --config "$BOX/kubelet.yaml" --kubeconfig "$CERTS/kubelet.kubeconfig" \
    --hostname-override "$NODE" --node-ip "$NODE_IP" --root-dir "$BOX/kubelet" --cert-dir "$CERTS"
  start kube-proxy "$KUBEBOX" kube-proxy --config "$BOX/kube-proxy.yaml"
}
