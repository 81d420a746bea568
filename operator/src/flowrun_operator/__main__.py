"""`python -m flowrun_operator`: put the parts together and run until told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

import kopf
import uvloop

from flowrun_operator import __version__, logs, metrics
from flowrun_operator.election.election import Election, LeaseLostError, Unelected
from flowrun_operator.kube.client import KubeClient
from flowrun_operator.loop.act import Actor
from flowrun_operator.loop.cache import Cache
from flowrun_operator.loop.queue import WorkQueue
from flowrun_operator.loop.reconciler import Reconciler
from flowrun_operator.loop.resync import resync_forever
from flowrun_operator.prefect_api.client import PrefectApi
from flowrun_operator.server import serve
from flowrun_operator.settings import Settings
from flowrun_operator.wiring import keys_of, register, take_over

log = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Run the operator until it is told to stop.

    Args:
        settings: From the environment.

    Raises:
        LeaseLostError: Another operator may lead now.
    """
    api_key = settings.prefect_api_key.get_secret_value() if settings.prefect_api_key else None
    lease_api = KubeClient(timeout_s=settings.renew_deadline_s / 2)  # its own connections: never behind other requests
    election = Election(lease_api, settings.terms()) if settings.leader_election else Unelected()
    metrics.LEADER.set_function(lambda: float(election.leading))
    kube = KubeClient(fence=election.fence)
    prefect = PrefectApi(settings.prefect_api_url, api_key)
    cache, queue = Cache(), WorkQueue()
    queue.accepting = False
    reconciler = Reconciler(cache, queue, kube, Actor(kube, prefect, cache, api_key), settings.defaults())
    try:
        await asyncio.gather(lease_api.connect(), kube.connect())
        await operate(settings, election, reconciler, kube, cache, queue)
    finally:
        await prefect.close()
        await asyncio.gather(kube.close(), lease_api.close())


async def operate(
    settings: Settings,
    election: Election | Unelected,
    reconciler: Reconciler,
    kube: KubeClient,
    cache: Cache,
    queue: WorkQueue,
) -> None:
    """Start all tasks, and stop them in order as soon as one ends.

    Args:
        settings: From the environment.
        election: Says who leads.
        reconciler: Works while this operator leads.
        kube: For the resync.
        cache: Filled, also while standing by.
        queue: Closed while standing by.

    Raises:
        LeaseLostError: Another operator may lead now.
    """
    namespaces, ready = settings.namespace_list, asyncio.Event()
    tasks: list[asyncio.Task[None]] = []
    server = await serve(
        settings.port,
        is_alive=lambda: not any(task.done() for task in tasks),
        is_ready=lambda: ready.is_set() and not election.forbidden,
    )
    acting = asyncio.create_task(act(election, reconciler, cache, queue))
    watching = asyncio.create_task(watch(cache, queue, namespaces, ready))
    resyncing = asyncio.create_task(resync_forever(kube, cache, queue, namespaces, keys_of))
    tasks += [acting, watching, resyncing, asyncio.create_task(stop_when_told(ready))]
    log.info("Operator %s started", __version__, extra={"namespaces": namespaces or "all"})
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # In this order: whoever finds the Lease free must find nobody acting. Then the watches, which take longer.
        await cancel(acting)
        await election.release()
        await cancel(*tasks)
        await server.cleanup()
    for task in tasks:
        if not task.cancelled():
            task.result()


async def act(election: Election | Unelected, reconciler: Reconciler, cache: Cache, queue: WorkQueue) -> None:
    """Stand by until this operator leads, then reconcile until it does no more.

    Args:
        election: Says who leads.
        reconciler: Does not run before.
        cache: Filled while standing by, so that a takeover starts at once.
        queue: Closed until then.

    Raises:
        LeaseLostError: Another operator may lead now.
    """
    await election.acquire()
    take_over(cache, queue)
    tasks = [asyncio.create_task(reconciler.run()), asyncio.create_task(election.hold())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        done.pop().result()
    finally:
        await cancel(*tasks)


async def watch(cache: Cache, queue: WorkQueue, namespaces: list[str], ready: asyncio.Event) -> None:
    """Watch by kopf until cancelled.

    Args:
        cache: Filled.
        queue: Told what to look at.
        namespaces: Where; empty for the whole cluster.
        ready: Set when kopf has started.
    """
    registry = kopf.OperatorRegistry()
    register(registry, cache, queue)
    await kopf.operator(
        registry=registry, standalone=True, clusterwide=not namespaces, namespaces=namespaces, ready_flag=ready
    )


async def stop_when_told(ready: asyncio.Event) -> None:
    """Return at SIGTERM or SIGINT.

    kopf's own handlers, which are there until it is ready, would stop its watches first and give them 5 s.
    """
    await ready.wait()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()
    log.info("Stopping")


async def cancel(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    """Entry point."""
    settings = Settings()
    logs.configure(settings.log_level, settings.log_format)
    try:
        uvloop.run(run(settings))
    except LeaseLostError as error:
        log.error("%s: another operator may be leading. Exiting", error)
        sys.exit(1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        log.info("Stopped")


if __name__ == "__main__":
    main()
