"""Resync: compare the cache with the API server now and then.

A watch that was cut off may never tell of an object deleted meanwhile (F07, F08): a ghost would stay in the cache.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from flowrun_api.constants import LABEL_MANAGED_BY, MANAGER
from flowrun_operator import metrics
from flowrun_operator.kube.client import KubeClient
from flowrun_operator.kube.errors import ApiError
from flowrun_operator.loop.cache import CHILD_KINDS, Cache
from flowrun_operator.loop.keys import Key
from flowrun_operator.loop.queue import WorkQueue
from flowrun_operator.observe.fields import Raw, at

log = logging.getLogger(__name__)

_PERIOD_S = 120.0


async def resync_forever(
    kube: KubeClient,
    cache: Cache,
    queue: WorkQueue,
    namespaces: list[str],
    keys_of: Callable[[str, Raw], Iterable[Key]],
) -> None:
    """Resync until cancelled.

    Args:
        kube: The API client.
        cache: Compared and mended.
        queue: Told what has changed.
        namespaces: Where; empty for the whole cluster.
        keys_of: Whom a change of an object concerns.
    """
    while True:
        await asyncio.sleep(_PERIOD_S)
        try:
            for kind in ("FlowRun", *CHILD_KINDS):
                for namespace in namespaces or [""]:
                    await _resync(kind, namespace, kube, cache, queue, keys_of)
            metrics.LAST_RESYNC.set(time.time())
        except Exception as error:  # the next one may succeed; none at all would let ghosts stay for ever
            log.warning("Resync failed: %s", error, exc_info=not isinstance(error, ApiError))


async def _resync(
    kind: str,
    namespace: str,
    kube: KubeClient,
    cache: Cache,
    queue: WorkQueue,
    keys_of: Callable[[str, Raw], Iterable[Key]],
) -> None:
    # Listed after the snapshot of the cache: what is created in between is in the list and not taken for a ghost.
    known = [raw for raw in cache.all(kind) if not namespace or at(raw, "metadata", "namespace") == namespace]
    # Users make FlowRuns and may make TaskClusters: these carry no label of ours.
    query = {} if kind in {"FlowRun", "TaskCluster"} else {"labelSelector": f"{LABEL_MANAGED_BY}={MANAGER}"}
    listed = (await kube.list(kind, namespace, **query)).get("items", [])
    present = {at(raw, "metadata", "uid") for raw in listed}
    for raw in known:
        if at(raw, "metadata", "uid") not in present:
            cache.forget(kind, raw)
            for key in keys_of(kind, raw):
                queue.put(key)
    for raw in listed:
        if cache.feed(kind, raw):
            for key in keys_of(kind, raw):
                queue.put(key)
