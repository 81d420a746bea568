"""What a Dask worker offers to tasks that ask for resources by name."""

from __future__ import annotations

import asyncio

import dask
import distributed

from prefect_flowrun.engines.dask.worker_preload import offer_configured


def test_configuration_adds_to_what_the_command_line_offers():
    async def offered() -> dict[str, float]:
        async with distributed.Scheduler(dashboard=False, port=0) as scheduler:
            worker = distributed.Worker(scheduler.address, resources={"CPU": 2}, dashboard=False)
            with dask.config.set({"distributed.worker.resources": {"db": 1, "CPU": 7}}):
                offer_configured(worker)
            async with worker:
                [state] = scheduler.workers.values()
                return dict(state.resources)

    assert asyncio.run(offered()) == {"CPU": 2, "db": 1}
