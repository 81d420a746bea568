"""Pods as real API servers give them."""

import pytest
from operator_testing.builders import NOW, ago, raw_pod, rfc

from flowrun_operator.model import Problem
from flowrun_operator.observe.pods import pod_facts


def waiting(reason: str, message: str = "") -> dict:
    return {"waiting": {"reason": reason, "message": message}}


def terminated(exit_code: int, reason: str, message: str | None = None) -> dict:
    end = {"exitCode": exit_code, "reason": reason, "startedAt": rfc(ago(9)), "finishedAt": rfc(ago(3))}
    return {"terminated": end | ({"message": message} if message is not None else {})}


RUNNING = {"running": {"startedAt": rfc(ago(5))}}
READY = {"type": "Ready", "status": "True"}
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 Insufficient cpu.",
}
SIDECAR = {"name": "istio-proxy", "state": RUNNING}

# name, pod, reason, part of the message
PROBLEMS = [
    (
        "no image",
        raw_pod(state=waiting("ImagePullBackOff", 'Back-off pulling "x"')),
        "ImagePullBackOff",
        "pull secrets",
    ),
    ("pull error", raw_pod(state=waiting("ErrImagePull", "not found")), "ErrImagePull", "not found"),
    (
        "missing config map",
        raw_pod(state=waiting("CreateContainerConfigError", 'secret "s" not found')),
        "CreateContainerConfigError",
        "not found",
    ),
    ("image name", raw_pod(state=waiting("InvalidImageName")), "InvalidImageName", "correct"),
    ("no node has room", raw_pod(conditions=[UNSCHEDULABLE]), "Unschedulable", "Insufficient cpu"),
    ("gated by Kueue", raw_pod(conditions=[{**UNSCHEDULABLE, "reason": "SchedulingGated"}]), "SchedulingGated", ""),
    (
        "an init container is stuck",
        raw_pod(
            state=waiting("PodInitializing"),
            init=[{"name": "istio-init", "state": waiting("ImagePullBackOff", "no such tag")}],
        ),
        "ImagePullBackOff",
        "init container istio-init: no such tag",
    ),
]


@pytest.mark.parametrize(("pod", "reason", "part"), [r[1:] for r in PROBLEMS], ids=[r[0] for r in PROBLEMS])
def test_F18_what_keeps_a_pod_from_starting(pod, reason, part):
    facts = pod_facts(pod)
    assert (facts.problem.reason, facts.running, facts.live) == (reason, False, True)
    assert part in facts.problem.message


@pytest.mark.parametrize(
    "pod",
    [
        raw_pod(),
        raw_pod(state=waiting("ContainerCreating")),
        raw_pod(state=waiting("PodInitializing")),
        raw_pod(conditions=[{"type": "PodScheduled", "status": "True"}]),
        raw_pod(state=RUNNING, phase="Running"),
    ],
    ids=["just created", "creating", "initialising", "scheduled", "running"],
)
def test_an_ordinary_start_is_no_problem(pod):
    assert pod_facts(pod).problem is None


def test_events_explain_a_pod_that_says_nothing_itself():
    explanation = Problem("FailedMount", 'configmap "code" not found')
    assert pod_facts(raw_pod(state=waiting("ContainerCreating")), explanation).problem == explanation


def test_a_running_pod_has_outlived_what_events_said():
    assert pod_facts(raw_pod(state=RUNNING, phase="Running"), Problem("FailedMount", "x")).problem is None


def test_ready_needs_the_condition():
    assert pod_facts(raw_pod(state=RUNNING, phase="Running", conditions=[READY])).ready
    assert not pod_facts(raw_pod(state=RUNNING, phase="Running")).ready


def test_a_termination_message_is_the_result():
    facts = pod_facts(raw_pod(phase="Succeeded", state=terminated(0, "Completed", '{"type": "COMPLETED"}')))
    assert (facts.terminated.message, facts.terminated.exit_code) == ('{"type": "COMPLETED"}', 0)
    assert facts.terminated.finished_at == ago(3)
    assert not facts.live


def test_F20_out_of_memory():
    facts = pod_facts(raw_pod(phase="Failed", state=terminated(137, "OOMKilled")))
    assert (facts.terminated.exit_code, facts.terminated.reason, facts.terminated.message) == (137, "OOMKilled", "")


def test_F22_an_evicted_pod_may_have_no_container_status():
    status = {"reason": "Evicted", "message": "The node was low on resource: memory."}
    facts = pod_facts(raw_pod(phase="Failed", status=status))
    assert (facts.terminated.exit_code, facts.terminated.reason) == (-1, "Evicted")
    assert "low on resource" in facts.terminated.message
    assert (facts.problem, facts.live) == (None, False)


def test_the_main_container_counts_when_sidecars_stand_beside_it():
    facts = pod_facts(raw_pod(phase="Running", state=terminated(0, "Completed", "{}"), others=[SIDECAR]))
    assert facts.terminated is not None
    assert not facts.live
    waits = pod_facts(raw_pod(phase="Pending", state=waiting("ImagePullBackOff"), others=[SIDECAR]))
    assert (waits.running, waits.problem.reason) == (False, "ImagePullBackOff")


def test_F21_a_pod_being_deleted_is_not_alive():
    facts = pod_facts(raw_pod(phase="Running", state=RUNNING, deletionTimestamp=rfc(NOW)))
    assert (facts.deleting, facts.live) == (True, False)


NOT_READY = {"type": "Ready", "status": "False"}
CONTAINERS_READY = {"type": "ContainersReady", "status": "True"}


# name, pod, whether its node does not answer
UNREACHABLE = [
    ("all is well", raw_pod(state=RUNNING, phase="Running", conditions=[READY, CONTAINERS_READY]), False),
    (
        "the node controller took it",
        raw_pod(state=RUNNING, phase="Running", conditions=[NOT_READY, CONTAINERS_READY]),
        True,
    ),
    (
        "the kubelet says so itself",
        raw_pod(state=RUNNING, phase="Running", conditions=[NOT_READY, {**CONTAINERS_READY, "status": "False"}]),
        False,
    ),
    ("it has ended", raw_pod(state=terminated(255, "Unknown"), conditions=[NOT_READY, CONTAINERS_READY]), False),
    ("no condition yet", raw_pod(state=RUNNING, phase="Running"), False),
]


@pytest.mark.parametrize(("pod", "unreachable"), [r[1:] for r in UNREACHABLE], ids=[r[0] for r in UNREACHABLE])
def test_F21_a_pod_on_a_lost_node_still_says_running(pod, unreachable):
    assert pod_facts(pod).unreachable is unreachable


def test_F21_a_readiness_gate_is_no_lost_node():
    pod = raw_pod(state=RUNNING, phase="Running", conditions=[NOT_READY, CONTAINERS_READY])
    pod["spec"] = {"nodeName": "n1", "readinessGates": [{"conditionType": "x"}]}
    assert (pod_facts(pod).unreachable, pod_facts(pod).node) == (False, "n1")


@pytest.mark.parametrize("type_", ["DisruptionTarget", "TerminationTarget"])
def test_F22_why_kubernetes_ends_a_pod_is_read(type_):
    condition = {"type": type_, "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API"}
    facts = pod_facts(raw_pod(state=RUNNING, phase="Running", conditions=[condition]))
    assert facts.disruption == Problem("EvictionByEvictionAPI", "Eviction API")
    assert pod_facts(raw_pod(conditions=[{**condition, "status": "False"}])).disruption is None


def test_F21_a_pod_that_was_collected_with_its_node_has_ended_whatever_its_container_says():
    facts = pod_facts(raw_pod(phase="Failed", state=RUNNING))
    assert (facts.running, facts.ended, facts.terminated.exit_code) == (False, True, -1)


def test_F20_a_pod_that_succeeded_without_a_word_has_ended():
    assert pod_facts(raw_pod(phase="Succeeded")).terminated.reason == "Succeeded"


def test_a_pod_without_a_status_is_pending():
    pod = raw_pod()
    del pod["status"]
    assert (pod_facts(pod).phase, pod_facts(pod).live) == ("Pending", True)


WAITS = {"name": "proxy", "state": waiting("ImagePullBackOff")}
GONE = {"name": "proxy", "state": terminated(0, "Completed")}
ENDED = terminated(0, "Completed")


# name, pod, whether a sidecar keeps it
SIDECARS = [
    ("it runs on", raw_pod(phase="Running", state=ENDED, others=[SIDECAR]), True),
    ("it is about to be started", raw_pod(phase="Pending", state=ENDED, others=[WAITS]), True),
    ("it has ended", raw_pod(phase="Running", state=ENDED, others=[GONE]), False),
    ("the pod is over", raw_pod(phase="Failed", state=ENDED, others=[SIDECAR]), False),
    ("the main container runs", raw_pod(phase="Running", state=RUNNING, others=[SIDECAR]), False),
    ("there is none", raw_pod(phase="Running", state=ENDED), False),
    ("the kubelet stops it by itself", raw_pod(phase="Running", state=ENDED, init=[SIDECAR]), False),
]


@pytest.mark.parametrize(("pod", "lingers"), [row[1:] for row in SIDECARS], ids=[row[0] for row in SIDECARS])
def test_a_pod_lingers_when_its_main_container_has_ended_and_a_sidecar_has_not(pod, lingers):
    assert pod_facts(pod).lingers is lingers


def test_a_pod_that_was_told_to_end_is_known():
    assert not pod_facts(raw_pod(phase="Running", state=ENDED, others=[SIDECAR])).overdue
    assert pod_facts({**raw_pod(phase="Running", state=ENDED), "spec": {"activeDeadlineSeconds": 1}}).overdue


def test_the_result_stays_readable_when_the_kubelet_has_ended_the_sidecars():
    status = {"reason": "DeadlineExceeded", "message": "Pod was active on the node longer than the specified deadline"}
    facts = pod_facts(raw_pod(phase="Failed", state=terminated(0, "Completed", "{}"), others=[GONE], status=status))
    assert (facts.terminated.exit_code, facts.terminated.message) == (0, "{}")
