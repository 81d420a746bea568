"""FlowRun and TaskCluster from Python, on the cluster."""

from __future__ import annotations

import urllib.request

from cluster_tools import BUSY_S, Cluster, code, flow_run

from flowrun import FlowRun, TaskCluster


def test_a_run_is_applied_and_waited_for(ns: Cluster) -> None:
    ns.apply(code())
    spec = flow_run(workers=1, parameters={"n": 3})["spec"]
    run = FlowRun("r", namespace=ns.namespace, **spec).apply(kubeconfig=ns.kubeconfig)
    assert run.wait(60 + BUSY_S).reason == "FlowCompleted"
    assert any("Beginning flow run" in line for line in run.logs())
    assert run.status["flowRun"]["id"] == ns.prefect_runs("r")[0]["id"]


def test_a_notebook_gets_a_client_of_a_cluster_and_its_dashboard(ns: Cluster) -> None:
    with TaskCluster("lab", namespace=ns.namespace, workers=1, dashboard=True).apply(kubeconfig=ns.kubeconfig) as lab:
        with lab.get_client(timeout=60) as client:
            assert client.submit(sum, [1, 2]).result(timeout=60) == 3
            lab.scale(2)
            lab.wait(2, timeout_s=60 + BUSY_S)
            assert len(client.scheduler_info()["workers"]) == 2
        with urllib.request.urlopen(lab.dashboard_link, timeout=20) as page:
            assert "Dask" in page.read().decode()
        assert "2 of 2 workers ready" in repr(lab)
    ns.wait_for(lambda: not ns.list("pods"), 30, "nothing of the cluster")
