"""Futures that flows written for prefect-dask know by its class."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from prefect_flowrun.runner.futures import ClusterFuture


def future_class(engine: str) -> type[ClusterFuture[Any]]:
    """Return the class of the futures of an engine's tasks.

    Args:
        engine: name, as in the contract.
    """
    # Who has not imported the package has no class to compare with.
    stock = sys.modules.get("prefect_dask.task_runners") if engine == "Dask" else None
    theirs = getattr(stock, "PrefectDaskFuture", None)
    return ClusterFuture if theirs is None else _both(theirs)


@cache
def _both(theirs: type[Any]) -> type[ClusterFuture[Any]]:
    # Everything is done by the first; the second is there for isinstance().
    return type("ClusterDaskFuture", (ClusterFuture, theirs), {"__module__": __name__})
