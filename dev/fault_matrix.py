"""Runs every test about a fault and writes docs/fault-matrix.md. Use `make fault-matrix`.

usage: fault_matrix.py [tests...]     default: unit, simulated and apiserver tests, and the cluster's if there is one

What was found is kept in .local/fault-matrix.json: after a run of some of the tests the page tells of the others too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "fault-matrix.md"
RECORDS = ROOT / ".local" / "fault-matrix.json"
# More than what `make test` tries: every fault at every point, and the long series on the cluster.
ALL = {
    "FLOWRUN_ALL_FAULTS": "1",
    "FLOWRUN_KILLS": "20",
    "FLOWRUN_KILL_RUNS": "20",
    "FLOWRUN_ORPHAN_RUNS": "100",
}
TIERS = {"unit": "unit", "simulated": "simulated API", "apiserver": "API server", "cluster": "cluster"}


class Row(NamedTuple):
    """A fault, where it is injected, and why it is not, where no test can."""

    fault: str
    injected_at: str
    reason: str = ""


ROWS = {
    "F01": Row(
        "operator killed after any write", "after every write of every scenario; at random moments on a cluster"
    ),
    "F02": Row("write arrives, its response is lost", "at every write of every scenario"),
    "F03": Row("operator restarted while a run is active", "running attempt; at random moments over many runs"),
    "F04": Row(
        "operator away while the run ends", "after every write, for 40 s; for half an hour; until the Job's TTL is over"
    ),
    "F05": Row(
        "two operators at once", "a second one that lags by half a second, without a Lease; killed and paused leaders"
    ),
    "F06": Row("stale list or watch", "at a restart after a write; a lagging watch from an event on"),
    "F07": Row("events lost or folded", "every watch event"),
    "F08": Row(
        "watch closes, 410 Gone, silent stream",
        "every watch event; a cut every 0.4 s; 410 on each watch; silence in F07",
    ),
    "F09": Row("nothing but bookmarks for minutes", "20 bookmarks on every watch, faster than a server sends them"),
    "F10": Row("409 on the status", "every write"),
    "F11": Row(
        "429, priority and fairness", "every write, with and without Retry-After; one of 1 s on every kind of write"
    ),
    "F12": Row("5xx and time-outs on each verb", "every write and read; each error on every kind of write"),
    "F13": Row("a right is missing, then restored", "every write; the operator's ClusterRole is edited"),
    "F14": Row("child deleted by hand", "each kind of child; a Job before any status tells of its attempt"),
    "F15": Row("an object with our name that is not ours", "before and after the run is created"),
    "F16": Row("quota, admission or Pod Security refuses a child", "Jobs and pods; real quotas on a cluster"),
    "F17": Row("admission webhook times out", "creation of workers"),
    "F18": Row("image can't be pulled, container can't start", "driver and workers"),
    "F19": Row("pods fit on no node", "driver and workers"),
    "F20": Row("driver killed, out of memory, ends without a result", "a running driver"),
    "F21": Row("node lost", "driver and workers on it; a real node cut off, and runs cancelled and deleted meanwhile"),
    "F22": Row("worker evicted or reclaimed", "a running worker"),
    "F23": Row("suspended or preempted in any state", "by `spec.suspend`, in each state"),
    "F24": Row(
        "cancelled in any state", "by `spec.cancel`, in Prefect and by Ctrl-C, in each state, and as the flow ends"
    ),
    "F25": Row("FlowRun or namespace deleted in any state", "in each state"),
    "F26": Row("spec edited while it runs", "immutable and mutable fields"),
    "F27": Row("clock skew", "the operator's clock, 5 minutes fast and slow"),
    "F28": Row("Prefect down or slow", "for the whole life of the run"),
    "F29": Row(
        "upgrade or downgrade with live runs",
        "what another version stored, taken over at every write; the CRD of a later version that comes and goes",
    ),
    "F30": Row("many or poisoned objects", "one poisoned run among 200"),
}


def main() -> int:
    """Run the tests, write the page; return 1 if a fault did harm."""
    tests = sys.argv[1:] or ["tests/unit/operator", "tests/simulated", "tests/apiserver", *_cluster()]
    records: list[dict[str, Any]] = []
    for test in tests:
        found = _run(test)
        # Read only now: another tier may have run meanwhile.
        known = json.loads(RECORDS.read_text()) if RECORDS.exists() else []
        records = [record for record in known if not record["test"].startswith(test)] + found
        RECORDS.parent.mkdir(exist_ok=True)
        RECORDS.write_text(json.dumps(records))
        PAGE.write_text(page(records))
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return int(any(record["outcome"] == "failed" for record in records))


def _cluster() -> list[str]:
    installed = os.environ.get("KUBECONFIG") or (ROOT / ".local" / "kubeconfig").exists()
    return ["tests/cluster"] if installed and not os.environ.get("SKIP_CLUSTER") else []


def _run(test: str) -> list[dict[str, Any]]:
    """Run one tier's tests; their output goes to the terminal."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "records.json")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "fault_matrix", f"--fault-matrix={file}", test]
        subprocess.run(command, cwd=ROOT, env={**ALL, **os.environ}, check=False)
        found = json.loads(file.read_text()) if file.exists() else []
    return [{**record, "when": _when()} for record in found]


def _when() -> str:
    """Return today's date and the commit."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return f"{datetime.now(UTC).date()} at {commit or 'an unknown commit'}"


def page(records: list[dict[str, Any]]) -> str:
    """Return the page."""
    by_id: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        by_id[record["id"]].append(record)
    lines = [
        _INTRODUCTION,
        *_tiers(records),
        "",
        "| id | fault | injected at | tries | result | time to clean |",
        "|---" * 6 + "|",
    ]
    for fault, row in ROWS.items():
        found = [record for record in by_id[fault] if record["outcome"] != "skipped"]
        cells = [fault, row.fault, row.injected_at, _tries(found), _result(found, row), _clean(found)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _tiers(records: list[dict[str, Any]]) -> list[str]:
    """Say of each tier when its tests ran."""
    whens = {tier: sorted({r["when"] for r in records if r["tier"] == tier}) for tier in TIERS}
    return [f"- {name}: {'; '.join(whens[tier]) or 'not run'}" for tier, name in TIERS.items()]


def _tries(found: list[dict[str, Any]]) -> str:
    sums: dict[str, int] = defaultdict(int)
    for record in found:
        sums[record["tier"]] += int(record["tries"])
    return ", ".join(f"{sums[tier]} {name}" for tier, name in TIERS.items() if tier in sums) or "–"


def _result(found: list[dict[str, Any]], row: Row) -> str:
    if not found:
        return f"not run: {row.reason}" if row.reason else "tested in a tier that this page was written without"
    failed = [record["test"] for record in found if record["outcome"] == "failed"]
    known = [str(record["why"]) for record in found if record["outcome"] == "known"]
    if failed:
        return f"**fails**: {'; '.join(failed)}"
    return f"holds, but: {'; '.join(known)}" if known else "holds"


def _clean(found: list[dict[str, Any]]) -> str:
    told = []
    for tier, unit in (("simulated", "s simulated"), ("apiserver", "s"), ("cluster", "s on a cluster")):
        times = [float(r["clean_s"]) for r in found if r["tier"] == tier and r["clean_s"] is not None]
        if times:
            told.append(f"{max(times):.1f} {unit}")
    return ", ".join(told) or "–"


_INTRODUCTION = """\
# Fault matrix

Written by `make fault-matrix`. Each row is a fault, what it was done to, how often, and whether all of this held:

| | |
|---|---|
| I1 | nothing of a run outlives it but its record and its log, and nothing at all when the record has gone |
| I2 | at most one live driver per attempt, and per run besides those that are being stopped |
| I3 | a result is written once and never changes |
| I4 | the end is that of the run without a fault, where the fault does not decide what comes first |
| I5 | no parameter, key or environment value in a status, an event, a log or an error |
| I6 | few writes: at most twice as many as without the fault, and 25 more; none at rest |

*Simulated API*: the operator's loop over an API server in memory, on a clock of its own; 36 scenarios (success,
failure, kills with and without retry, cancel, suspend and delete in each state, deadlines, quotas, all clusters).
*API server*: the real operator, a real API server without nodes and a proxy between them. *Cluster*: real pods.
*Time to clean* is the longest time from the result to the end of the last worker. In simulated time it counts the
operator's own waits and the time until a resync, not what a computer needs.

Besides these, random lives (a run with random deeds of its user and random faults at once) keep the same invariants.
On the cluster F01 and F03 are 20 kills of the operator while 20 runs and more live, and F24 and F25 are, beside single
cases, 100 runs that end in random ways: completed, failed, cancelled, deleted, suspended, driver killed; Dask, Ray, on
demand and elastic clusters.

When the tests ran:
"""


if __name__ == "__main__":
    sys.exit(main())
