"""What a flow has changed in its modules travels; what it has not changed, or what can't travel, does not."""

from __future__ import annotations

import importlib
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from prefect_flowrun.wire.module_changes import ModuleChanges

TEXT = """
import threading
from collections import Counter, defaultdict

LEVEL = 1
LIMITS = {"a": [1]}
SEEN = set()
COUNTS = Counter()
GROUPS = defaultdict(list)
LOCK = threading.Lock()
CLIENT = None


class Options:
    def __init__(self):
        self.depth = 1


OPTIONS = Options()


def get():
    return LEVEL
"""


@pytest.fixture
def settings(tmp_path, monkeypatch):
    (tmp_path / "some_settings.py").write_text(TEXT)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("some_settings")
    yield module
    sys.modules.pop("some_settings", None)


@pytest.fixture
def changes(settings, tmp_path) -> ModuleChanges:
    made = ModuleChanges([str(tmp_path)])
    made.look()
    return made


def arrive(changes: ModuleChanges):
    """Return the module as a worker has it."""
    blob = changes.current()
    del sys.modules["some_settings"]
    there = importlib.import_module("some_settings")
    if blob is not None:
        ModuleChanges([str(Path(str(there.__file__)).parent)]).take(blob.data)
    return there


def test_nothing_changed_nothing_travels(changes):
    assert changes.current() is None


@pytest.mark.parametrize(
    ("change", "look"),
    [
        (lambda m: setattr(m, "LEVEL", 2), lambda m: m.get()),
        (lambda m: m.LIMITS["a"].append(2), lambda m: m.LIMITS),
        (lambda m: m.LIMITS.update(b=1), lambda m: m.LIMITS),
        (lambda m: m.SEEN.add("x"), lambda m: m.SEEN),
        (lambda m: m.COUNTS.update("abba"), lambda m: m.COUNTS),
        (lambda m: m.GROUPS["a"].append(1), lambda m: m.GROUPS),
        (lambda m: setattr(m.OPTIONS, "depth", 3), lambda m: m.OPTIONS.depth),
        (lambda m: setattr(m, "NEW", "name"), lambda m: m.NEW),
        (lambda m: setattr(m, "get", len), lambda m: m.get([1, 2])),
    ],
    ids=["name", "inner list", "dict", "set", "Counter", "defaultdict", "attribute", "new name", "function"],
)
def test_a_change_is_seen_on_the_worker(settings, changes, change, look):
    assert changes.current() is None
    change(settings)
    assert look(arrive(changes)) == look(settings)
    assert isinstance(settings.COUNTS, Counter)
    assert isinstance(settings.GROUPS, defaultdict)


def test_what_is_changed_back_travels_too(settings, changes):
    settings.LEVEL = 2
    first = changes.current()
    settings.LEVEL = 1
    second = changes.current()
    assert first is not None
    assert second is not None
    assert first.digest != second.digest
    there = arrive(changes)
    worker = ModuleChanges([])
    worker.take(first.data)
    worker.take(second.data)
    assert there.LEVEL == 1


def test_the_same_state_is_the_same_blob(settings, changes):
    settings.LIMITS["b"] = 1
    assert changes.current() is changes.current()


@pytest.mark.parametrize("value", [lambda: __import__("threading").Lock(), lambda: "x" * 2**21, lambda: sys])
def test_what_cannot_travel_or_is_large_stays_what_the_worker_makes_of_it(settings, changes, value):
    settings.CLIENT = value()
    assert changes.current() is None


def test_modules_that_are_imported_later_are_watched_from_then_on(changes, tmp_path):
    (tmp_path / "came_later.py").write_text("X = 1\n")
    later = importlib.import_module("came_later")
    assert changes.current() is None
    later.X = 2
    assert changes.current() is not None
    del sys.modules["came_later"]


def test_a_module_that_a_worker_has_not_is_passed_over():
    import marshal
    import pickle

    ModuleChanges([]).take(marshal.dumps([("no_such_module", "X", pickle.dumps(1))]))


def test_a_worker_tells_on_what_it_was_told_and_what_a_task_has_changed(settings, changes, tmp_path):
    settings.LEVEL = 2
    blob = changes.current()
    assert blob is not None
    del sys.modules["some_settings"]
    worker = ModuleChanges([str(tmp_path)])
    worker.take(blob.data)
    told_on = worker.current()
    assert told_on is not None
    assert told_on.digest == blob.digest
    importlib.import_module("some_settings").LIMITS["a"] = 7
    changed = worker.current()
    assert changed is not None
    assert changed.digest != blob.digest


def test_a_large_container_is_not_looked_into(settings, tmp_path):
    settings.LIMITS.update((str(number), number) for number in range(10_000))
    changes = ModuleChanges([str(tmp_path)])
    changes.look()
    settings.LIMITS["a"] = 5
    assert changes.current() is None
