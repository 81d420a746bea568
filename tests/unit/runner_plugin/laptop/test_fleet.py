"""As many workers as are wanted; processes are real, and sleep."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from stand_in import until

from prefect_flowrun.laptop import fleet as module
from prefect_flowrun.laptop.commands import Command
from prefect_flowrun.laptop.fleet import Fleet
from prefect_flowrun.laptop.guardian import Guardian
from prefect_flowrun.laptop.processes import Process

SLEEP = "import time; time.sleep(600)"


class Workers:
    """Starts workers, and knows them."""

    def __init__(self, folder: Path) -> None:
        self.guardian = Guardian(folder)
        self.started: list[tuple[int, Process]] = []
        self.code = SLEEP
        self._folder = folder

    def start(self, index: int) -> Process:
        command = Command([sys.executable, "-I", "-S", "-c", self.code], {}, self._folder)
        process = Process(command, lambda _: None, self.guardian)
        self.started.append((index, process))
        return process

    @property
    def indices(self) -> list[int]:
        return [index for index, _ in self.started]


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    made = Workers(tmp_path)
    yield made
    for _, process in made.started:
        process.end_session()
    made.guardian.close()


@contextmanager
def fleet_of(workers: Workers, wanted: int, *, elastic: bool = False) -> Iterator[Fleet]:
    with ExitStack() as stack:
        fleet = Fleet(workers.start, wanted, elastic=elastic)
        stack.callback(fleet.close)
        fleet.tend()
        yield fleet


def test_workers_are_started_once_and_end_with_the_fleet(workers: Workers) -> None:
    with fleet_of(workers, 2) as fleet:
        fleet.tend()
        assert (workers.indices, fleet.alive) == ([0, 1], 2)
    assert all(process.poll() is not None for _, process in workers.started)
    fleet.tend()
    assert len(workers.started) == 2


def test_a_lost_worker_is_replaced_at_once_and_later_after_a_pause(workers: Workers) -> None:
    with fleet_of(workers, 2) as fleet:
        workers.code = "import sys; sys.exit(1)"
        workers.started[1][1].end_session()
        fleet.tend()
        assert workers.indices == [0, 1, 1]
        until(lambda: workers.started[2][1].poll() is not None)
        fleet.tend()
        assert workers.indices == [0, 1, 1]  # its second failure in a row


def test_one_that_leaves_in_peace_is_not_replaced_at_once(workers: Workers) -> None:
    workers.code = "pass"
    with fleet_of(workers, 1) as fleet:
        until(lambda: workers.started[0][1].poll() is not None)
        fleet.tend()
        assert workers.indices == [0]


def test_scaling_starts_and_ends_workers(workers: Workers) -> None:
    with fleet_of(workers, 0) as fleet:
        assert workers.indices == []
        fleet.scale(3)
        assert (workers.indices, fleet.alive, fleet.wanted) == ([0, 1, 2], 3, 3)
        fleet.scale(1)
        assert fleet.alive == 1
        fleet.scale(0)
        assert fleet.alive == 0


def test_the_driver_lets_workers_of_an_elastic_cluster_go_by_itself(workers: Workers) -> None:
    with fleet_of(workers, 2, elastic=True) as fleet:
        fleet.scale(1)
        assert fleet.alive == 2
        workers.started[0][1].end_session()
        fleet.tend()
        assert (fleet.alive, workers.indices) == (1, [0, 1])
        fleet.scale(0)
        assert fleet.alive == 0


def test_a_pause_grows_with_failures() -> None:
    assert list(module._BACKOFF_S) == sorted(module._BACKOFF_S)
