"""What a flow written for prefect-ray says to its runner, in our words; and what of it has no meaning here."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from prefect_flowrun.engines import needs
from prefect_flowrun.engines.needs import OWN_OPTIONS, Needs
from prefect_flowrun.engines.ray import runtime_env
from prefect_flowrun.runner import ray_calls
from prefect_flowrun.runner.options import StandsFor

# What prefect-ray itself puts there.
_DEFAULT_NAMESPACE = "prefect"


def remote_options() -> dict[str, Any]:
    """Return what a remote_options block of prefect-ray around this submit says; empty without one."""
    module = sys.modules.get("prefect_ray.context")
    options: dict[str, Any] = module.RemoteOptionsContext.get().current_remote_options if module else {}
    return options


def needs_from(options: Mapping[str, Any]) -> Needs:
    """Return needs from options of `remote_options`, without those that the engine sets.

    Args:
        options: as the flow gives them.

    Raises:
        ValueError: an amount is negative.
    """
    return needs.from_ray({name: value for name, value in options.items() if name not in OWN_OPTIONS})


def left_out(options: Mapping[str, Any], engine: str) -> dict[str, str]:
    """Return options of `remote_options` that have no effect, each with the reason.

    Args:
        options: as the flow gives them.
        engine: on which the task runs.
    """
    own = {name: OWN_OPTIONS[name] for name in options if name in OWN_OPTIONS}
    if engine == "Ray":
        return own
    return {**own, **dict.fromkeys(needs_from(options).ray, f"the task runs on {engine}")}


def translate(runner: Any) -> StandsFor:
    """Return what a `RayTaskRunner` means for tasks, and in words what of it has no effect.

    Args:
        runner: prefect-ray's.
    """
    options = dict(getattr(runner, "init_kwargs", None) or {})
    said, notes = from_init_kwargs(options)
    told = [f"RayTaskRunner(init_kwargs=...), {note}" for note in notes]
    if has_own_cluster(runner):
        told.append(
            "RayTaskRunner(address=...) has no effect: tasks go to the run's cluster "
            "(spec.redirectTaskRunners is Explicit)"
        )
    return StandsFor(said, tuple(told))


def has_own_cluster(runner: Any) -> bool:
    """Tell whether a `RayTaskRunner` names a cluster. "auto" is the one that is there: in a run its own.

    Args:
        runner: prefect-ray's.
    """
    options = getattr(runner, "init_kwargs", None) or {}
    addresses = (getattr(runner, "address", None), options.get("address"))
    return any(address not in (None, "", "auto") for address in addresses)


def from_init_kwargs(options: Mapping[str, Any]) -> tuple[Needs | None, list[str]]:
    """Return what `RayTaskRunner(init_kwargs=...)` means for tasks, and what of it has no effect, in words.

    Args:
        options: as the runner has them.
    """
    environment = options.get("runtime_env") or {}
    notes = [f"runtime_env: {doubt}" for doubt in runtime_env.doubts(environment)]
    names = ray_calls.left_out({name: value for name, value in options.items() if name != "address"})
    if options.get("namespace", _DEFAULT_NAMESPACE) != _DEFAULT_NAMESPACE:
        names.append("namespace")
    if options.get("job_config"):
        names.append("job_config")
    if names:
        notes.append(
            f"left out: {', '.join(names)}. Tasks run on a Ray cluster of the FlowRun, which is there before the flow; "
            "the size of its workers is said in clusters[].workers, a namespace in ray.init() before the first submit"
        )
    return (Needs(ray={"runtime_env": environment}) if environment else None), notes
