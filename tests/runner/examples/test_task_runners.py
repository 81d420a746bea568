"""docs/task-runners.md shows the examples as they are, and each prints what the page says and leaves it in Prefect."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect_server import FINAL, PrefectServer, eventually

from flowrun_api.kinds.flowrun import FlowRun
from prefect_flowrun import ClusterTaskRunner
from prefect_flowrun.driver.load_flow import load_flow
from prefect_flowrun.runner.options import EngineChoice, Fallback

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "examples" / "task_runners"
PAGE = (ROOT / "docs" / "task-runners.md").read_text()
# Everything else may come in any order.
IN_ORDER = ("01_sequential.py", "04_without_submit.py")
TASK_RUNS = {
    "01_sequential.py": 24,
    "02_concurrent.py": 8,
    "03_dask.py": 8,
    "04_without_submit.py": 5,
    "05_ray.py": 8,
    "06_subflows.py": 15,  # 12, and one for each subflow
    "07_result_storage.py": 6,
    "08_resources.py": 8,
}
IN_FLOW_ORDER = [f"{word} {name}" for name in ("ada", "grace", "edsger", "barbara") for word in ("hello", "goodbye")]
RUN_S = 240  # on a busy machine
# What Prefect and the runner say in the log of a run.
NOT_PRINTED = ("Beginning ", "View at ", "Finished in state", "Waiting for ")


@dataclass(frozen=True)
class Ran:
    """An example that has run."""

    output: str
    folder: Path
    server: PrefectServer

    @property
    def flow_runs(self) -> list[str]:
        """Ids of its flow runs, in the order of their beginnings."""
        return re.findall(r"View at \S+/flow-run/([0-9a-f-]{36})", self.output)

    def printed(self, lines: int) -> list[str]:
        """What its flows and tasks have printed, as Prefect has it, when there are so many lines."""
        return list(eventually(self._printed, lambda found: len(found) >= lines))

    def states(self, task_runs: int) -> list[str]:
        """States of its task runs, when so many have ended."""
        return list(eventually(self._states, lambda found: sum(state in FINAL for state in found) >= task_runs))

    def _printed(self) -> list[str]:
        lines = [line for run in self.flow_runs for line in self.server.logs(run)]
        return [line for line in lines if not line.startswith(NOT_PRINTED)]

    def _states(self) -> list[str]:
        return [task["state_type"] for run in self.flow_runs for task in self.server.task_runs(run)]


Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def run(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run an example as the page says: `run(name, *arguments, **environment)`. The same call runs it once."""
    ran: dict[Any, Ran] = {}

    def once(name: str, *arguments: str, **environment: str) -> Ran:
        key = (name, arguments, *environment.items())
        if key not in ran:
            folder = tmp_path_factory.mktemp(name.removesuffix(".py"))
            env = {
                **{key: value for key, value in os.environ.items() if not key.startswith(("FLOWRUN_", "PREFECT_"))},
                "PREFECT_HOME": str(folder / "home"),
                "PREFECT_API_URL": prefect_server.url,
                "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.2",
                **environment,
            }
            # Elsewhere than the file: an example may not count on its folder.
            command = [sys.executable, str(FOLDER / name), *arguments]
            process = subprocess.run(
                command,
                cwd=folder,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=RUN_S,
                check=False,
            )
            output = process.stdout.decode()
            assert process.returncode == 0, output
            ran[key] = Ran(output, folder, prefect_server)
        return ran[key]

    return once


def sections() -> Iterator[tuple[str, str, str]]:
    """Files that the page shows: name, code, output."""
    for section in PAGE.split("\n## "):
        named = re.search(r"^\[`(\d\d_\w+\.py)`\]\(\.\./examples/task_runners/(\S+)\)", section, re.MULTILINE)
        if named:
            assert named[1] == named[2]
            yield named[1], block(section, "python"), block(section, "text")


def block(section: str, language: str) -> str:
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[0]


SHOWN = {name: (code, output) for name, code, output in sections()}


def test_the_page_shows_every_example() -> None:
    assert list(SHOWN) == sorted(file.name for file in FOLDER.glob("*.py"))


@pytest.mark.parametrize("name", TASK_RUNS)
def test_the_page_shows_the_file_as_it_is(name: str) -> None:
    assert SHOWN[name][0] == (FOLDER / name).read_text()


@pytest.mark.parametrize("name", TASK_RUNS)
def test_an_example_prints_what_the_page_says(run: Run, name: str) -> None:
    expected = SHOWN[name][1].splitlines()
    printed = run(name).printed(len(expected))
    if name not in IN_ORDER:
        expected, printed = sorted(expected), sorted(printed)
    assert [portable(line) for line in printed] == [portable(line) for line in expected]


def portable(line: str) -> str:
    """How many tasks run at a time depends on the machine."""
    return re.sub(r"\d+ at a time", "some at a time", line)


@pytest.mark.parametrize("name", TASK_RUNS)
def test_every_task_run_of_an_example_is_completed_in_prefect(run: Run, name: str) -> None:
    assert run(name).states(TASK_RUNS[name]) == ["COMPLETED"] * TASK_RUNS[name]


def test_a_goodbye_comes_after_the_hello_that_it_waits_for(run: Run) -> None:
    printed = run("02_concurrent.py").printed(8)
    for name in ("ada", "grace", "edsger", "barbara"):
        assert printed.index(f"hello {name}") < printed.index(f"goodbye {name}")


@pytest.mark.parametrize("name", ["03_dask.py", "05_ray.py"])
def test_the_environment_makes_a_flow_sequential_without_a_cluster(run: Run, name: str) -> None:
    ran = run(name, FLOWRUN_ENGINE="sequential")
    assert ran.printed(8) == IN_FLOW_ORDER
    assert "cluster on this machine" not in ran.output


def test_resources_bound_how_many_run_at_a_time_on_ray(run: Run) -> None:
    """A task that needs every CPU of the machine is alone on it."""
    cpus = str(os.cpu_count())
    assert run("08_resources.py", cpus, FLOWRUN_ENGINE="ray").printed(1) == ["trained 4 parts, 1 at a time"]


def test_results_are_kept_where_the_environment_says(run: Run, tmp_path: Path) -> None:
    """A URL, then the block that it was saved as; each time in storage of which the second run finds the first's."""
    url = "local://results"  # fsspec's, so in the working directory
    by_url = run("07_result_storage.py", FLOWRUN_ENGINE="threads", RESULT_STORAGE=url)
    assert by_url.printed(6)[-1] == "the sum is 14; 2 of 4 results were there already"
    assert len(list((by_url.folder / "results").iterdir())) >= 4

    by_block = run(
        "07_result_storage.py", FLOWRUN_ENGINE="threads", RESULT_STORAGE="remote-file-system/task-runner-results"
    )
    assert by_block.printed(6)[-1] == "the sum is 14; 2 of 4 results were there already"
    assert len(list((by_block.folder / "results").iterdir())) >= 4


def test_the_manifest_runs_the_file_that_the_page_shows(tmp_path: Path) -> None:
    code, manifest = yaml.safe_load_all((FOLDER / "flowrun.yaml").read_text())
    assert code["data"] == {"03_dask.py": (FOLDER / "03_dask.py").read_text()}
    run = FlowRun.model_validate(manifest)
    assert run.spec.flow.source is not None
    assert run.spec.flow.source.config_map == code["metadata"]["name"]
    file, _, function = run.spec.flow.entrypoint.partition(":")
    (tmp_path / file).write_text(code["data"][file])
    assert load_flow(f"{tmp_path / file}:{function}").name == "greetings"


def test_the_page_has_every_option() -> None:
    options = list(inspect.signature(ClusterTaskRunner).parameters)
    assert [option for option in options if f"| `{option}`" not in PAGE] == []
    assert [value for value in (*EngineChoice, *Fallback) if f'"{value}"' not in PAGE] == []
