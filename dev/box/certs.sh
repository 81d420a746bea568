# shellcheck shell=bash
# One CA, a certificate per component, kubeconfig files. Made new at every start: nothing expires. Needs env.sh.

ecdsa=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)

certificate() { # name, subject, subjectAltName
  openssl req "${ecdsa[@]}" -keyout "$CERTS/$1.key" -out "$CERTS/$1.csr" -subj "$2"
  openssl x509 -req -in "$CERTS/$1.csr" -CA "$CERTS/ca.crt" -CAkey "$CERTS/ca.key" -CAcreateserial \
    -out "$CERTS/$1.crt" -days 365 -extfile <(echo "subjectAltName=${3:-DNS:$1}")
}

kubeconfig() { # name
  cat >"$CERTS/$1.kubeconfig" <<EOF
apiVersion: v1
kind: Config
clusters: [{name: flowrun-box, cluster: {server: "$API", certificate-authority-data: $(base64 -w0 "$CERTS/ca.crt")}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$CERTS/$1.crt"), client-key-data: $(base64 -w0 "$CERTS/$1.key")}}]
contexts: [{name: flowrun-box, context: {cluster: flowrun-box, user: $1}}]
current-context: flowrun-box
EOF
}

make_certs() {
  rm -rf "$CERTS"
  mkdir -p "$CERTS"
  chmod 700 "$CERTS"
  {
    openssl req -x509 "${ecdsa[@]}" -keyout "$CERTS/ca.key" -out "$CERTS/ca.crt" -days 365 -subj /CN=flowrun-box-ca
    local svc=kubernetes.default
    certificate kube-apiserver /CN=kube-apiserver \
      "IP:127.0.0.1,IP:$NODE_IP,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:$svc,DNS:$svc.svc,DNS:$svc.svc.cluster.local"
    certificate admin /O=system:masters/CN=admin
    certificate kube-controller-manager /CN=system:kube-controller-manager
    certificate kube-scheduler /CN=system:kube-scheduler
    certificate kubelet "/O=system:nodes/CN=system:node:$NODE"
    certificate kube-proxy /CN=system:kube-proxy
    openssl ecparam -genkey -name prime256v1 -noout -out "$CERTS/sa.key"
    openssl ec -in "$CERTS/sa.key" -pubout -out "$CERTS/sa.pub"
  } >"$LOGS/certs.log" 2>&1 || fail_with_log certs "making the certificates failed"
  local name
  for name in admin kube-controller-manager kube-scheduler kubelet kube-proxy; do kubeconfig "$name"; done
  install -m 600 "$CERTS/admin.kubeconfig" "$LOCAL/kubeconfig"
}
