"""Runs on this machine by the command, to every end there is: real drivers, engines and a real Prefect server.

Reasons and exit codes are those of the same end on a cluster (README, "How it ends").
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect_server import PrefectServer
from stand_in import until

FLOWS = Path(__file__).parents[1] / "flows"
RUN_S = 200
DASK = {"name": "default", "engine": "Dask"}


@dataclass
class Command:
    """`flowrun run ... --local`."""

    process: subprocess.Popen[str]
    log: Path
    mark: str
    name: str

    @property
    def output(self) -> str:
        return self.log.read_text()

    def said(self, words: str) -> bool:
        """Whether a line begins so."""
        return any(line.startswith(words) for line in self.output.splitlines())

    def end(self) -> int:
        return self.process.wait(RUN_S)

    def others(self) -> list[int]:
        """Processes of the run."""
        return [pid for pid in _with(self.mark) if pid != self.process.pid]


def _with(mark: str) -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if mark.encode() in (folder / "environ").read_bytes() and (folder / "cmdline").read_bytes():
                    yield int(folder.name)
            except OSError:
                continue


Run = Callable[..., Command]


@pytest.fixture
def run(prefect_server: PrefectServer, tmp_path: Path) -> Iterator[Run]:
    commands: list[Command] = []

    def start(*arguments: str, **more: str) -> Command:
        mark, name = uuid.uuid4().hex, f"laptop-{uuid.uuid4().hex[:8]}"
        log = tmp_path / f"{mark}.log"
        env = {key: value for key, value in os.environ.items() if not key.startswith(("FLOWRUN_", "PREFECT_", "DASK_"))}
        env |= {
            "PREFECT_API_URL": prefect_server.url,
            "PREFECT_HOME": str(tmp_path / "home"),
            "LAPTOP_MARK": mark,
            **more,
        }
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "flowrun.cli", "run", *arguments, "--local", "--name", name],
                env=env,
                stdout=output,
                stderr=output,
                text=True,
                cwd=tmp_path,
                start_new_session=True,
            )
        commands.append(Command(process, log, mark, name))
        return commands[-1]

    yield start
    for command in commands:
        for pid in _with(command.mark):
            os.kill(pid, signal.SIGKILL)
        command.process.wait()


def manifest(folder: Path, flow: str, parameters: dict[str, Any] | None = None, **spec: Any) -> str:
    """A file with a FlowRun of `flows/ends.py` and its code."""
    code = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "code"},
        "data": {"ends.py": (FLOWS / "ends.py").read_text(), "broken.py": "def flow(:\n"},
    }
    flow_run = {
        "apiVersion": "flowrun.dev/v1alpha1",
        "kind": "FlowRun",
        "metadata": {"name": "ends"},
        "spec": {
            "flow": {"entrypoint": flow, "parameters": parameters or {}, "source": {"configMap": "code"}},
            "clusters": [DASK],
            **spec,
        },
    }
    path = folder / f"{uuid.uuid4().hex}.yaml"
    path.write_text(yaml.safe_dump_all([code, flow_run]))
    return str(path)


def state_in_prefect(server: PrefectServer, command: Command) -> str | None:
    runs = server.flow_runs_tagged(f"flowrun:local/{command.name}")
    return runs[0]["state_type"] if runs else None


@pytest.mark.parametrize(
    ("flow", "parameters", "spec", "code", "words", "state"),
    [
        ("ends.py:completed", {"count": 3}, {}, 0, "FlowCompleted", "COMPLETED"),
        ("ends.py:failed", {}, {}, 1, "FlowFailed: Flow run encountered an exception: ValueError: told to", "FAILED"),
        ("ends.py:completed", {"number": 3}, {}, 1, "InvalidParameters: ", "FAILED"),
        ("ends.py:missing", {}, {}, 1, "FlowLoadFailed: ", "FAILED"),
        ("broken.py:flow", {}, {}, 1, "FlowLoadFailed: ", "FAILED"),
        ("ends.py:endless", {}, {"activeDeadlineSeconds": 40}, 1, "DeadlineExceeded: ", "FAILED"),
    ],
)
def test_a_run_ends_as_on_a_cluster_and_leaves_nothing(
    run: Run,
    prefect_server: PrefectServer,
    tmp_path: Path,
    flow: str,
    parameters: dict[str, Any],
    spec: dict[str, Any],
    code: int,
    words: str,
    state: str,
) -> None:
    command = run(manifest(tmp_path, flow, parameters, **spec))
    assert command.end() == code, command.output
    assert command.said(words), command.output
    assert state_in_prefect(prefect_server, command) == state
    assert not command.others()


def test_a_killed_driver_is_crashed_and_tried_again_as_often_as_allowed(
    run: Run, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    retries = {"retryPolicy": {"maxInfrastructureRetries": 1}}
    marks = tmp_path / "marks"
    again = run(manifest(tmp_path, "ends.py:killed", {"marks": str(marks), "times": 1}, **retries))
    assert again.end() == 0, again.output
    assert marks.read_text() == "xx"
    assert "attempt 1 failed: DriverKilled" in again.output
    assert state_in_prefect(prefect_server, again) == "COMPLETED"

    once = run(manifest(tmp_path, "ends.py:killed", {"marks": str(tmp_path / "others"), "times": 9}))
    assert once.end() == 1, once.output
    assert once.said("DriverKilled: the driver was killed (SIGKILL)"), once.output
    assert state_in_prefect(prefect_server, once) == "CRASHED"
    assert not [*again.others(), *once.others()]


def test_ctrl_c_cancels_and_hooks_run(run: Run, prefect_server: PrefectServer, tmp_path: Path) -> None:
    command = run(manifest(tmp_path, "ends.py:endless"))
    until(lambda: "begun" in command.output, RUN_S)
    os.killpg(command.process.pid, signal.SIGINT)
    assert command.end() == 130, command.output
    assert command.said("Cancelled: "), command.output
    assert "the hook has run" in command.output
    assert "Traceback" not in command.output
    assert state_in_prefect(prefect_server, command) == "CANCELLED"
    assert not command.others()


def test_a_second_ctrl_c_does_not_wait(run: Run, tmp_path: Path) -> None:
    command = run(manifest(tmp_path, "ends.py:endless"))
    until(lambda: "begun" in command.output, RUN_S)
    for pid in command.others():  # none of them ends by itself now
        if b"driver" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGSTOP)
    os.kill(command.process.pid, signal.SIGINT)
    until(lambda: "Ctrl-C again ends it at once" in command.output, RUN_S)
    os.kill(command.process.pid, signal.SIGINT)
    assert command.end() == 130, command.output
    assert not command.others()


def test_a_command_that_is_killed_leaves_nothing(run: Run, prefect_server: PrefectServer, tmp_path: Path) -> None:
    command = run(manifest(tmp_path, "ends.py:endless"))
    until(lambda: "begun" in command.output, RUN_S)
    environs = [Path(f"/proc/{pid}/environ").read_bytes().decode() for pid in command.others()]
    command.process.kill()
    command.process.wait()
    until(lambda: not command.others(), RUN_S)
    folder = re.findall("FLOWRUN_RAY_FOLDER=([^\0]+)", "".join(environs))[0]
    until(lambda: not Path(folder).parent.exists(), RUN_S)
    until(lambda: state_in_prefect(prefect_server, command) == "CRASHED", RUN_S)


def test_a_killed_command_with_a_server_of_its_own_leaves_no_run_that_seems_to_run(run: Run, tmp_path: Path) -> None:
    command = run(manifest(tmp_path, "ends.py:endless"), PREFECT_API_URL="")
    until(lambda: "begun" in command.output, RUN_S)
    command.process.kill()
    command.process.wait()
    until(lambda: not command.others(), RUN_S)
    with closing(sqlite3.connect(tmp_path / "home" / "prefect.db")) as database:
        assert database.execute("SELECT state_type FROM flow_run").fetchall() == [("CRASHED",)]


def test_clusters_on_demand_and_elastic_ones_are_scaled_by_the_driver(run: Run, tmp_path: Path) -> None:
    later = {"name": "later", "engine": "Dask", "activation": "OnDemand"}
    elastic = {**DASK, "workers": {"minReplicas": 0, "maxReplicas": 2}}
    for flow, clusters in (("on_demand", [DASK, later]), ("completed", [elastic])):
        command = run(manifest(tmp_path, f"ends.py:{flow}", clusters=clusters))
        assert command.end() == 0, command.output
        assert not command.others()


def test_on_ray_it_is_the_same(run: Run, prefect_server: PrefectServer, tmp_path: Path) -> None:
    clusters = [{"name": "default", "engine": "Ray", "workers": {"replicas": 2}}]
    command = run(manifest(tmp_path, "ends.py:completed", clusters=clusters))
    assert command.end() == 0, command.output
    assert state_in_prefect(prefect_server, command) == "COMPLETED"
    assert not command.others()


def test_a_file_needs_no_manifest(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "helper.py").write_text("def twice(number):\n    return 2 * number\n")
    (tmp_path / "own" / "etl.py").write_text(
        "from pathlib import Path\nimport helper\nfrom prefect import flow, task\n\n"
        "@task\ndef twice(number):\n    return helper.twice(number)\n\n"
        "@flow\ndef etl(count: int):\n    Path('out').write_text(str(sum(twice.map(range(count)).result())))\n"
    )
    command = run("own/etl.py:etl", "-p", "count=4", "--workers", "1", "--threads", "2")
    assert command.end() == 0, command.output
    assert (tmp_path / "own" / "out").read_text() == "12"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.py:flow"], "nowhere.py: no such file"),
        (["nowhere.yaml"], "nowhere.yaml: "),
        ([str(FLOWS / "ends.py") + ":failed", "--detach"], "--detach: "),
        ([str(FLOWS / "ends.py") + ":failed", "--engine", "spark"], "--engine spark: one of dask, ray, none"),
    ],
)
def test_what_can_not_be_run_is_said_in_one_line(run: Run, arguments: list[str], said: str) -> None:
    command = run(*arguments)
    assert command.end() == 2
    assert command.output.startswith(f"flowrun: {said}")
    assert len(command.output.splitlines()) == 1


def test_it_brings_a_prefect_server_where_there_is_none_and_its_records_stay(run: Run, tmp_path: Path) -> None:
    command = run(str(FLOWS / "ends.py") + ":completed", "--engine", "none", PREFECT_API_URL="")
    assert command.end() == 0, command.output
    assert "Prefect's record of it is kept" in command.output
    assert (tmp_path / "home" / "prefect.db").stat().st_size
    assert not command.others()


def test_a_prefect_server_that_does_not_start_is_told_soon(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = run(
        str(FLOWS / "ends.py") + ":completed", "--engine", "none", PREFECT_API_URL="", PREFECT_HOME=f"{tmp_path}/file/x"
    )
    assert command.end() == 1, command.output
    assert command.said("PrefectUnreachable: Prefect's server of the run ended with exit code"), command.output


def test_parameters_arrive_as_they_are_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(
        "import json\nfrom pathlib import Path\nfrom prefect import flow\n\n"
        "@flow\ndef echo(value=1):\n    Path('out').write_text(json.dumps(value))\n"
    )
    value = {"a": ["$$", "$(FLOWRUN_NAME)", None, 1.5, "é"]}
    command = run("echo.py:echo", "--engine", "none", "-p", f"value={json.dumps(value)}")
    assert command.end() == 0, command.output
    assert json.loads((tmp_path / "out").read_text()) == value
