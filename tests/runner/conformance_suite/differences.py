"""Where task runners differ, and why. Each entry is a test that is expected to fail with that runner.

A test that passes although it is listed here fails the suite, so the list can't grow stale.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pytest
from prefect.exceptions import UnfinishedRun

Raises = type[BaseException] | tuple[type[BaseException], ...]


class Kind(StrEnum):
    """Whose choice it is."""

    DEFECT = "wrong"
    DESIGN = "differs"


@dataclass(frozen=True)
class Difference:
    """Why a test does not hold for a runner."""

    kind: Kind
    reason: str
    raises: Raises = AssertionError
    """How the test fails; any other failure is one of the suite, or of something else."""
    hangs: bool = False
    """The test is not run: it would not end, and nor would those after it on the same cluster."""


DIFFERENCES: dict[tuple[str, str], Difference] = {}


def _differ(
    kind: Kind,
    reason: str,
    runners: tuple[str, ...],
    *tests: str,
    raises: Raises = AssertionError,
    hangs: bool = False,
) -> None:
    difference = Difference(kind, reason, raises, hangs)
    DIFFERENCES.update({(test, runner): difference for test in tests for runner in runners})


STOCK_CLUSTERS = ("prefect-dask", "prefect-ray")
IN_PROCESS = ("threads", "flowrun-threads", "flowrun-sequential")

_differ(
    Kind.DESIGN,
    "A submit runs the task to its end, so nothing is ever pending, and tasks end in the order of the submits",
    ("flowrun-sequential",),
    "test_submit_returns_before_the_task_ends",
    "test_wait_with_a_timeout_returns_without_an_error",
    "test_wait_tells_ended_futures_from_others",
    "test_as_completed_yields_in_the_order_of_the_ends",
    "test_as_completed_with_a_timeout_raises_TimeoutError",
    "test_result_with_a_timeout_raises_TimeoutError",
    "test_failed_flow_cancels_what_is_queued",
    raises=(AssertionError, TimeoutError, pytest.fail.Exception),
)
_differ(
    Kind.DESIGN,
    "Tasks run in the flow's process and share its objects",
    IN_PROCESS,
    "test_tasks_do_not_share_mutable_parameters_with_the_flow",
    "test_large_parameter_can_be_changed_right_after_the_submit",
    raises=(AssertionError, TimeoutError),  # sequential: the task waits for a change that comes after it
)
_differ(
    Kind.DESIGN,
    "A thread per task: nothing is queued that could be cancelled",
    ("threads", "flowrun-threads"),
    "test_failed_flow_cancels_what_is_queued",
)
_differ(
    Kind.DEFECT,
    "Futures outside of Python's own collections are not replaced by their results (cf. PrefectHQ/prefect#15633)",
    ("prefect-dask",),
    "test_futures_in_collections_give_their_results",
)
_differ(
    Kind.DEFECT,
    "Prefect's annotations gain a level of tuple each time they are pickled (see `BaseAnnotation.__new__`), "
    "so a task gets `(value,)`",
    STOCK_CLUSTERS,
    "test_quoted_values_are_not_looked_into",
    "test_map_passes_annotated_values_on",
)
_differ(
    Kind.DEFECT,
    "The annotation is pickled as a tuple in a tuple: the task gets a tuple instead of the exception",
    ("prefect-ray",),
    "test_allow_failure_passes_the_exception",
    "test_map_allows_failures",
)
_differ(
    Kind.DEFECT,
    "The annotation is lost on the way, and the task does not run (prefect-dask#43 has the older form)",
    ("prefect-dask",),
    "test_allow_failure_passes_the_exception",
    "test_map_allows_failures",
    raises=UnfinishedRun,
)
_differ(
    Kind.DEFECT,
    "Annotations around collections of futures, and futures in sets and in nested lists, arrive as something else",
    ("prefect-ray",),
    "test_annotations_mean_what_they_mean_in_threads",
)
_differ(
    Kind.DEFECT,
    "Tasks hold their workers while they wait for futures that were not found in `wait_for`: all wait for ever",
    ("prefect-dask",),
    "test_annotations_mean_what_they_mean_in_threads",
    hangs=True,
)
_differ(
    Kind.DEFECT,
    "A future of another runner can't be pickled (`_thread.RLock`)",
    STOCK_CLUSTERS,
    "test_future_of_another_runner_gives_its_result",
    raises=TypeError,
)
_differ(
    Kind.DEFECT,
    "The future's state stays Pending or Running: `wait` takes the error for a timeout (PrefectHQ/prefect#17384)",
    ("prefect-dask",),
    "test_exception_that_cannot_be_unpickled_is_a_failure",
    "test_exception_that_cannot_be_pickled_is_a_failure",
    raises=(AssertionError, TypeError),  # such a state has no message
)
_differ(
    Kind.DEFECT,
    "Crashed instead of Failed, and the task's own message is lost",
    ("prefect-ray",),
    "test_exception_that_cannot_be_pickled_is_a_failure",
)
_differ(
    Kind.DEFECT,
    "Of a parameter that is the result of a task called directly it is not recorded that it is",
    ("prefect-ray",),
    "test_edges_are_recorded",
)
_differ(
    Kind.DEFECT,
    "What is queued when a flow fails is not cancelled: it runs",
    ("prefect-ray",),
    "test_failed_flow_cancels_what_is_queued",
)
_differ(
    Kind.DEFECT,
    "The flow does not wait for tasks that it has not asked for: those that have not begun at its end are Crashed",
    ("threads",),
    "test_flow_that_does_not_wait_has_all_its_tasks_run",
)
_differ(
    Kind.DEFECT,
    "The flow does not wait for tasks that it has not asked for: they are dropped",
    ("prefect-dask",),
    "test_flow_that_does_not_wait_has_all_its_tasks_run",
)
_differ(
    Kind.DEFECT,
    "The flow does not wait for tasks that it has not asked for: they are still running when it is Completed, and are "
    "dropped when its Ray ends",
    ("prefect-ray",),
    "test_flow_that_does_not_wait_has_all_its_tasks_run",
)
_differ(
    Kind.DEFECT,
    "The worker process ends, and the cluster runs the task again, up to four times, unseen by Prefect "
    "(ray-project/ray#40358)",
    STOCK_CLUSTERS,
    "test_sys_exit_in_a_task_crashes_that_task_once",
)
_differ(
    Kind.DEFECT,
    "`wait` raises the SystemExit in the flow, which crashes",
    ("threads", "flowrun-threads", "flowrun-sequential"),
    "test_sys_exit_in_a_task_crashes_that_task_once",
    raises=SystemExit,
)
_differ(
    Kind.DESIGN,
    "A transaction of the flow does not reach tasks in other processes; one inside a task works",
    ("prefect-dask", "prefect-ray", "flowrun-dask", "flowrun-ray"),
    "test_transaction_around_submits_rolls_back",
)
