# shellcheck shell=bash
# Brings a built image to the cluster. Needs common.sh, builder.sh, box/env.sh.

load_image() { # provider, name, tag, image id
  local provider=$1 name=$2 tag=$3 id=$4
  case $provider in
    kind) quietly "$LOCAL/log/load-$name.log" "$(kind_command)" load docker-image "$tag" --name "$KIND_CLUSTER" ;;
    box) load_into_box "$name" "$tag" "$id" ;;
    existing) push_to_registry "$name" "$tag" ;;
  esac
}

load_into_box() { # name, tag, image id; exports to a folder below $work
  local name=$1 tag=$2 id=$3 seen=$BOX/loaded/$1
  [ -S "$RUN/containerd.sock" ] && [ "$(cat "$RUN/owner" 2>/dev/null)" = "$BOX" ] ||
    die "the cluster of this checkout does not run" "make cluster-up"
  mkdir -p "$BOX/loaded"
  if [ "$(cat "$seen" 2>/dev/null)" = "$id $(digest_in_box "$tag")" ]; then
    say "$name: the cluster has it already"
    return
  fi
  if [ "$BUILDER" = docker ]; then
    docker save "$tag" | ctr_ images import - >"$LOCAL/log/load-$name.log" 2>&1
  else
    # Not compressed: the layers' digests are then the same at every export, and known to containerd.
    quietly "$LOCAL/log/export-$name.log" buildah_ push --disable-compression "$tag" "dir:$work/$name"
    ctr_ content ls -q | nice python3 "$DEV/lib/oci_archive.py" "$work/$name" "$tag" |
      ctr_ images import - >"$LOCAL/log/load-$name.log" 2>&1
    rm -rf "${work:?}/$name"
  fi || { show_log "$LOCAL/log/load-$name.log" && die "containerd did not take the image $tag"; }
  echo "$id $(digest_in_box "$tag")" >"$seen"
  say "$name: loaded as $tag"
}

digest_in_box() { ctr_ images ls "name==$1" | awk 'NR == 2 { print $3 }'; }

push_to_registry() { # name, tag
  if [ "$BUILDER" = docker ]; then
    quietly "$LOCAL/log/push-$1.log" docker push "$2"
  else
    quietly "$LOCAL/log/push-$1.log" buildah_ push "$2"
  fi
  say "$1: pushed as $2"
}
