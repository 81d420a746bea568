import pytest
from operator_testing.builders import a_worker, ended_worker

from flowrun_api.kinds.taskcluster import ScaleDown
from flowrun_operator.decide.scale_down import surplus

PENDING = {"running": False, "ready": False, "phase": "Pending"}


def pending(index):
    return a_worker(index, **PENDING)


# name, workers, wanted, removed with Any, removed with EndedOnly
TABLE = [
    ("nobody is too many", [a_worker(0), a_worker(1)], 2, [], []),
    ("fewer than wanted", [a_worker(0)], 2, [], []),
    ("the newest running ones go, or none", [a_worker(i) for i in range(4)], 2, [2, 3], []),
    ("one told to leave goes first", [a_worker(0), ended_worker(1, 0), a_worker(2)], 2, [1], [1]),
    ("before one that crashed", [ended_worker(0, 1), ended_worker(1, 0), a_worker(2)], 2, [1], [1]),
    ("one that crashed before a pending one", [pending(0), ended_worker(1, 1), a_worker(2)], 2, [1], [1]),
    ("a pending one before a running one", [pending(0), a_worker(1), a_worker(2)], 2, [0], [0]),
    ("of pending ones the newest", [pending(0), a_worker(1), pending(2)], 2, [2], [2]),
    ("one that is not ready before one that is", [a_worker(0, ready=False), a_worker(1), a_worker(2)], 2, [0], []),
    ("some ended, some running", [a_worker(0), ended_worker(1, 0), a_worker(2)], 1, [1, 2], [1]),
    ("pods that go already don't count", [a_worker(0), a_worker(1, deleting=True), a_worker(2)], 2, [], []),
    ("at zero all go", [a_worker(0), ended_worker(1, 0), pending(2)], 0, [0, 1, 2], [0, 1, 2]),
]


@pytest.mark.parametrize(("workers", "wanted", "any_", "ended"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE])
def test_scale_down_table(workers, wanted, any_, ended):
    assert [w.index for w in surplus(workers, wanted, ScaleDown.ANY)] == any_
    assert [w.index for w in surplus(workers, wanted, ScaleDown.ENDED_ONLY)] == ended
