# shellcheck shell=bash
# Image builds: with docker where it answers, else with buildah. Needs common.sh, packages.sh, box/base-image.sh.

STORE=$CACHE/containers # buildah's images and layers

choose_builder() { # sets BUILDER
  if docker_answers; then
    BUILDER=docker
  elif [ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ]; then
    BUILDER=buildah
    ensure_packages buildah python3
    choose_storage_driver
  else
    die "no way to build images: Docker does not answer" "start Docker, or run as root on Debian or Ubuntu (then buildah is used)"
  fi
}

choose_storage_driver() { # overlay is much faster; some kernels and file systems don't allow it
  mkdir -p "$STORE"
  if [ ! -s "$STORE/driver" ]; then
    if STORAGE_DRIVER=overlay buildah_ images >/dev/null 2>&1; then echo overlay; else echo vfs; fi >"$STORE/driver"
  fi
  STORAGE_DRIVER=$(cat "$STORE/driver")
  export STORAGE_DRIVER
  printf '{"default": [{"type": "insecureAcceptAnything"}]}' >"$STORE/policy.json"
}

buildah_() {
  local command=$1
  shift
  # The runroot is below /run: what it holds must not survive a reboot.
  case $command in bud | push) set -- --signature-policy "$STORE/policy.json" "$@" ;; esac
  BUILDAH_ISOLATION=chroot nice buildah --root "$STORE/storage" --runroot /run/flowrun-buildah "$command" "$@"
}

builder_clean() { # the overlay driver leaves a mount of its own folder
  [ "${BUILDER:-}" = buildah ] || return 0
  local mount
  awk -v d="$STORE/storage" 'index($5, d "/") == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r mount; do
    umount "$mount" 2>/dev/null || true
  done
  rm -rf --one-file-system /run/flowrun-buildah
}

quoted() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

# What pip needs of this host: index settings, proxies, CA bundle; as files that the build mounts and forgets.
write_build_secrets() { # folder
  local name ca="" conf
  : >"$1/ca"
  : >"$1/pip"
  chmod 600 "$1/pip"
  for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT PIP_RETRIES \
    HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
    [ -z "${!name:-}" ] || echo "export $name=$(quoted "${!name}")" >>"$1/pip"
  done
  for conf in "${PIP_CONFIG_FILE:-}" "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf" /etc/pip.conf; do
    [ -f "$conf" ] || continue
    # The build writes it to its own /tmp for the time of the step: one secret less to mount.
    printf "printf '%%s\\\\n' %s > /tmp/.pip.conf\n" "$(quoted "$(cat "$conf")")" >>"$1/pip"
    printf "export PIP_CONFIG_FILE=/tmp/.pip.conf\ntrap 'rm -f /tmp/.pip.conf' EXIT\n" >>"$1/pip"
    ca=$(sed -n 's/^ *cert *= *//p' "$conf" | head -1)
    break
  done
  ca=${PIP_CERT:-${REQUESTS_CA_BUNDLE:-${SSL_CERT_FILE:-$ca}}}
  [ ! -f "$ca" ] || { cat "$ca" >"$1/ca" && echo "export PIP_CERT=/run/secrets/ca" >>"$1/pip"; }
  echo "export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore" >>"$1/pip"
}

# The build context: sources only, with one fixed time for all files, since buildah's layer cache looks at times (a
# fresh clone would reinstall everything).
make_context() { # folder
  local dir
  for dir in requirements api operator runner_plugin examples benchmarks; do
    mkdir -p "$1/$dir"
    [ ! -d "$ROOT/$dir" ] || (cd "$ROOT" && find "$dir" -name __pycache__ -prune -o -name '*.egg-info' -prune -o -type f -print0 |
      tar --null -T - --mtime=@1577836800 --mode=u+rw,go+r-w -cf - | tar -C "$1" -xf -)
  done
  find "$1" -type d -exec chmod 755 {} + -exec touch -d @1577836800 {} +
}

build_image() { # name, tag, work folder with context and secrets, more arguments of docker and buildah...; sets IMAGE_ID
  local name=$1 tag=$2 work=$3
  shift 3
  local log=$LOCAL/log/image-${tag##*/}.log
  local args=(-t "$tag" -f "$ROOT/images/$name/Dockerfile" --secret "id=pip,src=$work/pip" --secret "id=ca,src=$work/ca" "$@")
  if [ "$BUILDER" = docker ]; then
    DOCKER_BUILDKIT=1 quietly "$log" docker build "${args[@]}" "$work/context"
    IMAGE_ID=$(docker image inspect -f '{{.Id}}' "$tag")
  else
    quietly "$log" buildah_ bud --layers --format oci --pull-never "${args[@]}" "$work/context"
    IMAGE_ID=$(buildah_ inspect --type image --format '{{.FromImageID}}' "$tag")
  fi
}
