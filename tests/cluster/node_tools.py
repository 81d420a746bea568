"""What tests do to processes from the node (nothing in a container can kill its PID 1), and to the operator.

Where the node's processes are not this host's, these tests are skipped.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster_tools import Cluster, Raw

_OPERATOR = "app.kubernetes.io/component=operator"


def processes(command: bytes, variable: str) -> Iterator[int]:
    """Yield the pids of this host's processes with a command line and an environment that contain these."""
    for process in sorted(Path("/proc").iterdir()):
        if not process.name.isdecimal():
            continue
        try:
            found = command in (process / "cmdline").read_bytes()
            found = found and variable.encode() in (process / "environ").read_bytes()
        except OSError:  # ended meanwhile
            continue
        if found:
            yield int(process.name)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # went with the one before
            os.kill(pid, number)


def kill_driver(uid: str, *, wanted: bool = True) -> bool:
    """SIGKILL the driver processes of a run; return whether there were any.

    Args:
        uid: The FlowRun's, by which the processes are found in their environment.
        wanted: Skip the test if there are none.
    """
    pids = list(processes(b"prefect_flowrun.driver", f"FLOWRUN_UID={uid}"))
    if not pids and wanted:
        pytest.skip("the node's processes can't be reached from here")
    _signal(pids, signal.SIGKILL)
    return bool(pids)


def driver_attempts(uid: str) -> set[int]:
    """Return the attempts of a run of which a driver's process lives on this host."""
    found = set()
    for pid in processes(b"prefect_flowrun.driver", f"FLOWRUN_UID={uid}"):
        with contextlib.suppress(OSError):  # ended meanwhile
            values = (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0")
            found |= {int(value.partition(b"=")[2]) for value in values if value.startswith(b"FLOWRUN_ATTEMPT=")}
    return found


@dataclass
class Operator:
    """The installed operator: how many there are, which one leads, and signals to its process."""

    release: Cluster

    def scale(self, replicas: int) -> None:
        """Have so many operators, ready and no others."""
        name = self.release.list("deployments", _OPERATOR)[0]["metadata"]["name"]
        self.release.kubectl("scale", "deployment", name, f"--replicas={replicas}")
        self.release.kubectl("rollout", "status", f"deployment/{name}", "--timeout=90s")
        self.release.wait_for(lambda: len(self.pods()) == replicas, 60, f"{replicas} operators")

    def pods(self) -> list[Raw]:
        return self.release.pods(_OPERATOR)

    def ready(self) -> list[str]:
        """Return the names of the operators that are ready and not being deleted."""

        def is_ready(pod: Raw) -> bool:
            conditions = pod["status"].get("conditions", [])
            there = "deletionTimestamp" not in pod["metadata"]
            return there and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

        return [pod["metadata"]["name"] for pod in self.pods() if is_ready(pod)]

    def restarts(self, pod: str) -> int:
        """Return how often the container of an operator's pod was started again."""
        statuses = [p["status"].get("containerStatuses", []) for p in self.pods() if p["metadata"]["name"] == pod]
        return sum(int(status["restartCount"]) for of_pod in statuses for status in of_pod)

    def lease(self) -> Raw:
        leases = self.release.list("leases.coordination.k8s.io")
        spec: Raw = leases[0]["spec"] if leases else {}
        return spec

    def leader(self) -> str:
        """Return the name of the pod that holds the Lease; empty if nobody does."""
        return str(self.lease().get("holderIdentity") or "")

    def send(self, pod: str, number: signal.Signals) -> bool:
        """Send a signal to an operator's process; return whether it has one."""
        pids = list(processes(b"flowrun-operator", f"FLOWRUN_OPERATOR_IDENTITY={pod}"))
        _signal(pids, number)
        return bool(pids)

    def remove(self, pod: str) -> None:
        """Delete an operator's pod at once; its Deployment makes another."""
        self.release.kubectl("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false", check=False)
