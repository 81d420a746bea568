from hypothesis import assume, given
from hypothesis import strategies as st

from flowrun_api.constants import MAX_CLUSTER_NAME, MAX_RUN_NAME
from flowrun_api.kinds.naming import attempt_name, cluster_name, worker_index, worker_name

RUNS = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
CLUSTERS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?", fullmatch=True)
ATTEMPTS = st.integers(1, 999)


def test_the_longest_names_fit_a_label_and_a_service():
    run, cluster = "r" * MAX_RUN_NAME, "c" * MAX_CLUSTER_NAME
    assert len(attempt_name(run, 999)) <= 63
    assert len(cluster_name(run, 999, cluster)) <= 63


def test_a_workers_name_may_be_longer_than_a_label_but_not_than_a_pod_name():
    longest = worker_name(cluster_name("r" * MAX_RUN_NAME, 999, "c" * MAX_CLUSTER_NAME), 999)
    assert len(longest) <= 253


@given(RUNS, ATTEMPTS, CLUSTERS, st.integers(0, 1000))
def test_a_workers_index_can_be_read_from_its_name(run, attempt, cluster, index):
    name = cluster_name(run, attempt, cluster)
    assert worker_index(name, worker_name(name, index)) == index
    assert len(name) <= 63


@given(RUNS, ATTEMPTS, RUNS, ATTEMPTS)
def test_jobs_of_two_runs_never_share_a_name(run, attempt, other, other_attempt):
    assume((run, attempt) != (other, other_attempt))
    assert attempt_name(run, attempt) != attempt_name(other, other_attempt)


def test_clusters_of_two_runs_may_share_a_name_and_are_told_apart_by_their_owner():
    # Rare, and refused as NameConflict: see the Actor's tests (F15).
    assert cluster_name("a", 1, "2-x") == cluster_name("a-1", 2, "x")


def test_names_of_other_pods_are_no_workers():
    assert worker_index("etl-1-default", "etl-1-abcde") is None
    assert worker_index("etl-1-default", "etl-1-default-w-x") is None
    assert worker_index("etl-1-default", "etl-1-default-w-") is None
