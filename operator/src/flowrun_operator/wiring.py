"""kopf, and nothing but wiring: events fill the cache and put keys into the queue.

Only `on.event` and `index` are used: change handlers, timers and daemons would add finalizers and annotations and cost
a patch each. kopf calls no event handler before every index is filled once, so nothing is decided on half a cache.
"""

from __future__ import annotations

from typing import Any

import kopf

from flowrun_api.constants import GROUP, LABEL_MANAGED_BY, LABEL_RUN, MANAGER, VERSION
from flowrun_operator import metrics
from flowrun_operator.loop.cache import Cache
from flowrun_operator.loop.keys import Key
from flowrun_operator.loop.queue import WorkQueue
from flowrun_operator.observe.fields import Raw, at, label, owner_name

# Selector arguments of kopf by kind. Always with group and version: other groups have "jobs" too.
RESOURCES: dict[str, tuple[str, ...]] = {
    "FlowRun": (GROUP, VERSION, "flowruns"),
    "TaskCluster": (GROUP, VERSION, "taskclusters"),
    "Job": ("batch", "v1", "jobs"),
    "Pod": ("", "v1", "pods"),
    "Service": ("", "v1", "services"),
}


def configure(settings: kopf.OperatorSettings) -> None:
    """Set kopf up for our use of it."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.networking.request_timeout = 15
    settings.networking.connect_timeout = 5
    settings.execution.default_backoff = 5
    settings.watching.chunk_size = 500
    settings.persistence.finalizer = f"{GROUP}/kopf"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=f"kopf.{GROUP}")
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=f"kopf.{GROUP}")
    # Server side: a foreign pod would cost 0.4 ms and 24 KB each.
    for group, version, plural in (RESOURCES["Job"], RESOURCES["Pod"], RESOURCES["Service"]):
        settings.watching.label_selectors[group, version, plural] = f"{LABEL_MANAGED_BY}={MANAGER}"


def register(registry: kopf.OperatorRegistry, cache: Cache, queue: WorkQueue) -> None:
    """Register the handlers of all kinds.

    Args:
        registry: kopf's registry of this operator.
        cache: Filled by events.
        queue: Told what to look at.
    """

    @kopf.on.startup(registry=registry)
    def set_up(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)

    @kopf.on.login(registry=registry)
    def log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:
        # Not kopf's default, which goes through whole client libraries.
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    for kind, resource in RESOURCES.items():
        _register_kind(registry, kind, resource, cache, queue)


def _register_kind(
    registry: kopf.OperatorRegistry,
    kind: str,
    resource: tuple[str, ...],
    cache: Cache,
    queue: WorkQueue,
) -> None:
    @kopf.index(*resource, id=f"fill-{kind}", registry=registry)
    async def fill(body: kopf.Body, **_: Any) -> None:
        cache.feed(kind, _plain(body))

    @kopf.on.event(*resource, id=f"watch-{kind}", registry=registry)
    async def watch(event: kopf.RawEvent, **_: Any) -> None:
        metrics.WATCH_EVENTS.labels(kind).inc()
        cache.complete = True  # or kopf would not have sent it
        raw = _plain(event["object"])
        if event["type"] == "DELETED":
            cache.forget(kind, raw)
        else:
            cache.feed(kind, raw)
        for key in keys_of(kind, raw):
            queue.put(key)


def take_over(cache: Cache, queue: WorkQueue) -> None:
    """Begin to act: take keys from now on, and look at everything that was learnt while standing by.

    Args:
        cache: What is known. If it is not complete, the events that complete it bring the keys.
        queue: Filled.
    """
    queue.accepting = True
    cache.drop_deleted()
    if not cache.complete:
        return
    for kind in RESOURCES:
        for raw in cache.all(kind):
            for key in keys_of(kind, raw):
                queue.put(key)


def keys_of(kind: str, raw: Raw) -> list[Key]:
    """Return whom a change of this object concerns: itself, its cluster, its run."""
    namespace = at(raw, "metadata", "namespace") or ""
    keys = []
    if kind in {"FlowRun", "TaskCluster"}:
        keys.append(Key(kind, namespace, at(raw, "metadata", "name")))
    run = label(raw, LABEL_RUN)
    if run:
        keys.append(Key("FlowRun", namespace, run))
    if kind in {"Pod", "Service"} and (cluster := owner_name(raw, "TaskCluster")):
        keys.append(Key("TaskCluster", namespace, cluster))
    return keys


def _plain(body: Any) -> Raw:
    """Return an object as a plain dict, without the bulk that nobody reads."""
    raw = dict(body)
    metadata = dict(raw.get("metadata") or {})
    metadata.pop("managedFields", None)
    raw["metadata"] = metadata
    return raw
