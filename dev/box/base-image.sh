# shellcheck shell=bash
# A base image with Python made from Debian packages, for hosts where no image registry answers. Needs lib/builder.sh.
#
# It stands in for python:3.11-slim: same distribution and Python version.

SUITE=bookworm
BASE_PACKAGES=python3,python3-venv,ca-certificates,tzdata,netbase

debian_mirror() { # the host's own mirror where the host is Debian; empty: debootstrap's default
  if [ -n "${DEBIAN_MIRROR:-}" ]; then
    echo "$DEBIAN_MIRROR"
  elif grep -qs '^ID=debian' /etc/os-release; then
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
      grep -oE 'https?://[^ ]+/debian/?( |$)' | head -1 | tr -d ' ' || true
  fi
}

make_rootfs() { # folder
  local mirror
  mirror=$(debian_mirror)
  # shellcheck disable=SC2086  # no mirror: no argument
  quietly "$CACHE/log/debootstrap.log" debootstrap --variant=minbase --include="$BASE_PACKAGES" "$SUITE" "$1" $mirror
  rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/* "$1"/usr/share/{doc,man,info,locale}/* "$1"/tmp/*
  # debootstrap copies these from the host
  : >"$1/etc/resolv.conf"
  echo localhost >"$1/etc/hostname"
}

local_base() { # sets BASE_IMAGE, building the image when the store has none
  BASE_IMAGE=localhost/flowrun-base:$(content_hash "$DEV/box/base-image.sh")
  ! buildah_ inspect --type image "$BASE_IMAGE" >/dev/null 2>&1 || return 0
  ensure_packages debootstrap
  ! grep -qs '^ID=ubuntu' /etc/os-release || ensure_packages debian-archive-keyring
  say "making the base image from Debian packages (about a minute, once per machine)"
  local work
  work=$(mktemp -d "$CACHE/.base.XXXXXX")
  make_rootfs "$work/rootfs"
  tar -C "$work/rootfs" --numeric-owner --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -cf "$work/rootfs.tar" .
  printf 'FROM scratch\nADD rootfs.tar /\nENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8\n' >"$work/Dockerfile"
  quietly "$CACHE/log/base-image.log" buildah_ bud -t "$BASE_IMAGE" "$work"
  rm -rf --one-file-system "$work"
}
