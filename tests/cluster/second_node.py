"""The bundled cluster's second node (dev/box/second-node.sh), which can be cut off; on other clusters tests skip."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cluster_tools import Cluster, Raw

NODE = "node2"
_SCRIPT = Path(__file__).parents[2] / "dev" / "box" / "second-node.sh"
_RUNNING = Path("/run/flowrun-box/owner")


class SecondNode:
    """Starts the node; whoever has it cuts and heals its link, and takes it down."""

    def __init__(self, cluster: Cluster) -> None:
        if os.geteuid() != 0 or not _RUNNING.exists() or _names(cluster) - {NODE} != {"box"}:
            pytest.skip("only the bundled cluster has a second node that can be cut off")
        self.cluster = cluster
        self._do("up", _image_of_runs(cluster))

    def cut(self) -> None:
        """Cut the link: nothing reaches the node, and what runs there runs on."""
        self._do("cut")

    def heal(self) -> None:
        self._do("heal")

    def wait_whole(self) -> None:
        """Have the node as before, for the next test."""
        self.heal()

        def whole() -> bool:
            node = self.cluster.get("node", NODE) or {}
            ready = [c["status"] for c in node["status"]["conditions"] if c["type"] == "Ready"] == ["True"]
            return ready and not any("unreachable" in t["key"] for t in node["spec"].get("taints", []))

        self.cluster.wait_for(whole, 60, f"{NODE} Ready")

    def down(self) -> None:
        self._do("down")

    @staticmethod
    def _do(*arguments: str) -> None:
        done = subprocess.run([_SCRIPT, *arguments], capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr


def placed() -> dict[str, Any]:
    """Return options of a driver or of workers that are put on the second node while it is there, else on the first."""
    here: Raw = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}
    given_up_after = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}
    return {
        # Kubernetes' default is to give a pod up when its node has not answered for another 300 s.
        "tolerations": [
            {"key": "flowrun.dev/second-node", "operator": "Exists"},
            # Longer than the taint stays after the node is back, which a next attempt would else fall victim to.
            {**given_up_after, "tolerationSeconds": 10},
        ],
        "affinity": {
            "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": here}]}
        },
    }


def nodes_of(pods: list[Raw]) -> set[str]:
    """Return where pods are that are not being deleted."""
    return {pod["spec"].get("nodeName", "") for pod in pods if "deletionTimestamp" not in pod["metadata"]}


def _names(cluster: Cluster) -> set[str]:
    return {node["metadata"]["name"] for node in cluster.list("nodes")}


def _image_of_runs(cluster: Cluster) -> str:
    release = Cluster(cluster.kubeconfig, namespace="flowrun-system")
    operator = release.list("deployments", "app.kubernetes.io/component=operator")[0]
    variables = operator["spec"]["template"]["spec"]["containers"][0]["env"]
    return str(next(v["value"] for v in variables if v["name"] == "FLOWRUN_OPERATOR_DEFAULT_IMAGE"))
