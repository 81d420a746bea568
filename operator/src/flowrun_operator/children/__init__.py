"""The children of a FlowRun and of a standalone TaskCluster, as manifests."""

from flowrun_operator.children.belongings import belonging_names, belongings
from flowrun_operator.children.clusters import task_cluster
from flowrun_operator.children.driver import driver_job, driver_resources
from flowrun_operator.children.parameters import parameters_json
from flowrun_operator.children.report import report_job
from flowrun_operator.children.standalone import completed, coordinator_pod, token_of_its_own

__all__ = [
    "belonging_names",
    "belongings",
    "completed",
    "coordinator_pod",
    "driver_job",
    "driver_resources",
    "parameters_json",
    "report_job",
    "task_cluster",
    "token_of_its_own",
]
