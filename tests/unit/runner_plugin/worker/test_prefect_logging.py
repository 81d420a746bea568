"""The console of a worker process."""

from __future__ import annotations

import subprocess
import sys

import pytest

# In a process of its own: logging is set up once per process.
CODE = """
import logging, sys
from prefect_flowrun.worker import prefect_logging as logs
logs.set_up()
import rich.console
rich.console.Console.print = lambda *args, **kwargs: sys.stderr.write("looked for colours\\n")
logging.getLogger("prefect").warning("see https://x.test and 'name'")
"""


@pytest.mark.parametrize(("environment", "coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True)])
def test_a_line_comes_out_as_it_is_where_nothing_can_be_coloured(monkeypatch, tmp_path, environment, coloured):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"PREFECT_HOME": str(tmp_path), **environment}.items():
        monkeypatch.setenv(name, value)
    output = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stderr
    if coloured:
        assert "looked for colours" in output
    else:
        assert output.rstrip().endswith("| WARNING | prefect - see https://x.test and 'name'")
