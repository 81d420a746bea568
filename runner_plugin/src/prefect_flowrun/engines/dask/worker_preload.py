"""Preload of a Dask worker: be warm and sure of the scheduler before registering.

`dask worker --preload prefect_flowrun.engines.dask_worker` runs `dask_setup` after the worker listens and before it
registers. Two things happen there at the same time:

- prefect's task engine is imported in a thread. Otherwise the first task on every worker pays for it, a second or more.
- the scheduler is polled. A worker that starts before its scheduler would else retry with distributed's growing random
  back-off, which was measured to lose up to 8 s between "scheduler up" and "registered".

Only distributed is imported at module level: it is loaded anyway, and the readiness route must answer during the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from typing import Any

import dask
from distributed.comm import connect

from prefect_flowrun.source import import_path, work_folder
from prefect_flowrun.worker.drain import drain_process
from prefect_flowrun.worker.forked_children import end_at_sigterm
from prefect_flowrun.worker.warm_up import warm_up

logger = logging.getLogger("distributed.worker.flowrun")

POLL_TIMEOUT_S = 0.5
POLL_INTERVAL_S = 0.05
DRAIN_TIMEOUT_S = 1.0
EXIT_GRACE_S = 2.0


async def dask_setup(worker: Any) -> None:
    """Return when prefect is imported and the scheduler answers; distributed then registers the worker.

    The wait has no end of its own: `--death-timeout` bounds the whole start of the worker.

    Args:
        worker: the `distributed.Worker` that is starting.
    """
    started = time.monotonic()
    work_folder.prepare()  # milliseconds
    end_at_sigterm()
    offer_configured(worker)
    imports = asyncio.create_task(asyncio.to_thread(warm_up, "prefect_flowrun.engines.dask.entry"))
    await wait_for_scheduler(worker.scheduler.address, worker.connection_args)
    reachable = time.monotonic()
    await imports
    import_path.enter()  # after our own imports: a file of the flow may have the name of one
    logger.info(
        "scheduler reachable after %.2f s, prefect imported after %.2f s",
        reachable - started,
        time.monotonic() - started,
    )


def offer_configured(worker: Any) -> None:
    """Offer what the configuration says, too: distributed takes it only where the command line says nothing.

    Args:
        worker: has what `--resources` has given it, which goes first.
    """
    for name, amount in (dask.config.get("distributed.worker.resources", None) or {}).items():
        if name not in worker.state.total_resources:
            worker.state.total_resources[name] = worker.state.available_resources[name] = float(amount)


async def dask_teardown(worker: Any) -> None:
    """Send the last logs, and make sure that the process ends though a task may still run.

    A worker closes when its scheduler has gone, and with it the run. Task threads can't be interrupted, and the
    interpreter would wait for them at exit, for as long as the task takes.

    Args:
        worker: the `distributed.Worker` that is closing.
    """
    leave = threading.Timer(EXIT_GRACE_S, os._exit, args=(0,))
    leave.daemon = True
    leave.start()
    await asyncio.to_thread(drain_process, DRAIN_TIMEOUT_S)


async def wait_for_scheduler(address: str, connection_args: dict[str, Any]) -> None:
    """Poll until the scheduler answers a handshake.

    An open port is no proof: some networks accept any TCP connection for a Service that has no endpoint yet.

    Args:
        address: the scheduler's, e.g. tcp://my-run-1-default:8786.
        connection_args: as the worker itself connects (TLS).
    """
    while True:
        # The handshake inside connect() has no time-out of its own, hence wait_for.
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            comm = await asyncio.wait_for(
                connect(address, timeout=POLL_TIMEOUT_S, **connection_args), timeout=POLL_TIMEOUT_S
            )
            await comm.close()
            return
        await asyncio.sleep(POLL_INTERVAL_S)
