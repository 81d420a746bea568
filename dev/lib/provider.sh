# shellcheck shell=bash
# Which cluster this checkout works with: kind, box (bundled, dev/box) or existing. Needs common.sh.

CHOICES=(
  "start Docker, then run this again (a kind cluster is made), or"
  "KUBECONFIG=/path/to/kubeconfig make cluster-up   (an existing cluster; images go to IMAGE_REGISTRY), or"
  "run it as root on Debian or Ubuntu (the bundled single-node cluster)"
)

users_kubeconfig() { # prints the user's own KUBECONFIG; fails when unset or when it is the file we wrote
  [ -n "${KUBECONFIG:-}" ] || return 1
  [ "$(realpath -m "$KUBECONFIG")" != "$(realpath -m "$LOCAL/kubeconfig")" ] || return 1
  printf '%s\n' "$KUBECONFIG"
}

recorded_provider() { cat "$LOCAL/provider" 2>/dev/null; }

choose_provider() { # prints kind, box or existing
  case "${FLOWRUN_CLUSTER:-}" in
    kind | box | existing) printf '%s\n' "$FLOWRUN_CLUSTER" && return ;;
    "") ;;
    *) die "FLOWRUN_CLUSTER=$FLOWRUN_CLUSTER is not known" "choose kind, box or existing" ;;
  esac
  if users_kubeconfig >/dev/null; then
    echo existing
  elif recorded_provider; then
    return
  elif docker_answers; then
    echo kind
  elif [ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ] && have apt-get; then
    echo box
  elif [ "$(uname -s)" = Linux ] && have apt-get; then
    die "no cluster to use: Docker does not answer, KUBECONFIG is not set, and the bundled cluster needs root." "${CHOICES[@]}"
  else
    die "no cluster to use: Docker does not answer and KUBECONFIG is not set." "${CHOICES[@]}"
  fi
}

record_provider() { # name
  mkdir -p "$LOCAL"
  printf '%s\n' "$1" >"$LOCAL/provider"
}
