"""Names of children. Deterministic, so that a create repeated after a crash meets its own child (F02)."""


def attempt_name(run: str, attempt: int) -> str:
    """Return the name of the driver's Job."""
    return f"{run}-{attempt}"


def cluster_name(run: str, attempt: int, cluster: str) -> str:
    """Return the name of a run's TaskCluster, and of its Service."""
    return f"{run}-{attempt}-{cluster}"


def own_name(run: str, attempt: int, what: str, run_uid: str) -> str:
    """Return the name of an object that goes with its attempt: a Secret, an account.

    With the uid: that of a deleted run of the same name may still be there, about to be collected.
    """
    return f"{run}-{attempt}-{what}-{run_uid[:8]}"


def report_name(run: str, run_uid: str) -> str:
    """Return the name of the Job that tells Prefect the end of a run; with the uid for the same reason."""
    return f"{run}-report-{run_uid[:8]}"


def coordinator_name(task_cluster: str) -> str:
    """Return the name of a standalone cluster's coordinator pod."""
    return f"{task_cluster}-coordinator"


def worker_name(task_cluster: str, index: int) -> str:
    """Return the name of a worker pod."""
    return f"{task_cluster}-w-{index}"


def worker_index(task_cluster: str, pod: str) -> int | None:
    """Return the index in a worker pod's name, or None for another pod's name."""
    prefix = f"{task_cluster}-w-"
    tail = pod.removeprefix(prefix)
    return int(tail) if pod.startswith(prefix) and tail.isdecimal() else None
