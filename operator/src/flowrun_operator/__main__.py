"""`python -m flowrun_operator`: put the parts together and run until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import kopf
import uvloop

from flowrun_operator import __version__, logs
from flowrun_operator.kube.client import KubeClient
from flowrun_operator.loop.act import Actor
from flowrun_operator.loop.cache import Cache
from flowrun_operator.loop.queue import WorkQueue
from flowrun_operator.loop.reconciler import Reconciler
from flowrun_operator.loop.resync import resync_forever
from flowrun_operator.prefect_api.client import PrefectApi
from flowrun_operator.server import serve
from flowrun_operator.settings import Settings
from flowrun_operator.wiring import keys_of, register

log = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Run the operator.

    Args:
        settings: From the environment.
    """
    api_key = settings.prefect_api_key.get_secret_value() if settings.prefect_api_key else None
    kube = KubeClient()
    await kube.connect()
    prefect = PrefectApi(settings.prefect_api_url, api_key)
    cache, queue = Cache(), WorkQueue()
    actor = Actor(kube, prefect, cache, api_key)
    reconciler = Reconciler(cache, queue, kube, actor, settings.defaults())
    registry = kopf.OperatorRegistry()
    register(registry, cache, queue)
    namespaces = settings.namespace_list
    ready = asyncio.Event()
    background = [
        asyncio.create_task(reconciler.run()),
        asyncio.create_task(resync_forever(kube, cache, queue, namespaces, keys_of)),
    ]
    server = await serve(
        settings.port, is_alive=lambda: not any(task.done() for task in background), is_ready=ready.is_set
    )
    log.info("Operator %s started", __version__, extra={"namespaces": namespaces or "all"})
    try:
        await kopf.operator(
            registry=registry,
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            ready_flag=ready,
        )
    finally:
        for task in background:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*background, return_exceptions=True)
        await server.cleanup()
        await prefect.close()
        await kube.close()


def main() -> None:
    """Entry point."""
    settings = Settings()
    logs.configure(settings.log_level, settings.log_format)
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        uvloop.run(run(settings))


if __name__ == "__main__":
    main()
