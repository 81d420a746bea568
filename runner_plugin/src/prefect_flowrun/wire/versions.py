"""Versions on both sides of the wire, and which differences are known to break.

Pickles of code and of Prefect's objects travel between the driver and its workers. One image for both keeps the
versions equal; where they are not, a task would fail with an error that says nothing of the cause.
"""

from __future__ import annotations

import platform
import sys
from functools import cache
from importlib import metadata
from typing import Any

Versions = dict[str, str]

# Name shown, and how to ask without importing what is not imported yet.
_PACKAGES = {
    "prefect": "prefect",
    "cloudpickle": "cloudpickle",
    "distributed": "distributed",
    "ray": "ray",
    "plugin": "prefect-flowrun",
}
# Prefect 3.8 pickles result records by a module that older versions do not have.
_PREFECT_BREAK = (3, 8)
TESTED_PREFECT = ((3, 6), (3, 9))


class VersionMismatchError(RuntimeError):
    """Driver and worker have versions that are known not to work together."""


@cache
def _installed(engine: str) -> tuple[tuple[str, str], ...]:
    found = {"python": platform.python_version()}
    for name, package in _PACKAGES.items():
        if name in ("distributed", "ray") and name != engine:
            continue
        module = sys.modules.get(name)
        try:
            found[name] = getattr(module, "__version__", None) or metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return tuple(found.items())


def collect(engine: str) -> Versions:
    """Return the versions of this process.

    Args:
        engine: "distributed" or "ray": the other one does not matter.
    """
    return dict(_installed(engine))


def breaks(driver: Versions, worker: Versions) -> list[str]:
    """Name the differences that are known to break, each with both sides.

    Args:
        driver: versions of the driver.
        worker: versions of a worker.
    """
    return [
        f"{name} {driver[name]} in the driver, {worker[name]} on the worker"
        for name in differing(driver, worker)
        if _breaks(name, _numbers(driver[name]), _numbers(worker[name]))
    ]


def differing(driver: Versions, worker: Versions) -> list[str]:
    """Name what both sides have in different versions.

    Args:
        driver: versions of the driver.
        worker: versions of a worker.
    """
    return [name for name in driver if name in worker and driver[name] != worker[name]]


def check(driver: Versions, worker: Versions, node: str) -> None:
    """Refuse a worker whose versions are known not to work with the driver's.

    Args:
        driver: versions of the driver.
        worker: versions of the worker.
        node: its name.

    Raises:
        VersionMismatchError: naming both sides.
    """
    if found := breaks(driver, worker):
        raise VersionMismatchError(
            f"Driver and worker {node} do not fit together: {'; '.join(found)}. Use one image for both."
        )


def outside_tested_range(prefect: str) -> str | None:
    """Say that a Prefect version was not tested with this plugin; None if it was.

    Args:
        prefect: its version.
    """
    low, high = TESTED_PREFECT
    if low <= _numbers(prefect)[:2] <= high:
        return None
    tested = f"{low[0]}.{low[1]} to {high[0]}.{high[1]}"
    return f"Prefect {prefect} is outside the range that prefect-flowrun was tested with ({tested})"


def _breaks(name: str, driver: tuple[int, ...], worker: tuple[int, ...]) -> bool:
    rules: dict[str, Any] = {
        "python": lambda: driver[:2] != worker[:2],  # byte code of functions that travel by value
        "cloudpickle": lambda: driver[:1] != worker[:1],
        "prefect": lambda: driver[:1] != worker[:1] or (driver >= _PREFECT_BREAK) != (worker >= _PREFECT_BREAK),
        "ray": lambda: driver != worker,  # Ray itself demands it
        "plugin": lambda: driver[:2] != worker[:2],  # what travels is the plugin's own format
    }
    return bool(rules.get(name, lambda: False)())


def _numbers(version: str) -> tuple[int, ...]:
    parts = []
    for part in version.partition("+")[0].split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)
