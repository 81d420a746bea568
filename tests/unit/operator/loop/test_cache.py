import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_testing.builders import NAMESPACE, raw_pod

from flowrun_operator.loop.cache import Cache
from flowrun_operator.model import Problem


def pod(version: int = 1, uid: str = "a", name: str = "p", run: str = "etl") -> dict:
    labels = {"flowrun.dev/run": run} if run else {}
    return raw_pod(name=name, uid=uid, resourceVersion=str(version), labels=labels)


@pytest.fixture
def cache() -> Cache:
    return Cache()


def version(cache: Cache) -> str:
    return cache.get("Pod", NAMESPACE, "p")["metadata"]["resourceVersion"]


def test_F06_an_older_event_does_not_overwrite_a_newer_object(cache):
    assert cache.feed("Pod", pod(10))
    assert not cache.feed("Pod", pod(9))
    assert not cache.feed("Pod", pod(10))
    assert version(cache) == "10"
    assert cache.feed("Pod", pod(11))


def test_versions_are_compared_as_numbers(cache):
    cache.feed("Pod", pod(9))
    assert cache.feed("Pod", pod(10))


def test_a_successor_of_the_same_name_replaces_whatever_its_version(cache):
    cache.feed("Pod", pod(10, "old"))
    assert cache.feed("Pod", pod(2, "new"))


def test_a_deleted_object_is_gone(cache):
    cache.feed("Pod", pod())
    cache.forget("Pod", pod())
    assert cache.get("Pod", NAMESPACE, "p") is None
    assert cache.of_run("Pod", NAMESPACE, "etl") == []


def test_the_deletion_of_a_predecessor_spares_its_successor(cache):
    cache.feed("Pod", pod(1, "old"))
    cache.feed("Pod", pod(2, "new"))
    cache.forget("Pod", pod(1, "old"))
    assert cache.get("Pod", NAMESPACE, "p")["metadata"]["uid"] == "new"
    assert len(cache.of_run("Pod", NAMESPACE, "etl")) == 1


def test_a_write_that_returns_after_the_deletion_does_not_bring_the_object_back(cache):
    cache.forget("Pod", pod(5))
    assert not cache.feed("Pod", pod(6))
    assert cache.get("Pod", NAMESPACE, "p") is None


def test_objects_are_found_by_their_run(cache):
    for name, run in (("b", "etl"), ("a", "etl"), ("c", "other"), ("d", "")):
        cache.feed("Pod", pod(name=name, uid=name, run=run))
    assert [p["metadata"]["name"] for p in cache.of_run("Pod", NAMESPACE, "etl")] == ["a", "b"]
    assert cache.of_run("Pod", "elsewhere", "etl") == []
    assert len(list(cache.all("Pod"))) == 4


def test_a_label_changed_by_hand_leaves_no_ghost_behind(cache):
    cache.feed("Pod", pod(1))
    cache.feed("Pod", pod(2, run="other"))
    assert cache.of_run("Pod", NAMESPACE, "etl") == []
    cache.forget("Pod", pod(3, run="other"))
    assert cache.of_run("Pod", NAMESPACE, "etl") == []
    assert cache.of_run("Pod", NAMESPACE, "other") == []


def test_what_was_learnt_of_an_object_goes_with_it(cache):
    cache.feed("Pod", pod())
    cache.explanations["a"] = Problem("FailedMount", "x")
    cache.problems[NAMESPACE, "p"] = Problem("QuotaExceeded", "x")
    cache.forget("Pod", pod())
    assert (cache.explanations, cache.problems) == ({}, {})


def test_problems_are_told_by_namespace(cache):
    cache.problems["a", "x"] = Problem("One", "")
    cache.problems["b", "x"] = Problem("Two", "")
    assert cache.problems_in("a") == {"x": Problem("One", "")}


def of_driver(
    attempt: int, kind: str = "Job", role: str = "driver", namespace: str = NAMESPACE, *, owned: bool = True
) -> dict:
    own = {"flowrun.dev/role": role, "flowrun.dev/attempt": str(attempt), "flowrun.dev/run-uid": "run"}
    owner = {"Job": {"kind": "FlowRun", "name": "etl", "uid": "run"}, "Pod": {"kind": "Job", "name": "j", "uid": "j"}}
    return {
        "kind": kind,
        "metadata": {
            "namespace": namespace,
            "name": f"etl-{attempt}",
            "uid": f"j{attempt}",
            "labels": own,
            "ownerReferences": [{**owner[kind], "controller": True}] if owned else [],
        },
    }


@pytest.mark.parametrize("kind", ["Job", "Pod"])
def test_F14_the_newest_attempt_that_was_seen_is_remembered(cache, kind):
    cache.feed(kind, of_driver(2, kind))
    cache.feed(kind, of_driver(1, kind))
    cache.feed("Pod", of_driver(3, "Pod", role="worker"))
    cache.forget(kind, of_driver(2, kind))
    assert cache.begun == {(NAMESPACE, "run"): 2}


def test_F14_an_attempt_of_which_nothing_is_seen_but_its_deletion_is_remembered(cache):
    cache.forget("Job", of_driver(1))
    assert cache.begun == {(NAMESPACE, "run"): 1}


@pytest.mark.parametrize("kind", ["Job", "Pod"])
def test_labels_alone_make_nothing_a_driver_of_a_run(cache, kind):
    cache.feed(kind, of_driver(2, kind))
    cache.feed(kind, of_driver(7, kind, owned=False))
    cache.feed(kind, of_driver(8, kind, namespace="another"))
    assert cache.begun[NAMESPACE, "run"] == 2


def test_the_deletion_of_a_run_spares_what_is_known_of_one_whose_name_begins_alike(cache):
    for name in ("etl", "etl-daily", "etl-1"):
        cache.feed("FlowRun", {"metadata": {"namespace": NAMESPACE, "name": name, "uid": name}})
        cache.problems[NAMESPACE, f"{name}-1-main-w-0"] = Problem("QuotaExceeded", "x")
        cache.gone_jobs.add((NAMESPACE, f"{name}-2"))
        cache.podless_jobs.add((NAMESPACE, f"{name}-3"))
    cache.forget("FlowRun", {"metadata": {"namespace": NAMESPACE, "name": "etl", "uid": "etl"}})
    # What may be a name of either stays, as one of the run that goes on.
    assert set(cache.problems_in(NAMESPACE)) == {"etl-daily-1-main-w-0", "etl-1-1-main-w-0", "etl-1-main-w-0"}
    assert cache.gone_jobs_in(NAMESPACE) == {"etl-daily-2", "etl-1-2"}
    assert cache.podless_jobs_in(NAMESPACE) == {"etl-daily-3", "etl-1-3"}


def test_what_was_seen_of_a_run_is_forgotten_with_it(cache):
    cache.feed("Job", of_driver(1))
    cache.forget("FlowRun", {"metadata": {"namespace": NAMESPACE, "name": "etl", "uid": "run"}})
    cache.forget("Job", of_driver(1))  # the garbage collector follows
    assert cache.begun == {}


EVENTS = st.lists(
    st.tuples(st.sampled_from("af"), st.integers(1, 9), st.sampled_from("uvw"), st.sampled_from(["etl", "b", ""])),
    max_size=20,
)


@given(EVENTS)
def test_F07_no_order_of_events_breaks_the_index(events):
    cache = Cache()
    for action, number, uid, run in events:
        raw = pod(number, uid, run=run)
        cache.feed("Pod", raw) if action == "a" else cache.forget("Pod", raw)
    held = cache.get("Pod", NAMESPACE, "p")
    for run in ("etl", "b"):
        found = cache.of_run("Pod", NAMESPACE, run)
        expected = held is not None and held["metadata"]["labels"].get("flowrun.dev/run") == run
        assert found == ([held] if expected else [])
