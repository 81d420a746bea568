"""The function that an engine is told to run on a worker.

In a module of its own that imports nothing: Dask's scheduler unpickles what is submitted, and would else import
prefect, a second or more during which it answers nobody.
"""

from __future__ import annotations

from typing import Any


def run_task(payload: bytes, *states: Any) -> Any:
    """Run the task of a payload; see `payload.run`.

    Args:
        payload: made by `payload.pack`.
        states: final states of the upstream task runs.
    """
    from prefect_flowrun import payload as payloads  # noqa: PLC0415 - see above

    return payloads.run(payload, *states)
