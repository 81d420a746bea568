"""The rows of the tables (who runs the tasks) and the scenarios (what is run)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Engine = Literal["dask", "ray", "threads"]
Kind = Literal["bare", "stock", "ours"]
WORKERS = 2
# Name of ours, as in a FlowRun.
CLUSTER = "bench"


@dataclass(frozen=True)
class Row:
    """One way to run tasks."""

    name: str
    title: str
    engine: Engine
    kind: Kind

    @property
    def uses_prefect(self) -> bool:
        return self.kind != "bare"


@dataclass(frozen=True)
class Scenario:
    """One load."""

    name: str
    title: str
    tasks: int
    quick_tasks: int
    bare: bool = True
    """Whether it says something about the bare engines."""
    stock: bool = True
    """Whether the stock runners end in a time that anybody waits; `--all` runs them nevertheless."""

    def includes(self, row: Row, everything: bool) -> bool:
        return {"bare": self.bare, "stock": self.stock or everything, "ours": True}[row.kind]


ROWS = {
    row.name: row
    for row in (
        Row("bare-dask", "dask `client.submit`", "dask", "bare"),
        Row("prefect-dask", "prefect-dask `DaskTaskRunner`", "dask", "stock"),
        Row("ours-dask", "`ClusterTaskRunner` on Dask", "dask", "ours"),
        Row("bare-ray", "ray `f.remote`", "ray", "bare"),
        Row("prefect-ray", "prefect-ray `RayTaskRunner`", "ray", "stock"),
        Row("ours-ray", "`ClusterTaskRunner` on Ray", "ray", "ours"),
        Row("threads", "Prefect `ThreadPoolTaskRunner`", "threads", "stock"),
    )
}

# Each group in one driver process; a load whose CPU time or memory is wanted is alone.
GROUPS = (
    (Scenario("trivial", "trivial tasks", 1000, 100),),
    (
        Scenario("same-mb", "the same 1 MB to each task", 50, 20),
        Scenario("distinct-mb", "1 MB of its own to each task", 50, 20),
        Scenario("chain", "chain of dependent tasks", 100, 20),
        # The last, so that what is lost when the driver ends is seen to be lost.
        Scenario("logs", "one printed line per task", 500, 100, bare=False),
    ),
    (Scenario("map", "one large map, all results kept", 10_000, 1000, stock=False),),
)
SCENARIOS = {scenario.name: scenario for group in GROUPS for scenario in group}
