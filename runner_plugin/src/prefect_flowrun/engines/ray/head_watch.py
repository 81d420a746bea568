"""Watches a Ray head from a worker: is it there, and has it gone?

Ray itself takes 7 to 60 s to notice a lost head. Here one idle connection to the head's GCS is kept: the kernel of a
process that ends closes its connections, so the loss is known at once. Imports no ray: it works while ray is being
imported.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time

# What a client of gRPC says first (RFC 9113, 3.4: the preface and empty SETTINGS); the server answers with its own
# SETTINGS. An open port is no proof: some networks accept any TCP connection for a Service without an endpoint.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SETTINGS = 4
_FRAME_HEADER_BYTES = 9
POLL_INTERVAL_S = 0.05
HANDSHAKE_TIMEOUT_S = 2.0
# Silence, not a closed connection: a network that is cut, or a head so busy that it doesn't answer.
PATIENCE_S = 15.0
_CHECK_INTERVAL_S = 5.0


class HeadWatch:
    """A connection to the GCS of a head."""

    def __init__(self, host: str, port: int) -> None:
        """Connect with nothing yet.

        Args:
            host: name or address of the head, or of its Service.
            port: of the GCS.
        """
        self._place = (host, port)
        self._connection: socket.socket | None = None

    def wait_for_head(self, timeout_s: float) -> bool:
        """Wait until the head's GCS answers.

        Args:
            timeout_s: at most so long.

        Returns:
            Whether it answers.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._connection = self._shake_hands()
            except OSError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(POLL_INTERVAL_S)
            else:
                return True

    def wait_until_gone(self) -> str:
        """Wait until the head has gone, and say how that was noticed."""
        answered = time.monotonic()
        while True:
            if self._is_closed(_CHECK_INTERVAL_S):
                with contextlib.suppress(OSError):
                    # It may have closed an idle connection only.
                    self._connection = self._shake_hands()
                    answered = time.monotonic()
                    continue
                return "its GCS has closed the connection and does not answer"
            try:
                self._shake_hands().close()
                answered = time.monotonic()
            except ConnectionRefusedError:
                return "its GCS does not listen any more"
            except OSError:
                if time.monotonic() - answered > PATIENCE_S:
                    return f"its GCS has not answered for {PATIENCE_S:g} s"

    def _is_closed(self, wait_s: float) -> bool:
        assert self._connection is not None  # noqa: S101 - wait_for_head() comes first
        deadline = time.monotonic() + wait_s
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self._connection], [], [], left)[0]:
                break
            try:
                if not self._connection.recv(4096):
                    return True
            except OSError:
                return True
        return False

    def _shake_hands(self) -> socket.socket:
        connection = socket.create_connection(self._place, timeout=HANDSHAKE_TIMEOUT_S)
        try:
            connection.sendall(_HELLO)
            header = b""
            while len(header) < _FRAME_HEADER_BYTES:
                data = connection.recv(_FRAME_HEADER_BYTES - len(header))
                if not data:
                    raise ConnectionResetError("closed during the handshake")
                header += data
            if header[3] != _SETTINGS:
                raise ConnectionAbortedError("does not speak HTTP/2")
        except OSError:
            connection.close()
            raise
        return connection
