"""Other tasks of the loop get their turn."""

from __future__ import annotations

import asyncio


async def settle() -> None:
    """Let the other tasks run as far as they come without I/O, however slow the machine is."""
    for _ in range(20):
        await asyncio.sleep(0)
