"""A TaskCluster: its Service, its workers and its status. A standalone one has more to it: see `standalone`."""

from __future__ import annotations

from datetime import datetime

from flowrun_api.constants import MANAGER
from flowrun_operator.build.service import coordinator_service
from flowrun_operator.decide.cluster_actions import explain_silent, next_look_s, worker_actions
from flowrun_operator.decide.cluster_status import cluster_status, workers_ready
from flowrun_operator.decide.plan import Action, Create, Plan
from flowrun_operator.decide.replacement import plan_workers
from flowrun_operator.decide.standalone import decide_standalone
from flowrun_operator.engines import http_port
from flowrun_operator.model import ClusterView


def decide_cluster(view: ClusterView, now: datetime) -> Plan:
    """Decide what to do about a TaskCluster.

    Args:
        view: The cluster and its children at one moment.
        now: The time, timezone-aware.
    """
    cluster = view.cluster
    if cluster.spec.managed_by != MANAGER or cluster.metadata.deletion_timestamp is not None:
        return Plan()
    if cluster.spec.flow_run is None:
        return decide_standalone(view, now)
    workers = plan_workers(view, now)
    actions: list[Action] = []
    if not view.service_exists and not view.coordinator_ended:
        actions.append(Create(coordinator_service(cluster, http_port(cluster)), cluster.metadata.uid))
    pods = [w.pod for w in view.workers]
    return Plan(
        actions=(*actions, *worker_actions(view, workers), *explain_silent(pods, now)),
        status=cluster_status(view, workers, workers_ready(view, workers), now),
        # A delayed status would be computed anew when the lost pods are gone, and never count them.
        final=workers.newly_lost > 0,
        requeue_after_s=next_look_s(workers, pods),
    )
