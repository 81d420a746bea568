# shellcheck shell=bash
# Bridges, iptables rules and kernel settings, up and down. Needs env.sh.

save_sysctls() { # once per boot: the values from before the cluster
  # shellcheck disable=SC2086  # a list of names
  [ -f "$RUN/sysctl.before" ] || sysctl -e $SYSCTLS >"$RUN/sysctl.before" 2>/dev/null || true
}

restore_sysctls() {
  [ -f "$RUN/sysctl.before" ] || return 0
  sysctl -q -e -p "$RUN/sysctl.before" >/dev/null 2>&1 || true
}

# A connect to a ClusterIP that kube-proxy has not programmed must fail at once. Without this rule it leaves the
# host, and some networks accept connections to any address: a program would wait for ever on a Service without pods.
unprogrammed() { echo "-d $SERVICE_CIDR -p tcp -m comment --comment flowrun-box -j REJECT --reject-with tcp-reset"; }

# One rule for the whole pod network instead of the bridge plugin's ipMasq, which adds a chain per pod (slower, and
# left behind by a crash).
masquerade() { echo "-s $CLUSTER_CIDR ! -d $CLUSTER_CIDR -m comment --comment flowrun-box -j MASQUERADE"; }

network_up() {
  save_sysctls
  sysctl -q -w net.ipv4.ip_forward=1
  # Pods share one bridge: without this, answers of a Service's pod would not be translated back.
  modprobe br_netfilter 2>/dev/null || true
  sysctl -q -e -w net.bridge.bridge-nf-call-iptables=1 || true
  [ "$(cat /proc/sys/fs/inotify/max_user_instances)" -ge 1024 ] || sysctl -q -w fs.inotify.max_user_instances=1024
  # A bridge without ports carries the node's address: a dummy device is not in every kernel.
  ip link add "$NODE_BRIDGE" type bridge
  ip addr add "$NODE_IP/32" dev "$NODE_BRIDGE"
  ip link set "$NODE_BRIDGE" up
  local chain
  for chain in FORWARD OUTPUT; do
    # shellcheck disable=SC2046  # split into words on purpose
    iptables -w 5 -I "$chain" 1 $(unprogrammed)
  done
  # Hosts with Docker or a firewall drop forwarded packets by policy.
  iptables -w 5 -A FORWARD -s "$CLUSTER_CIDR" -m comment --comment flowrun-box -j ACCEPT
  iptables -w 5 -A FORWARD -d "$CLUSTER_CIDR" -m comment --comment flowrun-box -j ACCEPT
  # shellcheck disable=SC2046
  iptables -w 5 -t nat -A POSTROUTING $(masquerade)
}

link_exists() { ip link show dev "$1" >/dev/null 2>&1; }

# Prints an iptables-restore script that removes, from one saved table, the chains of Kubernetes and every rule
# that jumps to them or bears our mark; all other rules stay as they are.
removal_script() {
  awk '
    /^\*/ { table = $0; print; next }
    /^:(KUBE-|CNI-)/ { name = substr($1, 2); chains[name] = 1; flush = flush "-F " name "\n"; drop = drop "-X " name "\n"; next }
    /^-A (KUBE-|CNI-)/ { next }
    /^-A / && (/-j (KUBE-|CNI-)/ || /--comment "?flowrun-box"?( |$)/) { sub(/^-A/, "-D"); print; next }
    /^COMMIT/ { printf "%s%s%s\n", flush, drop, $0; flush = drop = "" }
  '
}

iptables_clean() {
  local tool table
  for tool in iptables ip6tables; do
    have "$tool-save" || continue
    for table in mangle nat filter raw; do
      "$tool-save" -t "$table" 2>/dev/null | grep -qE 'KUBE-|CNI-|flowrun-box' || continue
      "$tool-save" -t "$table" | removal_script | "$tool-restore" -w 5 --noflush ||
        warn "could not remove all $tool rules of table $table"
    done
  done
}

network_down() {
  local port bridge
  for bridge in "$POD_BRIDGE" "$NODE_BRIDGE"; do
    link_exists "$bridge" || continue
    for port in $(ip -o link show master "$bridge" | awk -F'[ :@]+' '{ print $2 }'); do
      ip link del "$port" 2>/dev/null || true
    done
    ip link del "$bridge" || warn "could not remove the bridge $bridge"
  done
  iptables_clean
  have conntrack && conntrack -D -d "$SERVICE_CIDR" >/dev/null 2>&1 || true
  restore_sysctls
}
