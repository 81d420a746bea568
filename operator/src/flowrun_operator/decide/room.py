"""Room: in a namespace with quotas a run starts when there is room for all of it, or when no other one is there.

Runs that have a part of what they need would wait for each other for ever: drivers that have no workers, workers that
have no driver. A run that needs more than there is at all runs alone, with the workers that find room; runs take turns
by age.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from flowrun_api.contract import Activation
from flowrun_api.kinds.common import Resources
from flowrun_operator.build.quantities import limit, request, value
from flowrun_operator.build.template import effective_resources
from flowrun_operator.children.driver import driver_resources
from flowrun_operator.decide.plan import Await, Measure, StartAttempt, Verdict
from flowrun_operator.model import RunView

QUEUED = "Queued"
_CHECK_S = 2.0
_PODS = ("pods", "count/pods")
_REQUESTS = {"requests.cpu": "cpu", "cpu": "cpu", "requests.memory": "memory", "memory": "memory"}
_LIMITS = {"limits.cpu": "cpu", "limits.memory": "memory"}
RESOURCES = frozenset({*_PODS, *_REQUESTS, *_LIMITS})
"""What of a quota is understood; of anything else the API server alone decides."""


def in_turn(view: RunView, verdict: Verdict) -> Verdict:
    """Return the verdict, or, where an attempt was to start now and has no room, that it waits.

    Args:
        view: The run.
        verdict: Of the policies.
    """
    if not isinstance(verdict, StartAttempt) or verdict.wait_s > 0:
        return verdict
    room = view.room
    if room is None:
        return Measure()
    if not room.left:
        return verdict
    if room.ahead:
        return _wait(verdict, f"{room.ahead}, which is older, waits for room in the namespace's quota too")
    wanted = need(view)
    short = [name for name, left in room.left.items() if wanted.get(name, 0) > left]
    if room.others and short:
        return _wait(verdict, f"the namespace's quota has no room for all of it: {_amounts(short, wanted, room.left)}")
    return verdict


def need(view: RunView) -> dict[str, Fraction]:
    """Return what a run takes, by the names that quotas have for it.

    Its driver, the workers that start with it, and those of its largest cluster on demand: with less, runs that have
    begun could wait for each other's workers.
    """
    run, defaults = view.run, view.defaults
    at_start = [cluster for cluster in run.spec.clusters if cluster.activation is Activation.ON_START]
    later = [cluster for cluster in run.spec.clusters if cluster.activation is Activation.ON_DEMAND]
    largest = sorted(later, key=lambda cluster: cluster.workers_in_use)[-1:]
    containers: list[tuple[int, Resources | None]] = [(1, driver_resources(run, defaults))]
    containers += [
        (cluster.workers_in_use, effective_resources(cluster.workers, defaults.worker_resources))
        for cluster in (*at_start, *largest)
    ]
    found = dict.fromkeys(_PODS, Fraction(sum(count for count, _ in containers)))
    for read, names in ((request, _REQUESTS), (limit, _LIMITS)):
        for name, resource in names.items():
            amounts = (count * (value(read(each, resource)) or Fraction(0)) for count, each in containers)
            found[name] = sum(amounts, Fraction(0))
    return found


def _wait(verdict: StartAttempt, message: str) -> Await:
    return Await(verdict.number, QUEUED, message, check_after_s=_CHECK_S)


def _amounts(names: list[str], wanted: Mapping[str, Fraction], left: Mapping[str, Fraction]) -> str:
    said = (f"{name}: {_number(wanted[name])} wanted, {_number(max(left[name], Fraction(0)))} left" for name in names)
    return ", ".join(said)


def _number(amount: Fraction) -> str:
    return f"{float(amount):g}"
