# shellcheck shell=bash
# Paths, messages and small helpers that every script here uses. Source it, don't run it.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
DEV=$ROOT/dev
PATH=$PATH:/usr/sbin:/sbin # a plain `su` leaves them out
LOCAL=$ROOT/.local
CACHE=${FLOWRUN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/flowrun}
export FLOWRUN_T0=${FLOWRUN_T0:-$EPOCHREALTIME} # shared with child scripts, so that all of them count from one start

elapsed() { # seconds since the command the user typed, one decimal
  local ds=$(((${EPOCHREALTIME/./} - ${FLOWRUN_T0/./}) / 100000))
  printf '%d.%d' $((ds / 10)) $((ds % 10))
}

say() { printf '[%6ss] %s\n' "$(elapsed)" "$*" >&2; }
warn() { say "warning: $*"; }

die() { # first argument: the message; further ones: what the user can do, one per line
  printf '\nerror: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

content_hash() { # 12 hex digits over the content (not the paths) of the given files, in the given order
  local f
  for f in "$@"; do sha256sum <"$f"; done | sha256sum | cut -c1-12
}

docker_answers() { have docker && timeout 10 docker info >/dev/null 2>&1; }

show_log() { # path: last lines of a log on stderr, and where the rest is
  printf '\n--- last lines of %s\n' "$1" >&2
  tail -n "${2:-25}" "$1" >&2 2>/dev/null || true
  printf -- '---\n' >&2
}

quietly() { # log file, command...: output goes to the log; its tail is shown only when the command fails
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    show_log "$log"
    die "this command failed: $*" "the whole output: $log"
  fi
}
