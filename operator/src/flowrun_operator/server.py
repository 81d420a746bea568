"""HTTP endpoints: /healthz (the loop and its background tasks live), /readyz (kopf has started), /metrics."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


async def serve(port: int, *, is_alive: Callable[[], bool], is_ready: Callable[[], bool]) -> web.AppRunner:
    """Start the endpoints.

    Args:
        port: TCP port on all addresses.
        is_alive: Asked at every /healthz.
        is_ready: Asked at every /readyz.

    Returns:
        The runner; call its `cleanup()` to stop.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok") if is_alive() else web.Response(status=500, text="a background task has ended")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok") if is_ready() else web.Response(status=503, text="starting")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner
