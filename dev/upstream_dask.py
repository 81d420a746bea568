"""Runs prefect-dask's own tests of its task runner with the flows redirected to ours.

usage: python dev/upstream_dask.py FOLDER [PYTEST ARGUMENTS...]

FOLDER is `src/integrations/prefect-dask` of a checkout of Prefect at the installed version. The flows keep their
runners as they are written and are redirected as in a FlowRun with `redirectTaskRunners: Explicit`.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import pytest
from prefect.testing import utilities

from flowrun_api.contract import RedirectPolicy
from prefect_flowrun.runner import redirect
from prefect_flowrun.runner.options import EngineChoice


def main(folder: str, arguments: list[str]) -> int:
    """Run the tests; return pytest's exit code.

    Args:
        folder: of prefect-dask in the checkout.
        arguments: further ones for pytest.
    """
    os.environ["FLOWRUN_ENGINE"] = "dask"
    redirect.install((), RedirectPolicy.EXPLICIT, EngineChoice.DASK)
    # By the setting, which a busy machine may raise: PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.
    utilities.prefect_test_harness = partial(utilities.prefect_test_harness, server_startup_timeout=None)
    # Prefect starts its server by the name of a program.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    sys.path.insert(0, folder)  # their tests import their folder by name
    tests = Path(folder, "tests", "test_task_runners.py")
    return int(pytest.main([str(tests), "--rootdir", folder, "-c", "/dev/null", "-o", "asyncio_mode=auto", *arguments]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
