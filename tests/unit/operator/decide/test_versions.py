import json

from operator_testing.builders import NOW, a_run, a_view, an_attempt

from flowrun_operator.decide import POLICIES, decide_run
from flowrun_operator.decide.retry import retry
from flowrun_operator.decide.versions import versions
from flowrun_operator.model import PodFacts, Terminated
from flowrun_operator.observe.snapshot import _unfit

SAID = "worker r-1-ray-w-0: Version mismatch: the cluster has Ray 2.60.0, this worker 2.59.0"


def worker(message: str) -> PodFacts:
    end = Terminated(exit_code=1, reason="Error", message=message, finished_at=NOW)
    return PodFacts(name="r-1-ray-w-0", uid="u", phase="Failed", created_at=NOW, terminated=end)


def test_a_worker_of_another_version_ends_the_run_with_both_sides_named():
    verdict = versions(a_view(an_attempt(unfit_worker=SAID)), NOW)
    assert verdict.outcome.reason == "VersionMismatch"
    assert verdict.outcome.message == SAID
    assert not verdict.outcome.infrastructure, "no new cluster would mend it"
    assert verdict.stop_driver


def test_workers_that_fit_say_nothing():
    assert versions(a_view(an_attempt()), NOW) is None
    assert versions(a_view(), NOW) is None


def test_the_workers_and_the_clusters_go_at_once():
    plan = decide_run(a_view(an_attempt(unfit_worker=SAID, worker_pods=2, live_workers=2), run=a_run()), NOW)
    assert plan.final
    assert plan.status.conditions[0].reason == "VersionMismatch"


def test_only_a_worker_that_says_so_is_unfit():
    told = json.dumps({"reason": "VersionMismatch", "message": "Version mismatch: 2.60.0 and 2.59.0"})
    assert _unfit(worker(told)) == "worker r-1-ray-w-0: Version mismatch: 2.60.0 and 2.59.0"
    for other in (json.dumps({"reason": "WorkerFailed", "message": "x"}), "", "no JSON", "[1]", '{"reason": 1}'):
        assert _unfit(worker(other)) is None


def test_an_attempt_that_has_ended_is_judged_by_its_own_end_first():
    assert POLICIES.index(retry) < POLICIES.index(versions)
