"""What is kept of tasks when the cluster that holds their outcomes is left while the flow still holds their futures.

Outcomes stay on the cluster until somebody asks for them. A cluster on demand leaves some seconds after the subflow
that used it; futures that a flow has kept from there are asked after that, and the tasks have not failed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect_flowrun.engines.base import Engine
    from prefect_flowrun.runner.futures import ClusterFuture

_logger = logging.getLogger(__name__)

# In all: the driver's memory is made for the flow, not for the data of its tasks.
KEPT_BYTES = 64 * 2**20


def keep_outcomes(engine: Engine, futures: Sequence[ClusterFuture[Any]]) -> None:
    """Fetch outcomes, smallest first, as long as they are few bytes; have the others look for their end in Prefect.

    Args:
        engine: about to be closed.
        futures: of its tasks.
    """
    held = [future for future in futures if future.is_on_cluster()]
    if not held:
        return
    room, left = KEPT_BYTES, 0
    sized = zip(engine.sizes([future.wrapped_future for future in held]), held, strict=True)
    for size, future in sorted(sized, key=lambda pair: pair[0] or 0):
        if (size or 0) <= room:
            room -= size or 0
            future.fetch()
        else:
            left += 1
            future.leave_behind()
    if left:
        _logger.warning(
            "The results of %d task run(s) were too large to be kept when their cluster was left: fetch them in the "
            "flow that uses it, or persist them (persist_result=True)",
            left,
        )
