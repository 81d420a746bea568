"""Runs prefect-ray's own tests of its task runner with ours in its place.

usage: python dev/upstream_ray.py FOLDER [PYTEST ARGUMENTS...]

FOLDER is `src/integrations/prefect-ray` of a checkout of Prefect at the installed version. Only the tests with the
default runner are run: the other fixtures give an address, and such a runner is left as it is.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import prefect_ray
import prefect_ray.task_runners
import pytest
from prefect.testing import utilities

from prefect_flowrun import ClusterTaskRunner

_SELECTED = "default_ray_task_runner or test_ray_options or test_dependencies"


class Ours(ClusterTaskRunner):
    """What these tests make of their default runner."""

    def __init__(self, init_kwargs: Any = None) -> None:
        # Of no meaning here: the default fixture of some versions gives it a setting of Ray's own development.
        del init_kwargs
        super().__init__(engine="ray")


def main(folder: str, arguments: list[str]) -> int:
    """Run the tests; return pytest's exit code.

    Args:
        folder: of prefect-ray in the checkout.
        arguments: further ones for pytest.
    """
    for module in (prefect_ray, prefect_ray.task_runners):
        setattr(module, "RayTaskRunner", Ours)  # noqa: B010 - the type checker knows another class there
    # By the setting, which a busy machine may raise: PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.
    utilities.prefect_test_harness = partial(utilities.prefect_test_harness, server_startup_timeout=None)
    # Prefect starts its server by the name of a program.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    sys.path.insert(0, folder)  # their tests import their folder by name
    tests = Path(folder, "tests", "test_task_runners.py")
    return int(
        pytest.main(
            [str(tests), "--rootdir", folder, "-c", "/dev/null", "-o", "asyncio_mode=auto", "-k", _SELECTED, *arguments]
        )
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
