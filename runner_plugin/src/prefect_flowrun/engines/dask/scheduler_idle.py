"""Preload of the Dask scheduler of a standalone cluster: ends it when nobody has used it for a while.

Dask's own `idle-timeout` looks at tasks only: it would end a cluster under a notebook whose user is thinking.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from prefect_flowrun.engines.idle import IDLE_EXIT_CODE, Idleness

POLL_INTERVAL_S = 1.0
CLOSE_TIMEOUT_S = 1.0
# Not users: Dask's own holder of forgotten futures, and tasks that submit tasks.
_NO_CLIENTS = ("fire-and-forget", "Client-worker-")

_watching: set[asyncio.Task[None]] = set()


def dask_setup(scheduler: Any) -> None:
    """Begin to watch; called by Dask.

    Args:
        scheduler: the `distributed.Scheduler` that is starting.
    """
    if (idleness := Idleness.from_env()) is not None:
        _watching.add(asyncio.get_running_loop().create_task(_watch(scheduler, idleness)))


async def _watch(scheduler: Any, idleness: Idleness) -> None:
    while not idleness.is_over(used=is_used(scheduler)):  # noqa: ASYNC110 - Dask tells nobody that a client has left
        await asyncio.sleep(POLL_INTERVAL_S)
    # The workers leave with its farewell.
    await asyncio.wait([asyncio.ensure_future(scheduler.close())], timeout=CLOSE_TIMEOUT_S)
    os._exit(IDLE_EXIT_CODE)


def is_used(scheduler: Any) -> bool:
    """Tell whether a client is connected or a task has not ended.

    Args:
        scheduler: a `distributed.Scheduler`.
    """
    return any(not name.startswith(_NO_CLIENTS) for name in scheduler.clients) or any(
        state.state in ("waiting", "processing", "queued", "no-worker") for state in scheduler.tasks.values()
    )
