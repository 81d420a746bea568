"""The forked processes of these tests: what a module sees must be what it sees when Python is started for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from forked import Forked

PROBE = """
import atexit, json, os, signal, sys, threading

found = {
    "ours": sorted(name for name in sys.modules if name.startswith("prefect_flowrun")),
    "argv": sys.argv[1:],
    "name": __name__,
    "path": sys.path,
    "cwd": os.getcwd(),
    "env": dict(os.environ),
    "threads": threading.active_count(),
    "handler": str(signal.getsignal(signal.SIGTERM)),
}

import dask
from prefect.settings import get_current_settings

found["api"] = get_current_settings().api.url
found["home"] = str(get_current_settings().home)
found["dask"] = dask.config.get("scheduler-address")
print(json.dumps(found, indent=1))
atexit.register(print, "exit function")
sys.exit(3)
"""


def test_a_forked_module_sees_what_it_sees_in_a_python_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://of-the-tests/api")
    (tmp_path / "probe.py").write_text(PROBE)
    env = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    env |= {"PREFECT_API_URL": "http://here/api", "PREFECT_HOME": str(tmp_path), "DASK_SCHEDULER_ADDRESS": "tcp://b:1"}
    env["PYTHONPATH"] = str(tmp_path)

    log = tmp_path / "forked.log"
    forked = Forked("probe", "--word", cwd=tmp_path, env=env, log=log)
    fresh = subprocess.run(
        [sys.executable, "-P", "-m", "probe", "--word"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert forked.wait(60) == fresh.returncode == 3
    assert log.read_text() == fresh.stdout


def test_a_forked_process_that_is_killed_says_so(tmp_path):
    (tmp_path / "sleeps.py").write_text("import time; print('up', flush=True); time.sleep(60)")
    forked = Forked("sleeps", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, log=tmp_path / "log")
    assert forked.poll() is None
    forked.kill()
    assert forked.wait(60) == -signal.SIGKILL
