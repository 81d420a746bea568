"""This process's connection to a Ray cluster. Ray allows one per process."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import ray
from ray._private import worker as ray_worker

from prefect_flowrun.engines.ray import calls, settings

POLL_S = 0.02

# The cluster that this process has joined by `join`; None: none, or somebody else has joined one.
joined: str | None = None
# What the flow's own `ray.init()` asks for, while that is carried out.
asked: ContextVar[dict[str, Any] | None] = ContextVar("flowrun_ray_asked", default=None)

_OURS = {"namespace": "flowrun", "log_to_driver": False, "configure_logging": False}


if not calls.is_replaced(ray.shutdown):
    calls.tell_users(ray)


def join(cluster: str, address: str) -> None:
    """Connect to a cluster of the run whose head listens.

    Args:
        cluster: name of the cluster within the run.
        address: HOST:PORT of the head's GCS.
    """
    global joined  # noqa: PLW0603 - one process has one connection
    options = asked.get()
    init(address=address, **(_OURS if options is None else options))
    joined = cluster


def start_local() -> None:
    """Start Ray on this machine and connect to it."""
    # RAY_AUTH_MODE is left to Ray, which uses a token since 2.59: this process has read it already, at the import, and
    # would not agree with the head on another.
    with _environment(settings.ENVIRONMENT):
        # Not the cluster that RAY_ADDRESS may name.
        init(address="local", include_dashboard=False, **_OURS)


def leave() -> None:
    """Close the connection."""
    global joined  # noqa: PLW0603
    calls.original(ray.shutdown)()
    joined = None


def init(**options: Any) -> Any:
    """Connect this process as `ray.init` does, and leave its signals as they were.

    Args:
        options: of `ray.init`.
    """
    with calls.keeping_sigterm():
        return calls.original(ray.init)(**options)


def number() -> int | None:
    """Return a number that changes with every connection; None: there is none."""
    if not ray.is_initialized():
        return None
    # Without it (it is of Ray's inside) two connections in a row look the same.
    return int(getattr(ray_worker.global_worker, "_session_index", 0))


def host_and_port(address: str) -> str:
    """Return an address without the scheme.

    Args:
        address: of the contract.
    """
    return urlsplit(address).netloc if "://" in address else address


def refuse_other_cluster(name: str, port: int) -> None:
    """Raise if the connection leads to another cluster.

    Args:
        name: of the wanted cluster within the run.
        port: of its head.

    Raises:
        RuntimeError: it does.
    """
    connected = ray.get_runtime_context().gcs_address
    # Of a connection that is not ours only the port can be compared: the head's address has several names.
    if joined not in (None, name) or connected.rpartition(":")[2] != str(port):
        raise RuntimeError(
            f"This process is connected to the Ray cluster at {connected}, and Ray allows one at a time: "
            f"cluster {name!r} can be used when that connection is closed (ray.shutdown())"
        )


def wait_for_head(cluster: str, address: str, timeout: float) -> None:
    """Wait until a driver can join; ray.init() on a head that only listens would lose up to nine seconds.

    Args:
        cluster: name of the cluster within the run.
        address: of the head.
        timeout: seconds.

    Raises:
        TimeoutError: it was not ready in time.
    """
    deadline = time.monotonic() + timeout
    ready = settings.ready_file(cluster)
    # In this order: a head removes the file of the one before it, and listens only then.
    while not (_listens(address) and ready.exists()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"The Ray head of cluster {cluster!r} at {address} was not ready within {timeout:g} s")
        time.sleep(POLL_S)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1.0).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set variables for the processes started meanwhile, except those that the user has set."""
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
