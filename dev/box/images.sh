# shellcheck shell=bash
# The two images that the cluster itself needs, as archives in the cache: pause and CoreDNS. Needs gobuild.sh, env.sh.
#
# Each holds one static program, so its image is put together here without any image tool.

single_file_image() { # image name, program, archive to write
  local name=$1 program=$2 archive=$3 dir layer config manifest
  dir=$(mktemp -d "$CACHE/.image.XXXXXX")
  mkdir -p "$dir/root" "$dir/out/blobs/sha256"
  install -m 755 "$program" "$dir/root/${program##*/}"
  mv "$dir/root/${program##*/}" "$dir/root/run"
  tar -C "$dir/root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$dir/layer" run
  put_blob() { # file -> prints digest
    local digest
    digest=$(sha256sum <"$1" | cut -d' ' -f1)
    mv "$1" "$dir/out/blobs/sha256/$digest"
    echo "$digest"
  }
  size_of() { stat -c %s "$dir/out/blobs/sha256/$1"; }
  layer=$(put_blob "$dir/layer")
  printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/run"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(go_arch)" "$layer" >"$dir/config"
  config=$(put_blob "$dir/config")
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%s}]}' \
    "$config" "$(size_of "$config")" "$layer" "$(size_of "$layer")" >"$dir/manifest"
  manifest=$(put_blob "$dir/manifest")
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"io.containerd.image.name":"%s"}}]}' \
    "$manifest" "$(size_of "$manifest")" "$name" >"$dir/out/index.json"
  printf '{"imageLayoutVersion":"1.0.0"}' >"$dir/out/oci-layout"
  tar -C "$dir/out" -cf "$archive.part" oci-layout index.json blobs
  mv "$archive.part" "$archive"
  rm -rf "$dir"
}

go_arch() {
  case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; *) uname -m ;; esac
}

build_box_images() { # sets PAUSE_TAR and COREDNS_TAR
  mkdir -p "$CACHE/bin" "$CACHE/images"
  PAUSE_TAR=$CACHE/images/pause-$(content_hash "$DEV/box/pause.c" "$DEV/box/images.sh").tar
  if [ ! -f "$PAUSE_TAR" ]; then
    ensure_packages gcc libc6-dev
    gcc -static -Os -s -o "$CACHE/bin/pause" "$DEV/box/pause.c"
    single_file_image "$PAUSE_IMAGE" "$CACHE/bin/pause" "$PAUSE_TAR"
  fi
  build_module coredns "$DEV/box/coredns" ""
  COREDNS_TAR=$CACHE/images/coredns-$(printf '%s' "$BUILT" "$(content_hash "$DEV/box/images.sh")" | sha256sum | cut -c1-12).tar
  [ -f "$COREDNS_TAR" ] || single_file_image "$COREDNS_IMAGE" "$BUILT" "$COREDNS_TAR"
}

import_box_images() { # into the running containerd, unless these very archives were imported before
  local want
  want="$PAUSE_TAR $COREDNS_TAR"
  if [ "$(cat "$BOX/imported" 2>/dev/null)" = "$want" ] &&
    [ "$(ctr_ images ls -q | grep -cxe "$PAUSE_IMAGE" -e "$COREDNS_IMAGE")" = 2 ]; then return 0; fi
  ctr_ images import "$PAUSE_TAR" >>"$LOGS/import.log" 2>&1 && ctr_ images import "$COREDNS_TAR" >>"$LOGS/import.log" 2>&1 ||
    fail_with_log import "containerd did not take the images of the cluster"
  printf '%s\n' "$want" >"$BOX/imported"
}
