"""A reverse proxy between the operator and the API server that injects faults.

A fault is an object with the hooks of `ProxyFault`. Writes are numbered from when the fault was set.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

_HOP = {"host", "content-length", "transfer-encoding", "connection", "authorization", "accept-encoding"}


class DroppedError(Exception):
    """The connection is cut: the operator gets no answer."""


@dataclass
class Call:
    """One request of the operator; `number` counts writes from 1 and is 0 for a read."""

    method: str
    path: str
    query: dict[str, str]
    number: int

    @property
    def is_write(self) -> bool:
        return self.number > 0

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") in {"true", "1", "True"}


class ProxyFault:
    """Nothing strikes; base of all faults."""

    async def before(self, call: Call) -> web.Response | None:
        """Called before a request is passed on; answer it here, or raise `DroppedError`."""
        return None

    async def after(self, call: Call) -> None:
        """Called when the API server has answered; raise `DroppedError` to keep the answer back."""

    def body(self, call: Call, data: bytes) -> bytes:
        """Return the answer to a read as the operator gets it."""
        return data

    def event(self, call: Call, line: bytes) -> bytes:
        """Return a watch event as the operator gets it; empty: not at all."""
        return line


class Proxy:
    """Listens on a port of its own. `token` is whom the operator is at the API server."""

    def __init__(self, upstream: str, token: str) -> None:
        self.fault = ProxyFault()
        self.calls: list[Call] = []
        self.on_write: Callable[[Call], None] = lambda call: None
        self.watches: dict[str, int] = {}
        self._upstream, self._token = upstream, token
        self._writes = 0
        self._streams: set[web.StreamResponse] = set()
        self._runner: web.AppRunner | None = None
        self.url = ""

    def set(self, fault: ProxyFault) -> None:
        self.fault, self._writes, self.calls = fault, 0, []

    @property
    def writes(self) -> int:
        return self._writes

    async def start(self) -> None:
        connector = TCPConnector(ssl=False, limit=0)
        self._session = ClientSession(connector=connector, timeout=ClientTimeout(total=None), read_bufsize=2**22)
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        self.close_watches()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._session.close()

    def close_watches(self) -> None:
        """Cut every watch."""
        for stream in list(self._streams):
            _cut(stream)

    async def say(self, event: dict[str, Any]) -> None:
        """Tell every watch an event that the API server has not sent."""
        for stream in list(self._streams):
            with contextlib.suppress(ConnectionError):
                await stream.write(json.dumps(event).encode() + b"\n")

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        write = request.method != "GET"
        self._writes += write
        call = Call(request.method, request.path, dict(request.query), self._writes if write else 0)
        self.calls.append(call)
        if write:
            self.on_write(call)
        try:
            answer = await self.fault.before(call)
            return answer if answer is not None else await self._pass_on(call, request)
        except DroppedError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)

    async def _pass_on(self, call: Call, request: web.Request) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        headers["Authorization"] = f"Bearer {self._token}"
        url = f"{self._upstream}{request.rel_url}"
        async with self._session.request(
            call.method, url, data=await request.read() or None, headers=headers
        ) as upstream:
            if call.is_watch and upstream.status == 200:
                return await self._stream(call, request, upstream)
            data = await upstream.read()
            await self.fault.after(call)
            data = data if call.is_write else self.fault.body(call, data)
            return web.Response(status=upstream.status, body=data, content_type="application/json")

    async def _stream(self, call: Call, request: web.Request, upstream: Any) -> web.StreamResponse:
        self.watches[call.path] = self.watches.get(call.path, 0) + 1
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        await stream.prepare(request)
        self._streams.add(stream)
        try:
            async for line in upstream.content:
                passed = self.fault.event(call, line)
                if passed:
                    await stream.write(passed)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._streams.discard(stream)
        return stream


def _cut(stream: web.StreamResponse) -> None:
    request = stream._req
    if request is not None and request.transport is not None:
        request.transport.abort()


def error(code: int, reason: str, message: str = "said by the test", retry_after_s: int | None = None) -> web.Response:
    """Return a Status as the API server would."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s is not None else {}
    return web.json_response({**status, "message": message}, status=code, headers=headers)
