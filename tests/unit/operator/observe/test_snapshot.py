from operator_testing.builders import DEFAULTS, NOW, RUN_UID, ago, message, raw_cluster, raw_pod, raw_run, rfc

from flowrun_api.kinds.flowrun import PrefectFlowRun
from flowrun_operator.build.labels import labels, owner
from flowrun_operator.model import Problem, RunView
from flowrun_operator.observe.snapshot import cluster_view, run_view

RUNNING = {"running": {}}


def raw_job(number: int = 1, run_uid: str = RUN_UID, **status) -> dict:
    return {
        "kind": "Job",
        "metadata": {
            "name": f"etl-{number}",
            "uid": f"job-{number}",
            "labels": labels("etl", number, role="driver"),
            "ownerReferences": owner("FlowRun", "etl", run_uid),
            "creationTimestamp": rfc(ago(10)),
        },
        "status": status,
    }


def driver(number: int = 1, uid: str = "d", **changes) -> dict:
    given = {
        "name": f"etl-{number}-{uid}",
        "uid": uid,
        "phase": "Running",
        "state": RUNNING,
        "labels": labels("etl", number, role="driver"),
        "ownerReferences": owner("Job", f"etl-{number}", f"job-{number}"),
    }
    return raw_pod(**{**given, **changes})


def worker(index: int = 0, number: int = 1, **changes) -> dict:
    given = {
        "name": f"etl-{number}-default-w-{index}",
        "uid": f"w-{index}",
        "phase": "Running",
        "state": RUNNING,
        "labels": labels("etl", number, role="worker", cluster="default"),
        "ownerReferences": owner("TaskCluster", f"etl-{number}-default", f"cluster-{number}"),
    }
    return raw_pod(**{**given, **changes})


def observe(**changes) -> RunView:
    given = {
        "jobs": [raw_job()],
        "clusters": [raw_cluster()],
        "pods": [driver(), worker(0), worker(1)],
        "defaults": DEFAULTS,
        "problems": {},
        "explanations": {},
        "flow_runs": {},
    }
    return run_view(changes.pop("raw", raw_run()), **{**given, **changes})


def test_an_attempt_is_put_together_from_its_job_driver_cluster_and_workers():
    (attempt,) = observe().attempts
    assert (attempt.number, attempt.driver.uid, attempt.worker_pods) == (1, "d", 2)
    assert attempt.clusters[0].object_name == "etl-1-default"


def test_F15_a_job_of_another_owner_is_no_attempt():
    assert observe(jobs=[raw_job(run_uid="somebody-else")]).current is None


def test_F21_a_drivers_pod_is_known_without_its_job():
    mine = {**labels("etl", 1, role="driver"), "flowrun.dev/run-uid": RUN_UID}
    view = observe(
        jobs=[], pods=[driver(labels=mine), driver(uid="x", labels={**mine, "flowrun.dev/run-uid": "other"})]
    )
    assert [d.uid for d in view.drivers] == ["d"]
    assert view.attempts == ()


def test_the_job_that_reports_is_no_attempt():
    report = raw_job(1, type="x")
    own = {"name": "etl-report-11111111", "uid": "r", "labels": labels("etl", 1, role="report")}
    report["metadata"] |= own
    pod = driver(uid="p", labels=own["labels"], ownerReferences=owner("Job", own["name"], "r"))
    view = observe(jobs=[raw_job(), report], pods=[driver(), pod])
    assert (len(view.attempts), view.report_job.name, view.report_pod.uid) == (1, "etl-report-11111111", "p")
    assert view.attempts[0].driver.uid == "d"


def test_workers_that_a_sidecar_keeps_are_told_apart_from_those_that_have_ended():
    ended = {"terminated": {"exitCode": 0}}
    lingering = worker(0, state=ended, others=[{"name": "proxy", "state": RUNNING}])
    (attempt,) = observe(pods=[driver(), lingering, worker(1, state=ended, phase="Succeeded")]).attempts
    assert [pod.uid for pod in attempt.lingering_workers] == ["w-0"]


def test_attempts_are_told_apart():
    view = observe(jobs=[raw_job(1), raw_job(2)], pods=[driver(1, "a"), driver(2, "b"), worker(0, 1)])
    assert [(a.number, a.driver.uid, a.worker_pods) for a in view.attempts] == [(1, "a", 1), (2, "b", 0)]
    assert view.current.number == 2


def test_F14_an_attempt_that_the_status_recorded_stays_the_current_one_without_its_job():
    recorded = raw_run(status={"attempts": [{"number": 1}]})
    view = observe(raw=recorded, jobs=[])
    assert (view.current.number, view.current.job) == (1, None)


def test_the_living_driver_counts_should_there_be_two():
    ended = driver(uid="a", phase="Failed", state={"terminated": {"exitCode": 1}})
    assert observe(pods=[ended, driver(uid="b")]).current.driver.uid == "b"


def test_workers_that_go_already_are_not_counted():
    assert observe(pods=[worker(0), worker(1, deletionTimestamp=rfc(NOW))]).current.worker_pods == 1


def test_a_cluster_that_starts_is_no_problem_and_one_that_is_stuck_is():
    def with_ready(reason: str) -> dict:
        return raw_cluster(status={"conditions": [{"type": "Ready", "status": "False", "reason": reason}]})

    assert observe(clusters=[with_ready("WorkersStarting")]).current.clusters[0].problem is None
    assert observe(clusters=[with_ready("QuotaExceeded")]).current.clusters[0].problem.reason == "QuotaExceeded"


def test_explanations_reach_their_job_and_pod():
    pending = driver(phase="Pending", state={"waiting": {"reason": "ContainerCreating"}})
    view = observe(pods=[pending], explanations={"d": Problem("FailedMount", "m"), "job-1": Problem("Quota", "q")})
    assert view.current.driver.problem.reason == "FailedMount"
    assert view.current.job.problem.reason == "Quota"


def test_prefects_record_of_the_current_attempt_is_taken():
    records = {1: PrefectFlowRun(id="one"), 2: PrefectFlowRun(id="two")}
    assert observe(flow_runs=records).flow_run.id == "one"


def observe_cluster(**changes):
    given = {"services": [], "pods": [driver(), worker(0)], "defaults": DEFAULTS, "problems": {}, "explanations": {}}
    return cluster_view(changes.pop("raw", raw_cluster()), **{**given, **changes})


def test_a_clusters_workers_are_its_own_pods_by_index():
    foreign = worker(5, ownerReferences=owner("TaskCluster", "etl-1-default", "an older one"))
    view = observe_cluster(pods=[worker(1), driver(), worker(0), foreign])
    assert [w.index for w in view.workers] == [0, 1]


def test_F15_a_service_of_another_owner_does_not_count():
    service = {"metadata": {"name": "etl-1-default", "ownerReferences": owner("TaskCluster", "x", "other")}}
    assert not observe_cluster(services=[service]).service_exists
    service["metadata"]["ownerReferences"] = owner("TaskCluster", "etl-1-default", "cluster-1")
    assert observe_cluster(services=[service]).service_exists


def test_the_coordinator_has_ended_with_its_driver():
    ended = driver(phase="Succeeded", state={"terminated": {"exitCode": 0, "message": message()}})
    assert observe_cluster(pods=[ended]).coordinator_ended
    assert observe_cluster(pods=[driver(deletionTimestamp=rfc(NOW))]).coordinator_ended
    assert not observe_cluster(pods=[driver()]).coordinator_ended


def test_what_is_kept_of_a_failed_attempt_is_never_mended():
    over = raw_run(status={"attempts": [{"number": 1, "completionTime": rfc(NOW)}]})
    assert observe_cluster(pods=[], run=over).coordinator_ended
    assert not observe_cluster(pods=[], run=raw_run(status={"attempts": [{"number": 1}]})).coordinator_ended


def test_a_driver_that_does_not_exist_yet_has_not_ended():
    assert not observe_cluster(pods=[]).coordinator_ended


def test_a_standalone_clusters_coordinator_is_its_own_pod():
    standalone = raw_cluster(spec={"flowRun": None})
    mine = raw_pod(
        name="etl-1-default-coordinator",
        phase="Running",
        state=RUNNING,
        labels={"flowrun.dev/role": "coordinator"},
        ownerReferences=owner("TaskCluster", "etl-1-default", "cluster-1"),
    )
    foreign = {**mine, "metadata": {**mine["metadata"], "ownerReferences": owner("TaskCluster", "x", "other")}}
    assert observe_cluster(raw=standalone, pods=[foreign]).coordinator is None
    view = observe_cluster(raw=standalone, pods=[mine, worker(0)])
    assert (view.coordinator.name, len(view.workers)) == ("etl-1-default-coordinator", 1)


def test_the_driver_of_another_attempt_is_not_this_clusters_coordinator():
    old = driver(1, phase="Failed", state={"terminated": {"exitCode": 1}})
    cluster = raw_cluster(spec={"flowRun": {"name": "etl", "attempt": 2, "cluster": "default"}})
    assert not observe_cluster(raw=cluster, pods=[old, driver(2, "b")]).coordinator_ended
