"""Parameters of a flow, from what a user writes to the Secret that the driver's pod mounts."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess

import pytest
from apiserver_testing.api import path_of

from flowrun_operator.observe.fields import at

pytestmark = pytest.mark.timeout(240)

GIVEN = {
    "texts": [
        "$$5",
        "$$$$",
        "$(FLOWRUN_NAME)",
        "${HOME}",
        'a " \\ \n b',
        "Größe ☃ 😀",
        "",
        " a ",
        "2026-11-22",
        "no",
        "0755",
    ],
    "numbers": [9007199254740993, -1, 0.1, 1e22, 2**63 - 1, -(2**63)],
    "nothing": None,
    "deep": {"nothing": None, "list": [None, {"nothing": None}], "empty": {}, "none": []},
    "truth": [True, False],
}
YAML = """
apiVersion: flowrun.dev/v1alpha1
kind: FlowRun
metadata: {name: etl}
spec:
  flow:
    entrypoint: etl.py:etl
    parameters: %s
"""


async def arrived(lane) -> dict:
    """Return the parameters as the driver's pod gets them."""
    await lane.wait(lane.running, "the driver runs")
    (job,) = lane.api.of("Job")
    pod = at(job, "spec", "template", "spec")
    (volume,) = [v["secret"] for v in pod["volumes"] if "secret" in v and "parameters" in v["name"]]
    secret = await lane.user.must("GET", path_of("Secret", lane.namespace, volume["secretName"]))
    assert secret["immutable"] is True
    assert "Größe" not in repr(job)
    return json.loads(base64.b64decode(secret["data"]["parameters.json"]))


async def test_any_json_arrives_from_a_program(lane):
    await lane.apply(flow={"entrypoint": "etl.py:etl", "parameters": GIVEN})
    assert await arrived(lane) == GIVEN


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("verb", [["create"], ["apply"], ["apply", "--server-side"]], ids=" ".join)
async def test_any_json_arrives_from_kubectl(lane, plane, verb):
    text = YAML % json.dumps(GIVEN, ensure_ascii=False)
    config = str(plane.folder / "admin.kubeconfig")
    command = ["kubectl", "--kubeconfig", config, "-n", lane.namespace, *verb, "-f", "-"]
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert await arrived(lane) == GIVEN


async def test_every_attempt_has_a_secret_of_its_own_and_none_stays(lane):
    await lane.apply(retryPolicy={"maxInfrastructureRetries": 1})
    await lane.wait(lane.running, "the driver runs")
    (first,) = [name for _, _, name in lane.api.objects if "-parameters-" in name]
    lane.ends["1"] = ("", 137)
    await lane.wait(lambda: any("etl-2-parameters-" in name for _, _, name in lane.api.objects), "another attempt")
    await lane.wait(lambda: not any(name == first for _, _, name in lane.api.objects), "the first one is gone")
