# shellcheck shell=bash
# Debian packages that the bundled cluster and its image builds need. Needs common.sh.

BOX_PACKAGES="containerd runc containernetworking-plugins iptables conntrack ipset ethtool iproute2 socat openssl procps util-linux"
BUILD_PACKAGES="buildah debootstrap gcc libc6-dev python3"

ensure_packages() { # names...: installs the missing ones
  local missing=() p
  for p in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "these packages are missing: ${missing[*]}" "as root: apt-get install ${missing[*]}"
  have apt-get || die "these programs are missing: ${missing[*]}" "this machine has no apt-get: install them, or use Docker or an existing cluster"
  say "installing packages: ${missing[*]}"
  mkdir -p "$LOCAL/log"
  export DEBIAN_FRONTEND=noninteractive
  # The package lists may be absent or old: refresh them only when the first try fails.
  apt-get install -y --no-install-recommends "${missing[@]}" >"$LOCAL/log/apt.log" 2>&1 </dev/null && return 0
  quietly "$LOCAL/log/apt.log" apt-get update
  quietly "$LOCAL/log/apt.log" apt-get install -y --no-install-recommends "${missing[@]}"
}
