"""Scale-down: which worker pods go when there are more than wanted.

Those that have ended go first, before all others those that were told to leave; then those that do not run yet; then
the newest. Where the driver scales, it has told idle workers to leave before it lowered the number, and a running one
may hold a task: the operator then waits until pods end. At zero all go: nobody uses the cluster any more.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowrun_api.kinds.taskcluster import ScaleDown
from flowrun_operator.model import WorkerFacts


def surplus(workers: Sequence[WorkerFacts], wanted: int, mode: ScaleDown) -> tuple[WorkerFacts, ...]:
    """Return the worker pods to remove, by index.

    Args:
        workers: Every existing pod of the cluster, ended ones too.
        wanted: How many there should be.
        mode: Whether running workers may be taken.
    """
    present = [w for w in workers if not w.pod.deleting]
    excess = len(present) - wanted
    if excess <= 0:
        return ()
    chosen = sorted(present, key=_least_missed)[:excess]
    spared = mode is ScaleDown.ENDED_ONLY and wanted > 0
    return tuple(sorted((w for w in chosen if not (spared and w.pod.running)), key=lambda w: w.index))


def _least_missed(worker: WorkerFacts) -> tuple[int, int]:
    pod = worker.pod
    if pod.terminated is not None:
        stage = 0 if pod.terminated.exit_code == 0 else 1
    elif not pod.live:
        stage = 1
    elif not pod.running:
        stage = 2
    else:
        stage = 4 if pod.ready else 3
    return stage, -worker.index
