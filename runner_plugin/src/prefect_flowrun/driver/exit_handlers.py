"""Give what the flow has registered with `atexit` a moment, in a process that does not leave its interpreter in order.

OpenTelemetry, sentry and others send their last data there. Leaving in order would wait for threads and open clients
too, without a limit.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
from typing import NoReturn

PATIENCE_S = 1.0
# Their clusters have been left, or go with this process; Ray would take most of the time.
_NOT_WAITED_FOR = (("ray._private.worker", "shutdown"), ("distributed.deploy.spec", "close_clusters"))


def end_process(exit_code: int) -> NoReturn:
    """Run the exit handlers, last registered first, and end the process; by force when their time is over.

    Args:
        exit_code: of the process.
    """
    force = threading.Timer(PATIENCE_S, os._exit, args=(exit_code,))
    force.daemon = True
    force.start()
    for module, function in _NOT_WAITED_FOR:
        if module in sys.modules and (handler := getattr(sys.modules[module], function, None)) is not None:
            atexit.unregister(handler)
    # A handler that fails has its traceback printed by Python; what it raises beyond that must not keep us here.
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    with contextlib.suppress(BaseException):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(exit_code)
