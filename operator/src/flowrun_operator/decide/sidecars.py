"""Sidecars: what runs beside a driver or worker that has ended is stopped, and its pod can end.

A mesh's proxy or a log shipper in an ordinary container runs for ever: its pod never ends, nor does its Job, and they
keep their memory and CPU (istio#11045). A pod whose deadline has passed is ended by its kubelet, and stays with its
log. It is given one when the attempt's end is in the status, from which a restarted operator reads it. Workers whose
pods are deleted anyway need none.
"""

from __future__ import annotations

from flowrun_operator.decide.plan import EndSidecars
from flowrun_operator.model import RunView


def end_sidecars(view: RunView) -> list[EndSidecars]:
    """Return what is to be done about the pods of attempts that are recorded as ended, and of the report."""
    recorded = {a.number for a in view.run.status.attempts if a.completion_time is not None}
    ended = [attempt for attempt in view.attempts if attempt.number in recorded]
    pods = [pod for attempt in ended for pod in (attempt.driver, *attempt.lingering_workers)]
    return [
        EndSidecars(pod.name, pod.uid)
        for pod in (*pods, view.report_pod)
        if pod is not None and pod.lingers and not (pod.overdue or pod.deleting)
    ]
