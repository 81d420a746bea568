"""What a task needs, in the words of Ray's task options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_flowrun.engines.ray.runtime_env import uploaded

if TYPE_CHECKING:
    from prefect_flowrun.engines.needs import Needs
    from prefect_flowrun.engines.ray.pending_tasks import Amounts

# Ray's own words for what `needs` calls by resource names; others it takes as they are.
_WORDS = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
# How Ray counts a kind of accelerator that a task insists on.
_KIND, _SOME = "accelerator_type:", 0.001
# Taken by the decorator only.
MAX_CALLS = "max_calls"


def demand(needs: Needs | None) -> dict[str, float]:
    """Return what a node must have for the task, by Ray's names.

    Args:
        needs: of the task; None: nothing was said.
    """
    if needs is None:
        return {"CPU": 1}
    cpus = {} if needs.num_cpus is None else {"CPU": needs.num_cpus}
    memory = {"memory": needs.ray["memory"]} if needs.ray.get("memory") else {}
    kind = needs.ray.get("accelerator_type")
    return {"CPU": 1, **needs.resources, **cpus, **memory, **({f"{_KIND}{kind}": _SOME} if kind else {})}


def options(needs: Needs | None, amounts: Amounts) -> dict[str, Any]:
    """Return the options of a remote function; the process is connected to Ray.

    Args:
        needs: of the task.
        amounts: its demand.

    Raises:
        ValueError: a runtime environment names a folder that is not there.
    """
    counted = {_WORDS[name]: amount for name, amount in amounts.items() if name in _WORDS}
    others = {name: amount for name, amount in amounts.items() if name not in _WORDS and not name.startswith(_KIND)}
    further = {name: value for name, value in (needs.ray if needs else {}).items() if name != MAX_CALLS}
    if environment := further.get("runtime_env"):
        further["runtime_env"] = uploaded(environment)
    return {**further, **counted, "resources": others}
