"""Runs every test of this folder with every task runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from conformance_suite.differences import DIFFERENCES
from conformance_suite.helpers import Gate, Tally
from conformance_suite.runners import RUNNERS, MakeRunner
from conformance_suite.table import TABLE, Table
from prefect_server import PrefectServer

if TYPE_CHECKING:
    from prefect.filesystems import LocalFileSystem
    from prefect.task_runners import TaskRunner

HERE = Path(__file__).parent
table = Table()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-table", action="store_true", help=f"write the outcome of the whole suite to {TABLE.name}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE not in item.path.parents or not isinstance(item, pytest.Function):
            continue
        if difference := DIFFERENCES.get((item.originalname, item.callspec.params["runner_name"])):
            reason = f"{difference.kind}: {difference.reason}"
            run, raises = not difference.hangs, difference.raises
            item.add_marker(pytest.mark.xfail(strict=True, raises=raises, reason=reason, run=run))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    ran = report.when == "call" or (report.when == "setup" and report.skipped)  # one that would hang is not run
    if ran and isinstance(item, pytest.Function) and "runner_name" in item.fixturenames:
        title = str(item.module.__doc__).strip()
        runner = item.callspec.params["runner_name"]
        table.add(item.path.stem, title, item.originalname, runner, passed=call.excinfo is None)
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if not session.config.getoption("--write-table"):
        return
    # An interrupted run, or one without a server, would write a table with rows missing, or none at all.
    if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not table.outcomes:
        raise pytest.UsageError("--write-table: the suite did not run to its end; the table is left as it is")
    if missing := table.missing():
        raise pytest.UsageError(f"--write-table needs the whole suite; not run with every runner: {', '.join(missing)}")
    TABLE.write_text(table.render())


@pytest.fixture(params=list(RUNNERS))
def runner_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def runner_factories(prefect_api: PrefectServer) -> Iterator[Callable[[str], MakeRunner]]:
    """Start the cluster of a runner when the first test asks for it."""
    made: dict[str, MakeRunner] = {}
    with ExitStack() as stack:

        def factory(name: str) -> MakeRunner:
            if name not in made:
                made[name] = stack.enter_context(RUNNERS[name]())
            return made[name]

        yield factory


@pytest.fixture
def make_runner(runner_name: str, runner_factories: Callable[[str], MakeRunner]) -> MakeRunner:
    return runner_factories(runner_name)


@pytest.fixture
def task_runner(make_runner: MakeRunner) -> TaskRunner[Any]:
    """The runner under test."""
    return make_runner()


@pytest.fixture
def server(prefect_api: PrefectServer) -> PrefectServer:
    return prefect_api


@pytest.fixture
def gate(tmp_path: Path, runner_name: str) -> Gate:
    """Holds a task up until the test opens it. Nobody can open it where a submit runs the task at once."""
    return Gate(tmp_path / "gate", patience_s=0.1) if runner_name == "flowrun-sequential" else Gate(tmp_path / "gate")


@pytest.fixture
def tally(tmp_path: Path) -> Tally:
    return Tally(tmp_path)


@pytest.fixture
def storage(prefect_api: PrefectServer, tmp_path: Path) -> LocalFileSystem:
    """Result storage that the flow and the workers see."""
    from prefect.filesystems import LocalFileSystem

    block = LocalFileSystem(basepath=str(tmp_path / "results"))
    block.save(f"results-{uuid4().hex}")
    return block
