"""A worker was lost with a task: may the task start again?"""

from __future__ import annotations

import pytest

from prefect_flowrun.worker import lost_task_policy


@pytest.mark.parametrize(
    ("start", "allowed", "runs"),
    [
        # A first start needs no leave.
        (1, 0, True),
        (1, 2, True),
        (2, 0, False),
        (2, 1, True),
        (3, 1, False),
        (3, 2, True),
        (4, 2, False),
    ],
)
def test_the_table_of_starts(start, allowed, runs):
    assert lost_task_policy.may_start(start, allowed).run is runs


def test_a_first_start_is_no_news():
    assert lost_task_policy.may_start(1, 3).message == ""


@pytest.mark.parametrize(
    ("start", "allowed", "said"),
    [
        (2, 2, "lost (once); the task is run again, 1 of 2"),
        (3, 2, "lost (2 times); the task is run again, 2 of 2"),
        (4, 2, "lost while it ran (3 times, 2 re-runs allowed)"),
        (2, 0, "lost while it ran (once, 0 re-runs allowed)"),
    ],
)
def test_the_message_counts_the_losses(start, allowed, said):
    assert said in lost_task_policy.may_start(start, allowed).message


def test_who_allows_no_re_runs_is_told_of_both_ways_to_allow_them_and_nobody_else():
    hint = "retries= of the task or lost_task_retries= of the runner"
    assert hint in lost_task_policy.may_start(2, 0).message
    assert hint not in lost_task_policy.may_start(3, 1).message
