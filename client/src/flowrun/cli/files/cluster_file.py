"""A standalone cluster from options of the command line: what its manifest would say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flowrun.problem import Problem
from flowrun_api.constants import API_VERSION

Raw = dict[str, Any]

ENGINES = {"dask": "Dask", "ray": "Ray"}


@dataclass(frozen=True)
class Workers:
    """Workers as the command line has them; None: the operator's default."""

    count: int
    threads: int | None = None
    cpu: str | None = None
    memory: str | None = None

    def spec(self) -> Raw:
        """Return them as both kinds have them in their spec."""
        amounts = {name: amount for name, amount in (("cpu", self.cpu), ("memory", self.memory)) if amount}
        workers: Raw = {"replicas": self.count, "threads": self.threads or 1}
        if amounts:
            # Memory is what ends a worker that takes more; of the CPU it may have what nobody else wants.
            limits = {"limits": {"memory": self.memory}} if self.memory else {}
            workers["resources"] = {"requests": amounts, **limits}
        return workers


def engine_of(name: str, *others: str) -> str | None:
    """Return an engine as the API has it, None for one of the others.

    Args:
        name: as it was typed.
        others: words that are no engine, and allowed.

    Raises:
        Problem: it is neither.
    """
    if name.lower() in others:
        return None
    try:
        return ENGINES[name.lower()]
    except KeyError:
        raise Problem(f"--engine {name}: one of {', '.join([*ENGINES, *others])}") from None


def manifest(
    name: str, engine: str, workers: Workers, image: str | None, idle_s: int | None, *, dashboard: bool
) -> Raw:
    """Return a TaskCluster that stands by itself.

    Args:
        name: of the cluster.
        engine: dask or ray.
        workers: of the cluster.
        image: of coordinator and workers; None: the operator's.
        idle_s: parked after so many seconds without a client; None: never.
        dashboard: whether the coordinator serves one.

    Raises:
        Problem: there is no such engine.
    """
    spec: Raw = {"engine": engine_of(engine), "workers": workers.spec()}
    spec |= {"image": image} if image else {}
    spec |= {"idleSeconds": idle_s} if idle_s else {}
    spec |= {"dashboard": True} if dashboard else {}
    return {"apiVersion": API_VERSION, "kind": "TaskCluster", "metadata": {"name": name}, "spec": spec}
