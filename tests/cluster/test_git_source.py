"""Code of a flow in git, from a server in a pod."""

from __future__ import annotations

import textwrap

import pytest
from cluster_tools import Cluster, Raw, flow_run

FLOW = """
from pathlib import Path
from prefect import flow, task
import helper

class Item:
    pass

@task
def look(number):
    Path(f"written-{number}").write_text("1")
    return helper.twice(number), Path("data/one.txt").read_text(), str(Path.cwd()), Item()

@flow
def main(n: int = 1):
    found = look.map(range(n)).result()
    assert [(a, b, c) for a, b, c, _ in found] == [(2 * i, "1", "/flowrun/work") for i in range(n)], found
    assert all(type(item) is Item for *_, item in found)
"""
SERVER = """
import base64, sys
from pathlib import Path
from wsgiref.simple_server import make_server
from dulwich import porcelain
from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain

folder = Path("/tmp/repository")
repo = porcelain.init(str(folder))
for name in ("nightly/flow.py", "nightly/helper.py", "nightly/data/one.txt"):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(Path("/files", name.replace("/", "_")).read_text())
    porcelain.add(repo, [str(file)])
me = b"me <me@example.com>"
porcelain.commit(repo, message=b"all", author=me, committer=me)
git = make_wsgi_chain(DictBackend({"/flows": Repo(str(folder))}))

def answer(environ, start_response):
    given = base64.b64decode(environ.get("HTTP_AUTHORIZATION", "").removeprefix("Basic "))
    if given != b"oauth2:t0ken":
        start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="git"')])
        return [b""]
    return git(environ, start_response)

make_server("0.0.0.0", 8000, answer).serve_forever()
"""


@pytest.fixture
def url(ns: Cluster) -> str:
    files = {
        "nightly_flow.py": FLOW,
        "nightly_helper.py": "def twice(n):\n    return 2 * n\n",
        "nightly_data_one.txt": "1",
    }
    files["server.py"] = SERVER
    ns.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "git-server"}, "data": files})
    container: Raw = {
        "name": "git",
        "image": "localhost/flowrun-runtime:dev",
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-u", "/files/server.py"],
        "volumeMounts": [{"name": "files", "mountPath": "/files"}],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "containers": [container],
        "volumes": [{"name": "files", "configMap": {"name": "git-server"}}],
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    metadata = {"name": "git-server", "labels": {"app": "git-server"}}
    ns.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    service = {"selector": {"app": "git-server"}, "ports": [{"port": 80, "targetPort": 8000}]}
    ns.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "git-server"}, "spec": service})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git"}, "stringData": {"token": "t0ken"}}
    ns.apply(secret)
    ns.kubectl("wait", "pod/git-server", "--for=condition=Ready", "--timeout=120s")
    return f"http://git-server.{ns.namespace}.svc/flows"


def from_git(url: str, engine: str, **git: object) -> Raw:
    run = flow_run(workers=2, parameters={"n": 6})
    run["spec"]["flow"] |= {"entrypoint": "flow.py:main", "parameters": {"n": 6}}
    run["spec"]["flow"]["source"] = {"git": {"url": url, "path": "nightly", **git}}
    run["spec"]["clusters"][0]["engine"] = engine
    if engine == "Ray":
        run["spec"]["clusters"][0]["workers"]["resources"] = {"requests": {"cpu": "100m", "memory": "512Mi"}}
    return run


@pytest.mark.parametrize("engine", ["Dask", "Ray"])
def test_driver_and_workers_work_with_one_commit_and_write_beside_it(ns: Cluster, url: str, engine: str) -> None:
    ns.apply(from_git(url, engine, credentialsSecret={"name": "git", "key": "token"}))
    result = ns.wait_result("r", 120)
    assert result["reason"] == "FlowCompleted", ns.describe("r")
    assert ": commit " in ns.kubectl("logs", "-l", "flowrun.dev/run=r,flowrun.dev/role=driver", "--tail=-1")


def test_what_is_wrong_is_told(ns: Cluster, url: str) -> None:
    ns.apply(from_git(url, "Dask"))
    result = ns.wait_result("r", 120)
    assert result["reason"] == "FlowLoadFailed"
    assert "credentialsSecret" in result["message"], textwrap.shorten(result["message"], 300)
