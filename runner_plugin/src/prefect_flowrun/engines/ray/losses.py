"""Ray's errors in words."""

from __future__ import annotations

from ray import exceptions as errors

from prefect_flowrun.engines.ray.pending_tasks import NoNodeError
from prefect_flowrun.wire.versions import VersionMismatchError

_LOSSES: tuple[tuple[type[BaseException], str], ...] = (
    (errors.TaskCancelledError, "The task was cancelled on the Ray cluster"),
    (errors.OutOfMemoryError, "Ray ended the task because its worker was running out of memory"),
    (errors.NodeDiedError, "The Ray worker that ran the task was lost"),
    (errors.WorkerCrashedError, "The process that ran the task died: killed, out of memory, or crashed in native code"),
    (errors.OwnerDiedError, "The process that held the task's data was lost"),
    (errors.ObjectLostError, "The Ray worker that held the task's result was lost"),
)


def describe(error: BaseException) -> str:
    """Say for a human why the cluster could not run a task.

    Args:
        error: of Ray's, or of ours.
    """
    if isinstance(error, errors.RayTaskError):
        cause = error.cause
        if isinstance(cause, errors.RayError):
            return f"A task that it depends on has no result. {describe(cause)}"
        if isinstance(cause, VersionMismatchError):
            return str(cause)
        return f"The Ray worker could not run the task: {type(cause).__name__}: {cause}"
    if isinstance(error, NoNodeError):
        return str(error)
    for kind, message in _LOSSES:
        if isinstance(error, kind):
            return message
    return f"The Ray cluster could not run the task: {type(error).__name__}: {error}"
