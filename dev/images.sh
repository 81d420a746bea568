#!/usr/bin/env bash
# Builds images and brings them to the cluster.
#
# usage: dev/images.sh [NAME...]     default: operator runtime examples
# IMAGE_REGISTRY  push there, as IMAGE_REGISTRY/flowrun-NAME:IMAGE_TAG; needed for an existing cluster
# IMAGE_TAG       default: dev
# BASE_IMAGE      default: python:3.11-slim with docker; made from Debian packages with buildah
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in lib/common lib/gobuild lib/packages lib/provider lib/kind lib/builder lib/load box/env box/base-image; do
  # shellcheck source=/dev/null
  . "$here/$part.sh"
done

# An image NAME is images/NAME/Dockerfile. One that adds to another of ours stands here with it: its Dockerfile gets
# the other's stage "deps" as BASE and its finished image as PARENT.
declare -A PARENT=(
  [examples]=runtime
  [bench]=runtime
)
DEFAULT="operator runtime examples"

tag_of() { echo "${IMAGE_REGISTRY:-localhost}/flowrun-$1:${IMAGE_TAG:-dev}"; }

declare -A ids=()

build() { # name: builds it, and first what it adds to
  local name=$1 parent=${PARENT[$1]:-} args=()
  [ -z "${ids[$name]:-}" ] || return 0
  [ -f "$ROOT/images/$name/Dockerfile" ] || die "no such image: $name" "there are: $(cd "$ROOT/images" && echo */ | tr -d /)"
  [ -z "${BASE_IMAGE:-}" ] || args=(--build-arg "BASE=$BASE_IMAGE")
  if [ -n "$parent" ]; then
    build "$parent"
    build_image "$parent" "localhost/flowrun-$parent-deps:dev" "$work" "${args[@]}" --target deps # all in the layer cache
    args=(--build-arg "BASE=localhost/flowrun-$parent-deps:dev" --build-arg "PARENT=$(tag_of "$parent")")
  fi
  say "$name: building"
  build_image "$name" "$(tag_of "$name")" "$work" "${args[@]}"
  ids[$name]=$IMAGE_ID
}

mkdir -p "$LOCAL/log" "$LOCAL/images" "$CACHE"
provider=${IMAGE_REGISTRY:+existing}
provider=${provider:-$(choose_provider)}
[ "$provider" != existing ] || [ -n "${IMAGE_REGISTRY:-}" ] ||
  die "an existing cluster gets its images from a registry" "IMAGE_REGISTRY=registry.example.com/team make images"
exec 8>"$CACHE/images.lock"
flock -n 8 || { say "waiting for another image build on this machine" && flock 8; }
choose_builder
work=$(mktemp -d "$CACHE/.build.XXXXXX")
trap 'builder_clean; rm -rf --one-file-system "$work"' EXIT
mkdir "$work/context"
make_context "$work/context"
write_build_secrets "$work"
[ -n "${BASE_IMAGE:-}" ] || [ "$BUILDER" != buildah ] || local_base
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $DEFAULT
for name in "$@"; do
  build "$name"
  load_image "$provider" "$name" "$(tag_of "$name")" "${ids[$name]}"
  echo "${ids[$name]}" >"$LOCAL/images/$name.id" # dev/install.sh restarts the operator when it is another one
done
