"""Properties of decide over generated views: whatever the world looks like, a decision is made and does no harm."""

import copy
from dataclasses import replace

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from operator_testing.builders import (
    DEFAULTS,
    NOW,
    RUN_UID,
    a_cluster,
    a_cluster_facts,
    a_cluster_view,
    a_condition,
    a_run,
    ago,
    message,
    rfc,
)

from flowrun_api.contract import ResultType
from flowrun_api.kinds.flowrun import FlowRunStatus, PrefectFlowRun
from flowrun_operator.decide import decide_cluster, decide_run, verdict_on
from flowrun_operator.decide.plan import Create, Delete, StartAttempt
from flowrun_operator.model import AttemptView, JobFacts, PodFacts, Problem, RunView, Terminated, WorkerFacts

REASONS = ["FlowCompleted", "FlowFailed", "CoordinatorLost", "Terminated", "InvalidParameters", "Odd"]
MESSAGES = st.one_of(
    st.just(""),
    st.text(max_size=40),
    st.builds(message, st.sampled_from([t.value for t in ResultType]), st.sampled_from(REASONS)),
)
SECONDS = st.integers(-300, 100_000)  # clocks differ: the past may lie ahead (F27)
TIMES = st.none() | SECONDS.map(ago)
PROBLEMS = st.none() | st.builds(Problem, st.sampled_from(["ImagePullBackOff", "QuotaExceeded"]), st.text(max_size=9))
ENDS = st.builds(
    Terminated,
    exit_code=st.sampled_from([-1, 0, 1, 137, 143]),
    reason=st.sampled_from(["", "Completed", "Error", "OOMKilled", "Evicted"]),
    message=MESSAGES,
    finished_at=TIMES,
)
PODS = st.builds(
    PodFacts,
    name=st.just("p"),
    uid=st.uuids().map(str),
    phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
    created_at=TIMES,
    running=st.booleans(),
    ready=st.booleans(),
    deleting=st.booleans(),
    terminated=st.none() | ENDS,
    problem=PROBLEMS,
)
FAILURES = st.none() | st.sampled_from(
    [Problem("DeadlineExceeded", "late"), Problem("BackoffLimitExceeded", "failed"), Problem("", "")]
)


DASK, RAY = {"name": "default", "engine": "Dask"}, {"name": "gpu", "engine": "Ray"}
CLUSTERS = [
    [],
    [DASK],
    [{**DASK, "name": "a"}, DASK],
    [DASK, {**RAY, "activation": "OnDemand"}],
    [{**DASK, "workers": {"minReplicas": 0, "maxReplicas": 3}}],
]


@st.composite
def attempts(draw) -> tuple[AttemptView, ...]:
    numbers = draw(st.lists(st.integers(1, 4), unique=True, max_size=3).map(sorted))
    return tuple(_attempt(draw, number) for number in numbers)


def _attempt(draw, number: int) -> AttemptView:
    job = JobFacts(
        name=f"etl-{number}",
        uid=f"job-{number}",
        created_at=draw(TIMES),
        deleting=draw(st.booleans()),
        finished=draw(st.booleans()),
        failure=draw(FAILURES),
        problem=draw(PROBLEMS),
    )
    clusters = draw(
        st.sampled_from([(), (a_cluster_facts(number),), (a_cluster_facts(number, deleting=True, problem=None),)])
    )
    return AttemptView(number, job, draw(st.none() | PODS), clusters, draw(st.integers(0, 3)))


@st.composite
def recorded(draw) -> list[dict]:
    result = []
    for number in range(1, draw(st.integers(0, 4)) + 1):
        entry = {"number": number, "startTime": rfc(draw(SECONDS.map(ago)))}
        if draw(st.booleans()):
            reason = draw(st.sampled_from(["Stopped", "DriverKilled", "FlowFailed"]))
            entry |= {"completionTime": rfc(draw(SECONDS.map(ago))), "reason": reason}
        result.append(entry)
    return result


@st.composite
def views(draw, finished: bool | None = None) -> RunView:
    """Generate views; `finished` fixes whether the run has its result, and an unfinished one is then not stopped."""
    free = finished is None
    spec = {
        "suspend": free and draw(st.booleans()),
        "cancel": free and draw(st.booleans()),
        "ttlSecondsAfterFinished": draw(st.integers(0, 10_000)),
        "startupDeadlineSeconds": draw(st.integers(1, 1000)),
        "retryPolicy": {"maxInfrastructureRetries": draw(st.integers(0, 3))},
        "clusters": draw(st.sampled_from(CLUSTERS)),
    }
    status: dict = {"attempts": draw(recorded())}
    results = {None: [None, "Unknown", "True", "False"], True: ["True", "False"], False: [None, "Unknown"]}
    result = draw(st.sampled_from(results[finished]))
    if result:
        status["conditions"] = [a_condition("Succeeded", result)]
    if draw(st.booleans()):
        status["completionTime"] = rfc(draw(SECONDS.map(ago)))
    refused = Problem("QuotaExceeded", "exceeded quota")
    names = [f"etl-{n}" for n in range(1, 6)] + ["etl-1-default", "etl-2-default"]
    deleted = {"deletionTimestamp": rfc(NOW)} if free and draw(st.integers(0, 9)) == 0 else {}
    return RunView(
        run=a_run(spec, status, **deleted),
        attempts=draw(attempts()),
        defaults=replace(DEFAULTS, prefect_api_key_set=draw(st.booleans())),
        problems=dict.fromkeys(draw(st.lists(st.sampled_from(names), max_size=2)), refused),
        flow_run=draw(st.none() | st.just(PrefectFlowRun(id="f-1", name="etl", state="RUNNING"))),
    )


def created_jobs(plan) -> list[str]:
    creates = [a.manifest for a in plan.actions if isinstance(a, Create)]
    return [m["metadata"]["name"] for m in creates if m["kind"] == "Job"]


thorough = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


@settings(thorough, max_examples=300)
@given(views())
def test_decide_is_total_and_pure_and_creates_at_most_one_driver_that_does_not_exist(view):
    before = copy.deepcopy(view)
    plan = decide_run(view, NOW)
    assert view == before
    assert decide_run(view, NOW) == plan
    jobs = created_jobs(plan)
    assert len(jobs) <= 1
    assert not {a.job.name for a in view.attempts if a.job} & set(jobs)
    # What is deleted without a uid has its run's in its name.
    assert all(a.uid or RUN_UID[:8] in a.name for a in plan.actions if isinstance(a, Delete))


@thorough
@given(views(finished=True))
def test_I3_a_finished_run_gets_nothing_and_keeps_its_status(view):
    before = view.run.status
    plan = decide_run(view, NOW)
    assert not [a for a in plan.actions if isinstance(a, Create)]
    if plan.status is not None:  # that it was read, and a word on what has no effect
        kept = {"attempts", "completion_time", "state", "flow_run", "clusters"}
        assert plan.status.model_dump(include=kept) == before.model_dump(include=kept)
        assert [c for c in plan.status.conditions if c.type == "Succeeded"] == before.conditions[:1]


@thorough
@given(views(finished=False))
def test_I2_no_attempt_starts_while_the_one_before_has_a_live_driver(view):
    verdict = verdict_on(view, NOW)
    assume(isinstance(verdict, StartAttempt))
    current = view.current
    assert current is None or current.driver is None or not current.driver.live
    assert verdict.number == (current.number if current else 0) + 1


@thorough
@given(views())
def test_a_status_fits_its_model_and_tells_every_condition_once(view):
    status = decide_run(view, NOW).status
    if status is None:
        return
    assert FlowRunStatus.model_validate(status.to_api()).to_api() == status.to_api()
    types = [c.type for c in status.conditions]
    assert len(types) == len(set(types))
    if not view.finished:
        assert types[:4] == ["Succeeded", "DriverRunning", "ClustersReady", "Suspended"]
        assert types[4:] in ([], ["PrefectInformed"])
    numbers = [a.number for a in status.attempts]
    assert len(numbers) == len(set(numbers))


@thorough
@given(views(finished=False))
def test_a_status_once_written_is_not_written_again(view):
    """Deciding on one's own status gives the same status: no endless patches."""

    def decide_on(status):
        decided = decide_run(replace(view, run=view.run.model_copy(update={"status": status})), NOW)
        return None if decided.status is None or created_jobs(decided) else decided.status

    status = decide_on(view.run.status)
    again = status and decide_on(status)
    once_more = again and decide_on(again)
    assert once_more is None or once_more.to_api() == again.to_api()


CLUSTER_STATES = st.builds(
    lambda replicas, suspend, lost, mode, engine, owner: a_cluster(
        {
            "suspend": suspend,
            "engine": engine,
            "workers": {"replicas": replicas, "image": "i", "scaleDown": mode},
            **owner,
        },
        {"lostWorkers": lost},
    ),
    st.integers(0, 5),
    st.booleans(),
    st.integers(0, 100),
    st.sampled_from(["Any", "EndedOnly"]),
    st.sampled_from(["Dask", "Ray"]),
    st.sampled_from([{}, {"flowRun": None}]),
)


@thorough
@given(CLUSTER_STATES, st.lists(PODS, max_size=6), st.booleans(), st.booleans(), st.none() | PODS)
def test_a_cluster_never_gets_more_workers_than_it_wants(cluster, pods, service_exists, coordinator_ended, coordinator):
    workers = tuple(WorkerFacts(index, pod) for index, pod in enumerate(pods))
    view = a_cluster_view(
        *workers,
        cluster=cluster,
        service_exists=service_exists,
        coordinator_ended=coordinator_ended,
        coordinator=coordinator,
    )
    plan = decide_cluster(view, NOW)
    assert decide_cluster(view, NOW) == plan
    creates = [a.manifest["metadata"]["name"] for a in plan.actions if isinstance(a, Create)]
    new_workers = [name for name in creates if "-w-" in name]
    live = sum(1 for pod in pods if pod.live)
    assert live + len(new_workers) <= max(live, cluster.spec.workers.replicas)
    assert len(creates) == len(set(creates))
    assert not {f"etl-1-default-w-{i}" for i in range(len(pods))} & set(creates)
    if coordinator_ended or cluster.spec.suspend:
        assert new_workers == []


@thorough
@given(st.integers(1, 5), st.lists(PODS, max_size=8))
def test_an_elastic_cluster_loses_no_running_worker_that_was_not_told_to_leave(replicas, pods):
    cluster = a_cluster({"workers": {"replicas": replicas, "image": "i", "scaleDown": "EndedOnly"}})
    view = a_cluster_view(*(WorkerFacts(index, pod) for index, pod in enumerate(pods)), cluster=cluster)
    deleted = {a.uid for a in decide_cluster(view, NOW).actions if isinstance(a, Delete)}
    assert not deleted & {pod.uid for pod in pods if pod.live and pod.running}
