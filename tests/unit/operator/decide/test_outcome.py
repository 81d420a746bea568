import pytest
from operator_testing.builders import a_job, a_pod, an_attempt, ended_pod, message

from flowrun_api.contract import ResultType
from flowrun_operator.decide.outcome import attempt_outcome
from flowrun_operator.model import Problem

DEADLINE = Problem("DeadlineExceeded", "too long")
BACKOFF = Problem("BackoffLimitExceeded", "Job has reached the specified backoff limit")

# name, attempt, reason, type, infrastructure, reported
TABLE = [
    ("success", an_attempt(driver=ended_pod(message())), "FlowCompleted", "COMPLETED", False, True),
    (
        "a flow that failed is not the infrastructure's fault",
        an_attempt(driver=ended_pod(message("FAILED", "FlowFailed"), 1)),
        "FlowFailed",
        "FAILED",
        False,
        True,
    ),
    (
        "a flow cancelled in Prefect",
        an_attempt(driver=ended_pod(message("CANCELLED", "FlowCancelled"), 1)),
        "FlowCancelled",
        "CANCELLED",
        False,
        True,
    ),
    (
        "a lost coordinator is the infrastructure's fault and told again",
        an_attempt(driver=ended_pod(message("CRASHED", "CoordinatorLost"), 1)),
        "CoordinatorLost",
        "CRASHED",
        True,
        False,
    ),
    (
        "a flow that ended well though Prefect was not told of it has ended well (F28)",
        an_attempt(driver=ended_pod(message(prefectInformed=False))),
        "FlowCompleted",
        "COMPLETED",
        False,
        False,
    ),
    (
        "exit code 0 counts for nothing without a message (F20)",
        an_attempt(driver=ended_pod("", 0)),
        "DriverExited",
        "CRASHED",
        True,
        False,
    ),
    (
        "a message of somebody else counts for nothing",
        an_attempt(driver=ended_pod("Traceback (most recent call last)", 1)),
        "DriverExited",
        "CRASHED",
        True,
        False,
    ),
    (
        "out of memory (F20)",
        an_attempt(driver=ended_pod("", 137, "OOMKilled")),
        "DriverOutOfMemory",
        "CRASHED",
        True,
        False,
    ),
    ("kill -9 (F20)", an_attempt(driver=ended_pod("", 137, "Error")), "DriverKilled", "CRASHED", True, False),
    (
        "evicted (F22)",
        an_attempt(driver=ended_pod("low on memory", -1, "Evicted")),
        "DriverEvicted",
        "CRASHED",
        True,
        False,
    ),
    (
        "Job deleted by hand (F14)",
        an_attempt(job=None, driver=None, job_gone=True),
        "DriverDeleted",
        "CRASHED",
        True,
        False,
    ),
    (
        "pod gone, Job failed",
        an_attempt(job=a_job(failure=BACKOFF), driver=None, pod_gone=True),
        "DriverLost",
        "CRASHED",
        True,
        False,
    ),
    (
        "a pod on a lost node that Kubernetes has given up (F21)",
        an_attempt(job=a_job(failure=BACKOFF), driver=a_pod(deleting=True, unreachable=True)),
        "NodeLost",
        "CRASHED",
        True,
        False,
    ),
    ("deadline", an_attempt(job=a_job(failure=DEADLINE)), "DeadlineExceeded", "FAILED", False, False),
    (
        "a driver that the deadline stopped says Terminated; the deadline is the reason",
        an_attempt(job=a_job(failure=DEADLINE), driver=ended_pod(message("CRASHED", "Terminated"), 1)),
        "DeadlineExceeded",
        "FAILED",
        False,
        False,
    ),
    (
        "a result of the flow outranks a deadline that struck later (a sidecar kept the pod)",
        an_attempt(job=a_job(failure=DEADLINE), driver=ended_pod(message())),
        "FlowCompleted",
        "COMPLETED",
        False,
        True,
    ),
]


@pytest.mark.parametrize(("attempt", "expected"), [(r[1], r[2:]) for r in TABLE], ids=[r[0] for r in TABLE])
def test_outcome_table(attempt, expected):
    outcome = attempt_outcome(attempt)
    assert (outcome.reason, outcome.type, outcome.infrastructure, outcome.reported) == expected


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(an_attempt(), id="running"),
        pytest.param(an_attempt(driver=None), id="no pod yet"),
        pytest.param(an_attempt(driver=a_pod(phase="Pending", running=False)), id="pending"),
        pytest.param(an_attempt(driver=a_pod(deleting=True)), id="pod being deleted: it may still tell its result"),
        pytest.param(an_attempt(job=a_job(failure=BACKOFF), driver=a_pod(deleting=True)), id="the same, Job doomed"),
        pytest.param(an_attempt(driver=a_pod(unreachable=True)), id="node does not answer: it may come back (F21)"),
        pytest.param(an_attempt(job=a_job(finished=True)), id="Job complete, the pod's end not seen yet"),
        pytest.param(an_attempt(job=a_job(deleting=True)), id="Job being deleted"),
        pytest.param(an_attempt(job=a_job(failure=BACKOFF), driver=None), id="Job failed, its pod not asked for (F06)"),
    ],
)
def test_an_attempt_without_an_end_has_no_outcome(attempt):
    assert attempt_outcome(attempt) is None


def test_F07_a_failed_job_seen_before_its_pods_end_waits_for_the_result_in_the_pod():
    # Jobs and pods come by different watches: the Job's failure may overtake the driver's message.
    early = an_attempt(job=a_job(failure=BACKOFF, finished=True), driver=a_pod(running=True))
    assert attempt_outcome(early) is None
    late = an_attempt(job=a_job(failure=BACKOFF, finished=True), driver=ended_pod(message("FAILED", "FlowFailed"), 1))
    assert attempt_outcome(late).reason == "FlowFailed"


def test_the_flow_run_of_the_result_is_kept():
    flow_run = attempt_outcome(an_attempt(driver=ended_pod(message()))).flow_run
    assert (flow_run.id, flow_run.state) == ("f-1", "Completed")


def test_a_result_without_a_flow_run_has_none():
    text = message("FAILED", "FlowLoadFailed", flowRunId=None)
    assert attempt_outcome(an_attempt(driver=ended_pod(text, 1))).flow_run is None


@pytest.mark.parametrize("type_", list(ResultType))
def test_every_type_of_result_is_read(type_):
    assert attempt_outcome(an_attempt(driver=ended_pod(message(type_.value, "FlowFailed")))).type is type_


@pytest.mark.parametrize("text", ["[" * 4096, "{}", "null", "[]", '"COMPLETED"', "\x00", '{"type": "DONE"}'])
def test_F30_no_termination_message_breaks_the_decision(text):
    assert attempt_outcome(an_attempt(driver=ended_pod(text, 1))).reason == "DriverExited"


def disrupted(reason: str, text: str = "", exit_code: int = 0, end: str = "Completed"):
    return an_attempt(driver=ended_pod(text, exit_code, end, node="n1", disruption=Problem(reason, "because")))


TERMINATED = message("CRASHED", "Terminated")
# name, attempt, reason, class
CLASSES = [
    ("a flow that completed has none", an_attempt(driver=ended_pod(message())), "FlowCompleted", None),
    ("a flow that failed", an_attempt(driver=ended_pod(message("FAILED", "FlowFailed"), 1)), "FlowFailed", "Flow"),
    (
        "code that can't be loaded",
        an_attempt(driver=ended_pod(message("FAILED", "FlowLoadFailed"), 1)),
        "FlowLoadFailed",
        "Flow",
    ),
    (
        "parameters",
        an_attempt(driver=ended_pod(message("FAILED", "InvalidParameters"), 1)),
        "InvalidParameters",
        "User",
    ),
    (
        "cancelled in Prefect",
        an_attempt(driver=ended_pod(message("CANCELLED", "FlowCancelled"), 1)),
        "FlowCancelled",
        "User",
    ),
    ("cancelled, in other words (F24)", an_attempt(driver=ended_pod(message("CANCELLED", "Odd"), 1)), "Odd", "User"),
    ("a deadline", an_attempt(job=a_job(failure=DEADLINE)), "DeadlineExceeded", "User"),
    ("a killed driver", an_attempt(driver=ended_pod("", 137, "Error")), "DriverKilled", "Infrastructure"),
    ("drained (F22)", disrupted("EvictionByEvictionAPI"), "DriverEvicted", "Infrastructure"),
    (
        "drained, and the driver said so",
        disrupted("EvictionByEvictionAPI", TERMINATED, 1),
        "DriverEvicted",
        "Infrastructure",
    ),
    ("preempted (F23)", disrupted("PreemptionByScheduler"), "DriverPreempted", "Infrastructure"),
    (
        "preempted by Kueue (F23)",
        disrupted("WorkloadEvictedDueToPreempted", "", 143),
        "DriverPreempted",
        "Infrastructure",
    ),
    ("the node was deleted (F21)", disrupted("DeletionByPodGC", "", -1, "Failed"), "NodeLost", "Infrastructure"),
    ("the node came back (F21)", disrupted("DeletionByTaintManager", "", 255, "Unknown"), "NodeLost", "Infrastructure"),
    ("evicted by a taint", disrupted("DeletionByTaintManager", "", 143, "Error"), "DriverEvicted", "Infrastructure"),
    ("the node restarted (F21)", an_attempt(driver=ended_pod("", 255, "Unknown")), "NodeLost", "Infrastructure"),
    (
        "the driver's own result outranks a disruption",
        disrupted("EvictionByEvictionAPI", message()),
        "FlowCompleted",
        None,
    ),
]


@pytest.mark.parametrize(("attempt", "reason", "failure"), [r[1:] for r in CLASSES], ids=[r[0] for r in CLASSES])
def test_class_table(attempt, reason, failure):
    outcome = attempt_outcome(attempt)
    assert (outcome.reason, outcome.failure) == (reason, failure)


def test_F20_exit_code_0_of_an_evicted_driver_is_no_success():
    assert attempt_outcome(disrupted("DeletionByTaintManager")).type == "CRASHED"


@pytest.mark.parametrize(
    ("driver", "evidence"),
    [
        (ended_pod("", 137, "OOMKilled", node="n1"), ["pod etl-1-abcde on node n1", "OOMKilled, exit code 137"]),
        (ended_pod("", 1, "Error", node="n1"), ["pod etl-1-abcde on node n1", "Error, exit code 1"]),
        (ended_pod("", 0), ["pod etl-1-abcde", "Completed, exit code 0", "no result"]),
        (ended_pod("low on memory", -1, "Evicted", node="n1"), ["on node n1", "low on memory"]),
        (ended_pod(TERMINATED, 1, "Error", node="n1"), ["on node n1", "exit code 1"]),
    ],
    ids=["out of memory", "an error", "exit code 0", "evicted", "the driver's words"],
)
def test_F20_a_crash_is_told_with_its_evidence(driver, evidence):
    text = attempt_outcome(an_attempt(driver=driver)).message
    assert [part for part in evidence if part not in text] == []
