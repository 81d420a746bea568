# shellcheck shell=bash
# Start, find and stop the cluster's processes. Needs env.sh.
#
# Every process gets FLOWRUN_BOX_PROCESS=NAME in its environment (containerd hands it on to its shims), so that
# all of them are found again even when the pid files are gone. Processes inside pods don't have it: those are
# found by their cgroup.

start() { # name, command...
  local name=$1
  shift
  # An empty environment: proxy variables and the like of the user's shell must not reach the components.
  # 9 is the lock of up.sh: a component that inherited it would hold it for ever.
  (
    ulimit -n 1048576 2>/dev/null || true
    exec setsid env -i PATH="$PATH" HOME="$BOX" FLOWRUN_BOX_PROCESS="$PREFIX$name" "${ENTER[@]}" "$@" >"$LOGS/$name.log" 2>&1 </dev/null 9>&-
  ) &
  echo $! >"$RUN/$name.pid"
}

is_alive() { # name: the pid file's process exists and is that component
  local pid
  pid=$(cat "$RUN/$1.pid" 2>/dev/null) && grep -qzsx "FLOWRUN_BOX_PROCESS=$PREFIX$1" "/proc/$pid/environ"
}

first_dead() { # prints the first component that should run but doesn't; fails when all do
  local name
  for name in $COMPONENTS; do
    [ -f "$RUN/$name.pid" ] || continue
    is_alive "$name" || { echo "$name" && return 0; }
  done
  return 1
}

fail_with_log() { # name, message
  show_log "$LOGS/$1.log"
  die "$2" "log: $LOGS/$1.log" "all logs: $LOGS"
}

wait_for() { # seconds, component whose log matters, description, command...
  local limit=$1 name=$2 what=$3 end dead
  shift 3
  end=$((SECONDS + limit))
  until "$@" >/dev/null 2>&1; do
    if dead=$(first_dead); then fail_with_log "$dead" "$dead ended while waiting for: $what"; fi
    [ $SECONDS -lt $end ] || fail_with_log "$name" "after $limit s still waiting for: $what"
    sleep 0.2
  done
}

box_pids() { # [name]: pids of our processes
  grep -lzsE "^FLOWRUN_BOX_PROCESS=${1:-}" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 || true
}

pod_pids() { # pids inside pods; only the top-level kubepods of this host, not that of a kind node
  find /sys/fs/cgroup -maxdepth 2 -name kubepods -type d 2>/dev/null |
    while read -r dir; do find "$dir" -name cgroup.procs -exec cat {} + 2>/dev/null; done | sort -u
}

gone() { # pids...: none of them exists any more (a zombie counts as gone)
  local pid
  for pid in "$@"; do
    [ ! -e "/proc/$pid" ] || grep -qs '^State:.[ZX]' "/proc/$pid/status" || return 1
  done
}

stop_pids() { # seconds of grace, pids...: SIGTERM, then SIGKILL (grace 0: SIGKILL at once)
  local grace=$1 i
  shift
  [ $# -gt 0 ] || return 0
  if [ "$grace" != 0 ]; then
    kill "$@" 2>/dev/null || true
    for ((i = 0; i < grace * 20; i++)); do
      ! gone "$@" || return 0
      sleep 0.05
    done
  fi
  kill -KILL "$@" 2>/dev/null || true
  for ((i = 0; i < 100; i++)); do
    ! gone "$@" || return 0
    sleep 0.05
  done
  warn "these processes did not end: $*"
}
