"""The command against a real API server: what it lists, changes, refuses and says of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from apiserver_testing.control_plane import ADMIN, OPERATOR
from apiserver_testing.lane import DONE, KILLED, Lane

pytestmark = pytest.mark.timeout(240)

Raw = dict[str, Any]
Flowrun = Callable[..., Awaitable[tuple[int, str]]]
CODE = "from prefect import flow\n\n@flow\ndef etl(count): ...\n"


@pytest.fixture
def flowrun(lane: Lane) -> Flowrun:
    """Return the command for the lane's namespace; it gives its exit code and all that it said."""

    async def run(*args: str, token: str = ADMIN, namespaced: bool = True, **env: str) -> tuple[int, str]:
        config = lane.plane.kubeconfig(f"user-{lane.namespace}-{token[:5]}", lane.plane.url, token)
        more = ("--namespace", lane.namespace) if namespaced else ()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", "-m", "flowrun.cli", *args, *more, "--kubeconfig", str(config)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Told nothing of the terminal, so that a table is not cut to its width.
            env={**os.environ, "NO_PROXY": "*", "COLUMNS": "200", **env},
        )
        text, _ = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, text.decode()

    return run


def manifest(tmp_path: Path, name: str = "etl", **spec: Any) -> str:
    flow: Raw = {"entrypoint": "etl.py:etl", "source": {"configMap": "code"}, "parameters": {"count": 1}}
    run = {
        "apiVersion": "flowrun.dev/v1alpha1",
        "kind": "FlowRun",
        "metadata": {"name": name, "labels": {"team": "data"}},
        "spec": {"flow": flow, "clusters": [{"name": "default", "engine": "Dask"}], **spec},
    }
    code = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code"}, "data": {"etl.py": CODE}}
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump_all([code, run]))
    return str(path)


async def test_runs_are_listed_as_the_server_does_and_in_every_form(lane: Lane, flowrun: Flowrun, tmp_path: Path):
    assert await flowrun("list") == (0, f"no flowruns.flowrun.dev in namespace {lane.namespace}\n")
    assert await flowrun("run", manifest(tmp_path, "first"), "--detach") == (0, "flowruns.flowrun.dev/first created\n")
    await flowrun("run", manifest(tmp_path, "second", suspend=True), "-d")
    await lane.wait(lambda: state(lane, "first") == "Running" and state(lane, "second") == "Suspended", "both are seen")

    _, text = await flowrun("list")
    head, *rows = text.splitlines()
    assert head.split() == ["NAME", "STATE", "REASON", "WORKERS", "AGE"]
    assert sorted(row.split()[0] for row in rows) == ["first", "second"]
    assert "etl.py:etl" in (await flowrun("list", "-o", "wide"))[1]
    assert [row.split()[0] for row in (await flowrun("list", "--state", "suspended"))[1].splitlines()[1:]] == ["second"]
    _, everywhere = await flowrun("list", "-A", namespaced=False)
    assert any(row.split()[:2] == [lane.namespace, "first"] for row in everywhere.splitlines())
    _, text = await flowrun("list", "--since", "1h", "-l", "team=data", "-o", "name")
    assert sorted(text.split()) == ["flowruns.flowrun.dev/first", "flowruns.flowrun.dev/second"]
    assert await flowrun("list", "-l", "team=web") == (
        0, f"no flowruns.flowrun.dev in namespace {lane.namespace} that fit\n"
    )  # fmt: skip
    for output, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        assert len(read((await flowrun("list", "-o", output))[1])["items"]) == 2
        found = read((await flowrun("get", "first", "-o", output))[1])
        assert (found["kind"], found["metadata"]["name"]) == ("FlowRun", "first")

    _, text = await flowrun("get", "first")
    for part in (
        "State:    Running",
        "default  Dask",
        "first-1-default-w-0",
        "worker",
        "Next:     flowrun watch first",
    ):
        assert part in text
    assert "Next:     flowrun resume second" in (await flowrun("get", "second"))[1]
    code, text = await flowrun("get", "third")
    assert (code, 'flowruns.flowrun.dev "third" not found' in text) == (2, True)


def state(lane: Lane, name: str) -> str | None:
    run = lane.api.objects.get(("FlowRun", lane.namespace, name), {})
    return (run.get("status") or {}).get("state")


async def test_a_config_map_is_created_and_later_changed_to_what_the_file_has(
    lane: Lane, flowrun: Flowrun, tmp_path: Path
):
    path = f"/api/v1/namespaces/{lane.namespace}/configmaps/code"
    file = Path(manifest(tmp_path, suspend=True))
    code, run = yaml.safe_load_all(file.read_text())
    for number, files in enumerate([{"etl.py": CODE, "old.py": "1"}, {"etl.py": CODE + "# new\n", "more.py": "2"}]):
        run["metadata"]["name"] = f"etl-{number}"
        file.write_text(yaml.safe_dump_all([{**code, "data": files}, run]))
        assert (await flowrun("run", str(file), "-d"))[0] == 0
        found = await lane.user.must("GET", path)
        assert found["data"] == files
        await lane.user.must("PATCH", path, {"metadata": {"labels": {"of": "somebody-else"}}})
    assert (await lane.user.must("GET", path))["metadata"]["labels"] == {"of": "somebody-else"}
    wrong = {**code, "data": {"a/b": "1"}}
    file.write_text(yaml.safe_dump_all([wrong, {**run, "metadata": {"name": "etl-2"}}]))
    exit_code, text = await flowrun("run", str(file), "-d")
    assert exit_code == 2
    assert "apply ConfigMap code: " in text
    assert "a/b" in text


async def test_a_run_is_suspended_resumed_cancelled_and_run_once_more(lane: Lane, flowrun: Flowrun, tmp_path: Path):
    await flowrun("run", manifest(tmp_path), "-d")
    await lane.wait(lane.running, "the driver runs")
    assert (await flowrun("resume", "etl"))[1].strip() == (
        "flowrun: etl is not suspended; flowrun get etl says what it does"
    )
    assert (await flowrun("suspend", "@latest"))[0] == 0
    await lane.wait(lambda: state(lane, "etl") == "Suspended", "suspended")
    assert (await flowrun("resume", "etl"))[0] == 0
    await lane.wait(lane.running, "it runs again")
    assert (await flowrun("cancel", "etl"))[0] == 0
    await lane.wait(lane.finished, "cancelled")
    for what in ("cancel", "suspend", "resume"):
        code, text = await flowrun(what, "@latest")
        assert (code, text.strip()) == (
            2, f"flowrun: etl has ended already (Cancelled); there is nothing to {what}"
        )  # fmt: skip

    code, text = await flowrun("rerun", "etl", "-p", "count=2", "-d")
    assert code == 0
    (again,) = [run for run in lane.api.of("FlowRun") if run["metadata"]["name"] != "etl"]
    assert text.strip() == f"flowruns.flowrun.dev/{again['metadata']['name']} created"
    assert again["spec"]["flow"]["parameters"] == {"count": 2}
    assert not again["spec"].get("cancel")
    # The ConfigMap stood by itself, and still does.
    path = f"/api/v1/namespaces/{lane.namespace}/configmaps/code"
    assert "ownerReferences" not in (await lane.user.must("GET", path))["metadata"]
    await lane.user.must("DELETE", path)
    code, text = await flowrun("rerun", "etl")
    assert (code, text.strip()) == (2, "flowrun: its code, the ConfigMap code, is gone: flowrun run FILE")


async def test_the_packed_code_of_a_run_goes_with_the_last_that_needs_it(lane: Lane, flowrun: Flowrun, tmp_path: Path):
    (tmp_path / "etl.py").write_text(CODE)
    await flowrun("run", f"{tmp_path}/etl.py:etl", "-p", "count=1", "--name", "etl", "-d")
    assert (await flowrun("rerun", "etl", "-d"))[0] == 0
    name = lane.api.objects["FlowRun", lane.namespace, "etl"]["spec"]["flow"]["source"]["configMap"]
    path = f"/api/v1/namespaces/{lane.namespace}/configmaps/{name}"
    owners = (await lane.user.must("GET", path))["metadata"]["ownerReferences"]
    uids = {run["metadata"]["uid"] for run in lane.api.of("FlowRun")}
    assert {owner["uid"] for owner in owners} == uids
    assert len(uids) == 2


async def test_a_manifest_is_checked_by_the_server_and_nothing_is_created(lane: Lane, flowrun: Flowrun, tmp_path: Path):
    code, text = await flowrun("lint", manifest(tmp_path))
    assert (code, [line.split()[0] for line in text.splitlines()]) == (0, ["ok", "ok", "ok"])
    code, text = await flowrun(
        "lint", manifest(tmp_path, deletionPolicy={"type": "Delete", "keepSeconds": 5}), "-p", "n=1"
    )
    assert code == 2
    assert "bad  etl(count) has no parameter n" in text
    assert "keepSeconds has a meaning only with type KeepOnFailure" in text
    assert lane.left() == []


async def test_the_doctor_says_what_is_missing_and_what_to_do(lane: Lane, flowrun: Flowrun):
    code, text = await flowrun("doctor")
    assert code == 2  # no operator was installed here by the chart
    lines = text.splitlines()
    assert lines[0].startswith("ok   the cluster answers: Kubernetes v1.")
    assert lines[1] == "ok   the CRDs are there: flowrun.dev/v1alpha1"
    assert "bad  there is no operator; install the chart: helm install flowrun charts/flowrun-operator" in lines
    assert f"ok   you may do all that the command does in namespace {lane.namespace}" in lines
    assert "ok   a run would be taken" in lines
    assert lane.left() == []

    quota = {"metadata": {"name": "small"}, "spec": {"hard": {"pods": "0"}}}
    await lane.user.must("POST", f"/api/v1/namespaces/{lane.namespace}/resourcequotas", quota)
    for _ in range(100):
        _, text = await flowrun("doctor")
        if "quota small" in text:
            break
    assert "note quota small: 0 of 0 pods are used; runs will wait" in text

    _, text = await flowrun("doctor", token=OPERATOR)  # who is no user, and may not look for Deployments, say
    assert "note you may not create flowruns: flowrun run; an admin binds you to the ClusterRole" in text
    assert "note the operator: not known; " in text


async def test_standalone_clusters_are_made_scaled_parked_and_deleted(lane: Lane, flowrun: Flowrun, tmp_path: Path):
    code, text = await flowrun("cluster", "create", "shared", "--workers", "2")
    assert (code, text.split()[:2]) == (0, ["taskclusters.flowrun.dev/shared", "created;"])
    await lane.wait(lambda: len(workers(lane)) == 2, "two workers")
    assert (await flowrun("cluster", "scale", "shared", "3"))[1].strip() == "shared gets 3 workers"
    await lane.wait(lambda: len(workers(lane)) == 3, "three workers")
    head, row = (await flowrun("cluster", "list"))[1].splitlines()
    assert (head.split()[:3], row.split()[:3]) == (["NAME", "ENGINE", "WORKERS"], ["shared", "Dask", "3"])
    assert (await flowrun("cluster", "park", "shared"))[0] == 0
    await lane.wait(lambda: not lane.api.of("Pod"), "no pod is left")
    code, text = await flowrun("cluster", "connect", "shared")
    assert (code, "flowrun cluster scale shared 1" in text) == (2, True)
    assert (await flowrun("cluster", "delete", "shared"))[0] == 0
    await lane.wait(lambda: not lane.api.of("TaskCluster"), "deleted")
    assert (await flowrun("cluster", "delete", "shared"))[0] == 2

    await flowrun("run", manifest(tmp_path), "-d")
    await lane.wait(lane.running, "the driver runs")
    for command in (("scale", "etl-1-default", "5"), ("park", "etl-1-default"), ("delete", "etl-1-default")):
        code, text = await flowrun("cluster", *command)
        assert (code, "belongs to the run etl" in text) == (2, True)
    code, text = await flowrun("dashboard", "etl")
    assert (code, "serves no dashboard: set spec.clusters[].dashboard: true" in text) == (2, True)


def workers(lane: Lane) -> list[Raw]:
    return [pod for pod in lane.api.of("Pod") if pod["metadata"]["labels"].get("flowrun.dev/role") == "worker"]


async def test_a_report_tells_nothing_that_a_user_has_written_as_a_value(lane: Lane, flowrun: Flowrun, tmp_path: Path):
    file = manifest(tmp_path, env=[{"name": "TOKEN", "value": "hidden-1"}])
    await flowrun("run", file, "-p", "count=hidden-2", "-d")
    await lane.wait(lane.running, "the driver runs")
    code, text = await flowrun("report", "etl", "--out", str(tmp_path / "r.tar.gz"))
    assert (code, "Look through it before you give it away" in text) == (0, True)
    process = await asyncio.create_subprocess_exec(
        "tar", "xzfO", str(tmp_path / "r.tar.gz"), stdout=asyncio.subprocess.PIPE
    )
    found = (await process.communicate())[0].decode()
    assert "hidden" not in found
    for part in ("kind: TaskCluster", "etl-1-default-w-0", "name: TOKEN", "etl.py:etl", "Kubernetes v1."):
        assert part in found


@pytest.mark.parametrize(("end", "code", "said"), [(DONE, 0, "FlowCompleted"), (KILLED, 1, "DriverKilled")])
async def test_a_run_is_followed_to_its_end(
    lane: Lane, flowrun: Flowrun, tmp_path: Path, end: tuple[str, int], code: int, said: str
):
    file = manifest(tmp_path, retryPolicy={"maxInfrastructureRetries": 0})
    command = asyncio.create_task(flowrun("run", file))
    await lane.wait(lane.running, "the driver runs")
    lane.ends = {"1": end}
    found, text = await command
    assert (found, said in text.splitlines()[-1]) == (code, True), text
