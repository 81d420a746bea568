"""Prefect task runner and flow driver for FlowRun.

Importing this package imports nothing else: the driver must be able to install its signal handler, and a worker to
answer its readiness probe, before the second or more that `import prefect` takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect_flowrun.engines.needs import needs
    from prefect_flowrun.runner.futures import ClusterFuture
    from prefect_flowrun.runner.task_runner import ClusterTaskRunner
    from prefect_flowrun.version import __version__

__all__ = ["ClusterFuture", "ClusterTaskRunner", "__version__", "needs"]

_HOME_OF = {
    "ClusterFuture": "prefect_flowrun.runner.futures",
    "ClusterTaskRunner": "prefect_flowrun.runner.task_runner",
    "__version__": "prefect_flowrun.version",
    "needs": "prefect_flowrun.engines.needs",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for.

    Args:
        name: the attribute asked for.

    Raises:
        AttributeError: the package has no such public name.
    """
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - nor does it need this

    return getattr(import_module(_HOME_OF[name]), name)
