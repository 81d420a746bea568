#!/usr/bin/env bash
# A second node of the bundled cluster that runs on this host, for tests of node loss.
#
# usage: dev/box/second-node.sh up [IMAGE...]   start it, or find it running; images of the first node to have there
#        dev/box/second-node.sh cut             a partition: nothing reaches it, what runs there runs on
#        dev/box/second-node.sh heal            end the partition
#        dev/box/second-node.sh down            remove it
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in lib/common box/env box/process box/network box/certs box/config box/components box/second box/sweep; do
  # shellcheck source=/dev/null
  . "$here/../$part.sh"
done

join_running_cluster() { # whichever checkout has started it
  local state
  state=$(owner) && KUBEBOX=$(cat "$RUN/kubebox") && kc_answers "$state" || die "no bundled cluster runs on this host" "make cluster-up"
  BOX=$state LOGS=$state/log CERTS=$state/certs
}
kc_answers() { CERTS=$1/certs BOX=$1 kc get --raw=/readyz --request-timeout 5s >/dev/null 2>&1; }

up() { # images...
  if second_whole; then
    ip link set "$SECOND_LINK" up
    as_second copy_images "$@"
  else
    down
    second_network_up
    second_cgroups_up
    as_second start_second "$CERTS" "$@"
  fi
  as_second wait_for 60 kubelet "the second node to be Ready" second_ready
  say "the second node is Ready: $SECOND"
}

down() {
  remove_second
  # With nobody there to end them, pods would stay for minutes.
  kc delete node "$SECOND" --ignore-not-found --timeout 20s >/dev/null
  kc delete pods -A --field-selector "spec.nodeName=$SECOND" --force --grace-period 0 --timeout 20s >/dev/null 2>&1 ||
    warn "some pods of the second node could not be removed"
}

link() { # up | down
  link_exists "$SECOND_LINK" || die "there is no second node" "dev/box/second-node.sh up"
  ip link set "$SECOND_LINK" "$1"
}

[ "$(id -u)" = 0 ] || die "the second node needs root"
exec 9>/run/lock/flowrun-box.lock
flock -w 300 9 || die "another script holds /run/lock/flowrun-box.lock"
join_running_cluster
case ${1:-} in
  up) shift && up "$@" ;;
  cut) link down ;;
  heal) link up ;;
  down) down ;;
  *) die "usage: dev/box/second-node.sh up [IMAGE...] | cut | heal | down" ;;
esac
