from uuid import uuid4

from prefect_flowrun.worker.unrecorded import (
    LEAST_WINDOW,
    LOST_AFTER_S,
    LOST_AT_END_AFTER_S,
    PER_QUESTION,
    SENT_AT_MOST,
    WINDOW,
    Unrecorded,
)


def _sent(count: int) -> tuple[Unrecorded[str], list]:
    unrecorded: Unrecorded[str] = Unrecorded()
    ids = [uuid4() for _ in range(count)]
    for number, each in enumerate(ids):
        unrecorded.add(each, f"event {number}")
    return unrecorded, ids


def test_a_worker_waits_once_its_window_is_full_and_goes_on_when_the_oldest_are_recorded():
    unrecorded, _ = _sent(WINDOW)
    assert unrecorded.full
    asked = unrecorded.oldest()
    assert unrecorded.note(asked, len(asked), now=0) == []
    assert not unrecorded.full
    assert unrecorded.room == PER_QUESTION


def test_a_slow_server_has_lost_nothing_as_long_as_it_gets_on():
    unrecorded, ids = _sent(10)
    for step in range(9):
        assert unrecorded.note(ids, step, now=step * (LOST_AFTER_S - 1)) == []


def test_what_is_not_recorded_without_any_progress_is_sent_again_and_the_window_shrinks():
    unrecorded, ids = _sent(10)
    assert unrecorded.note(ids, 7, now=0) == []
    lost = unrecorded.note(ids, 7, now=LOST_AFTER_S + 1)
    assert lost == ids
    again, given_up = unrecorded.lost(lost, recorded=set(ids[:7]))
    assert (again, given_up) == (["event 7", "event 8", "event 9"], 0)
    assert (len(unrecorded), unrecorded.window) == (0, WINDOW // 2)


def test_patience_is_shorter_at_the_end_of_a_flow():
    unrecorded, ids = _sent(1)
    unrecorded.hurry()
    unrecorded.note(ids, 0, now=0)
    assert unrecorded.note(ids, 0, now=LOST_AT_END_AFTER_S + 1) == ids


def test_a_server_that_never_records_is_asked_no_more():
    unrecorded, (task_run,) = _sent(1)
    for times in range(1, SENT_AT_MOST + 1):
        again, given_up = unrecorded.lost([task_run], recorded=set())
        assert (len(again), given_up) == ((1, 0) if times < SENT_AT_MOST else (0, 1))
        for each in again:
            unrecorded.add(task_run, each)
    assert not unrecorded.ask
    unrecorded.add(task_run, "one more")
    assert len(unrecorded) == 0


def test_the_window_never_closes():
    unrecorded, ids = _sent(1)
    for _ in range(20):
        unrecorded.add(ids[0], "event")
        unrecorded._again.clear()
        unrecorded.lost(ids, recorded=set(ids))
    assert unrecorded.window == LEAST_WINDOW


def test_a_broken_connection_gives_back_what_was_under_way_in_order():
    unrecorded, _ = _sent(3)
    assert unrecorded.take_all() == ["event 0", "event 1", "event 2"]
    assert len(unrecorded) == 0
