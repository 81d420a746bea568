"""Counts of task runs."""

from __future__ import annotations

import queue
import threading

from prefect_flowrun.runner import progress
from prefect_flowrun.runner.progress import Counter, Progress


def test_counts_go_to_the_parent_too():
    process = Counter()
    first, second = Counter(process), Counter(process)
    first.add(submitted=2)
    second.add(submitted=1)
    first.add(ended=1, lost=1)
    assert first.progress == Progress(submitted=2, ended=1, lost=1)
    assert second.progress == Progress(submitted=1)
    assert process.progress == Progress(submitted=3, ended=1, lost=1)


def test_outstanding_is_what_has_not_ended():
    assert Progress(submitted=5, ended=3, lost=1).outstanding == 2


def test_it_reads_well():
    assert str(Progress(submitted=5, ended=3)) == "5 submitted, 3 ended"
    assert str(Progress(submitted=5, ended=3, lost=1)) == "5 submitted, 3 ended, 1 lost"


def test_threads_lose_no_count():
    counter = Counter(Counter())

    def count():
        for _ in range(2000):
            counter.add(submitted=1, ended=1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.progress == Progress(8000, 8000)
    assert counter._parent.progress == counter.progress


def test_a_count_held_earlier_does_not_change():
    counter = Counter()
    before = counter.progress
    counter.add(submitted=1)
    assert before == Progress()


def test_changes_are_announced_and_nothing_else(monkeypatch):
    counter = Counter()
    monkeypatch.setattr(progress, "of_this_process", counter)
    said: queue.Queue[str] = queue.Queue()
    progress.announce(said.put, interval_s=0.01)
    counter.add(submitted=2)
    assert said.get(timeout=60) == "task runs: 2 submitted, 0 ended"
    counter.add(ended=1)
    # No line of the same content in between.
    assert said.get(timeout=60) == "task runs: 2 submitted, 1 ended"
    assert said.empty()
