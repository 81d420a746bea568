"""Ports of a run's servers."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

from prefect_flowrun.laptop.problem import CannotRun

# None that the kernel gives to connections, Ray to its workers, or Kubernetes to its nodes: one of these may be taken
# before it is listened on.
_PORTS = range(20_000, 30_000)
_TRIES = 100


def free_port() -> int:
    """Return a port of the loopback that nobody listens on.

    Raises:
        CannotRun: there is none.
    """
    for port in random.sample(_PORTS, _TRIES):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise CannotRun(f"no free port from {_PORTS[0]} to {_PORTS[-1]} on this machine")
