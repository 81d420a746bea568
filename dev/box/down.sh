#!/usr/bin/env bash
# Stops the bundled cluster and removes its traces from the host. Keeps containerd's images and the logs in .local/box.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in lib/common box/env box/process box/network box/second box/sweep; do
  # shellcheck source=/dev/null
  . "$here/../$part.sh"
done

[ "$(id -u)" = 0 ] || die "the bundled cluster needs root"
exec 9>/run/lock/flowrun-box.lock
flock -w 300 9 || die "another cluster-up or cluster-down holds /run/lock/flowrun-box.lock"
other=$(owner) || other=$BOX
if [ "$other" != "$BOX" ] && [ "${1:-}" != --any ]; then
  say "the running cluster belongs to another checkout, it is left alone: ${other%/.local/box}"
elif traces; then
  say "stopping the bundled cluster"
  sweep
  say "cluster is down"
else
  say "no bundled cluster runs"
fi
