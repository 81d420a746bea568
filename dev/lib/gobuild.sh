# shellcheck shell=bash
# Go programs, built once per machine into $CACHE/bin. Needs common.sh.
#
# Every file name carries a hash of what went in: a running binary is never overwritten, and another checkout
# with the same inputs finds it.

GO_NEEDED=1.24

need_go() {
  have go || die "Go $GO_NEEDED or newer is needed to build the cluster's programs, and there is no 'go' command." \
    "install it: 'apt-get install golang' where that is new enough, else the tar file from https://go.dev/dl/"
  local v
  v=$(go env GOVERSION 2>/dev/null)
  v=${v#go}
  [ "$(printf '%s\n' "$GO_NEEDED" "$v" | sort -V | head -1)" = "$GO_NEEDED" ] ||
    die "Go $GO_NEEDED or newer is needed, found $v." "install it from https://go.dev/dl/ and put it first in PATH"
}

with_progress() { # name, log, command...: says every 20 s how many packages are compiled (go -v prints one per line)
  local name=$1 log=$2 pid ticks=0
  shift 2
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.5
    ticks=$((ticks + 1))
    [ $((ticks % 40)) -ne 0 ] || say "  $name: $(grep -cv 'downloading' "$log" || true) packages compiled"
  done
  if ! wait "$pid"; then
    show_log "$log"
    die "building $name failed" "the whole output: $log"
  fi
}

build_module() { # name, folder, ldflags -> sets BUILT to the binary's path
  local name=$1 dir=$2 ldflags=$3
  local hash
  hash=$( (content_hash "$dir"/go.mod "$dir"/go.sum "$dir"/*.go && printf '%s' "$ldflags") | sha256sum | cut -c1-12)
  BUILT=$CACHE/bin/$name-$hash
  [ ! -x "$BUILT" ] || return 0
  need_go
  say "building $name (once per machine; minutes when cold)"
  mkdir -p "$CACHE/bin"
  with_progress "$name" "$CACHE/log/build-$name.log" \
    env -C "$dir" CGO_ENABLED=0 GOFLAGS=-buildvcs=false nice go build -v -trimpath -ldflags "-s -w $ldflags" -o "$BUILT.part" .
  mv "$BUILT.part" "$BUILT"
  say "built $name"
}

install_package() { # name, package path, version -> sets BUILT to the binary's path
  local name=$1 package=$2 version=$3
  BUILT=$CACHE/bin/$name-$version
  [ ! -x "$BUILT" ] || return 0
  need_go
  say "building $name $version (once per machine)"
  local bin=$CACHE/bin/.install-$name.$$
  mkdir -p "$bin"
  with_progress "$name" "$CACHE/log/build-$name.log" \
    env CGO_ENABLED=0 GOBIN="$bin" GOFLAGS=-buildvcs=false nice go install -v -trimpath -ldflags "-s -w ${4:-}" "$package@$version"
  mv "$bin/${package##*/}" "$BUILT"
  rmdir "$bin"
  say "built $name"
}

KUBERNETES=v1.34.4

build_kubebox() { # sets KUBEBOX
  local v=k8s.io/component-base/version
  build_module kubebox "$DEV/box/kubebox" \
    "-X $v.gitVersion=$KUBERNETES -X $v.gitMajor=1 -X $v.gitMinor=34 -X $v.gitTreeState=clean"
  KUBEBOX=$BUILT
}
