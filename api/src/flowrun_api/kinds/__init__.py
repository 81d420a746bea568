"""The objects users write and read: models, names, labels and the CRDs made from them."""

from flowrun_api.kinds.flowrun import FlowRun, FlowRunSpec, FlowRunStatus
from flowrun_api.kinds.taskcluster import TaskCluster, TaskClusterSpec, TaskClusterStatus

__all__ = ["FlowRun", "FlowRunSpec", "FlowRunStatus", "TaskCluster", "TaskClusterSpec", "TaskClusterStatus"]
