"""Names of children. Deterministic, so that a create repeated after a crash meets its own child (F02)."""


def attempt_name(run: str, attempt: int) -> str:
    """Return the name of the driver's Job."""
    return f"{run}-{attempt}"


def cluster_name(run: str, attempt: int, cluster: str) -> str:
    """Return the name of a run's TaskCluster, and of its Service."""
    return f"{run}-{attempt}-{cluster}"


def worker_name(task_cluster: str, index: int) -> str:
    """Return the name of a worker pod."""
    return f"{task_cluster}-w-{index}"


def worker_index(task_cluster: str, pod: str) -> int | None:
    """Return the index in a worker pod's name, or None for another pod's name."""
    prefix = f"{task_cluster}-w-"
    tail = pod.removeprefix(prefix)
    return int(tail) if pod.startswith(prefix) and tail.isdecimal() else None


def idempotency_key(run_uid: str, attempt: int) -> str:
    """Return the key by which driver and operator find the same Prefect flow run."""
    return f"flowrun-{run_uid}-{attempt}"
