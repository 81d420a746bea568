"""The objects users write and read: models, names, labels and the CRDs made from them."""

from flowrun_operator.api.flowrun import FlowRun, FlowRunSpec, FlowRunStatus
from flowrun_operator.api.taskcluster import TaskCluster, TaskClusterSpec, TaskClusterStatus

__all__ = ["FlowRun", "FlowRunSpec", "FlowRunStatus", "TaskCluster", "TaskClusterSpec", "TaskClusterStatus"]
