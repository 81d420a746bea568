"""Python modules run as processes that are forked from one which has imported Prefect and Dask.

Their imports cost seconds of CPU in every process, most of what these tests would need. Our own modules are imported
anew in each process, and so are the flow's: with its environment, folder and path, as `python -m` would.
"""

from __future__ import annotations

import atexit
import functools
import json
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["prefect.main", "prefect.flow_engine", "prefect.task_engine", "prefect.events.clients", "distributed"]
)


class Forked:
    """What the tests use of `subprocess.Popen`."""

    def __init__(self, module: str, *args: str, cwd: Path, env: Mapping[str, str], log: Path) -> None:
        self.args: Sequence[str] = [module, *args]
        self._process = _context.Process(target=_run, args=(self.args, cwd, dict(env), log, _python_path()))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@functools.cache
def _python_path() -> list[str]:
    """Where a Python finds modules by itself: the tests have added folders of their own."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", "import json, sys; print(json.dumps(sys.path[1:]))"]
    return list(json.loads(subprocess.run(command, env=env, capture_output=True, check=True).stdout))


def _run(args: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path, python_path: list[str]) -> None:
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    # As `python -P` does, by which the pods' processes are started.
    sys.path[:] = [*filter(None, env.get("PYTHONPATH", "").split(os.pathsep)), *python_path]
    _read_settings_again()
    assert "prefect_flowrun" not in sys.modules, "it would have another process's environment"
    sys.argv[:] = args
    try:
        runpy.run_module(args[0], run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # a forked process ends without them


def _read_settings_again() -> None:
    """Prefect and Dask have read the environment when they were imported."""
    import dask
    from prefect.context import refresh_global_settings_context

    dask.config.refresh()
    refresh_global_settings_context()


def kill(driven: Any) -> None:
    """End a driver and its schedulers as the kernel ends a container."""
    pid = driven.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    driven.process.kill()
    driven.process.wait()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    for worker in driven.workers:
        worker.wait(60)
