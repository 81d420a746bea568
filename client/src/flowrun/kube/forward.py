"""A port of this machine that leads to a port of a pod, whichever pod that is when somebody connects."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward

from flowrun.kube.connection import Connection
from flowrun.problem import Problem

_HERE = "127.0.0.1"
_CHUNK = 2**16
_LISTEN_S = 0.2


class Forward:
    """Forwards connections, each by a request of its own: one that breaks takes no other along.

    Args:
        connection: to the cluster.
        find: returns namespace and name of the pod; is asked for each connection, so a pod that was replaced is found.
        port: of the pod.
        local_port: of this machine; 0: any that is free.

    Raises:
        Problem: the port of this machine is taken.
    """

    def __init__(
        self, connection: Connection, find: Callable[[], tuple[str, str]], port: int, local_port: int = 0
    ) -> None:
        self._configuration = connection.api.configuration
        self._find = find
        self._port = port
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind((_HERE, local_port))
        except OSError as error:
            self._listener.close()
            raise Problem(f"port {local_port} of this machine: {error.strerror}; give another with --port") from error
        self._listener.listen()
        self._listener.settimeout(_LISTEN_S)
        self.address = f"{_HERE}:{self._listener.getsockname()[1]}"
        self.said = ""
        """Why the last connection could not be made; empty: it could."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="port-forward", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more connections."""
        self._over.set()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            with suppress(TimeoutError):
                accepted, _ = self._listener.accept()
                accepted.settimeout(None)
                threading.Thread(target=self._forward, args=(accepted,), daemon=True).start()

    def _forward(self, here: socket.socket) -> None:
        with here:
            try:
                there = self._connect()
            except (Problem, ApiException, OSError) as error:
                self.said = str(getattr(error, "reason", None) or error)
                return
            self.said = ""
            with closing(there):  # the library's own kind of socket
                back = threading.Thread(target=_copy, args=(there, here), daemon=True)
                back.start()
                _copy(here, there)
                back.join()

    def _connect(self) -> socket.socket:
        namespace, pod = self._find()
        # A client of its own: the library changes it for as long as it opens a stream.
        core = client.CoreV1Api(client.ApiClient(self._configuration))
        opened: Any = portforward(core.connect_get_namespaced_pod_portforward, pod, namespace, ports=str(self._port))
        found: socket.socket = opened.socket(self._port)
        found.setblocking(True)
        return found


def _copy(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            to.sendall(data)
    with suppress(OSError):
        to.shutdown(socket.SHUT_WR)
