"""The command `flowrun` as a user types it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from cluster_tools import BUSY_S, Cluster, Raw, code, flow_run, live, wait_task_runs_ended

Told = Callable[[str, object], None]


class Command:
    """A `flowrun` that runs, and what it has printed so far."""

    def __init__(self, ns: Cluster, *args: str, kubeconfig: str = "") -> None:
        command = [sys.executable, "-u", "-m", "flowrun.cli", *args, "--namespace", ns.namespace]
        command += ["--kubeconfig", kubeconfig or ns.kubeconfig]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # As from a terminal, also where the tests run without one and ignore hangups.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509
        )
        self.output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or []:
            self.output += line

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_said(self, ns: Cluster, text: str, timeout_s: float = 60) -> None:
        ns.wait_for(lambda: re.search(text, self.output), timeout_s, f"{text!r} in {self.output}")

    def ended(self, timeout_s: float = 90) -> tuple[int, str]:
        """Wait for its end; return exit code and output."""
        try:
            exit_code = self.process.wait(timeout_s + BUSY_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"flowrun does not end: {self.output}") from None
        self._reader.join(10)
        return exit_code, self.output


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes manifests into a file, and returns its path."""

    def write(*manifests: Raw) -> str:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.yaml"
        path.write_text("\n---\n".join(json.dumps(manifest) for manifest in manifests))
        return str(path)

    return write


@pytest.fixture
def through_a_proxy(ns: Cluster, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Return a function that starts or stops a way to the API server; it returns the kubeconfig of that way."""
    started: list[subprocess.Popen[str]] = []
    kubeconfig = tmp_path / "through-a-proxy"
    port = "0"

    def proxy(what: str) -> str:
        nonlocal port
        if what == "stop":
            started[-1].kill()
            started[-1].wait()
            return str(kubeconfig)
        command = ["kubectl", "--kubeconfig", ns.kubeconfig, "proxy", "--port", port]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        line = started[-1].stdout.readline() if started[-1].stdout else ""
        port = line.strip().rpartition(":")[2]
        cluster = {"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}
        context = {"name": "here", "context": {"cluster": "here", "user": "me"}}
        here = {"apiVersion": "v1", "kind": "Config", "current-context": "here", "clusters": [cluster]}
        kubeconfig.write_text(yaml.safe_dump({**here, "users": [{"name": "me", "user": {}}], "contexts": [context]}))
        return str(kubeconfig)

    yield proxy
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def wait_tasks_run(ns: Cluster, command: Command) -> str:
    command.wait_said(ns, "Running; the flow runs")
    ns.wait_for(lambda: ns.prefect_runs("r") and ns.task_runs(ns.prefect_runs("r")[0]["id"]), 60, "tasks run")
    return str(ns.prefect_runs("r")[0]["id"])


def wait_cancelled(ns: Cluster, flow_run_id: str) -> None:
    ns.wait_for(lambda: ns.prefect_runs("r")[0]["state_type"] == "CANCELLED", 20, "flow run Cancelled")
    tasks = wait_task_runs_ended(ns, flow_run_id, {"CANCELLED", "COMPLETED"})
    assert "CANCELLED" in {task["state_type"] for task in tasks}


def test_a_run_is_started_followed_listed_and_replaced(ns: Cluster, file: Callable[..., str]) -> None:
    path = file(code(), flow_run(workers=1, parameters={"n": 1}))
    exit_code, output = Command(ns, "run", path, "--param", "n=3").ended()
    assert exit_code == 0, output
    assert "flowruns.flowrun.dev/r created" in output
    assert "Beginning flow run" in output
    assert "[scheduler" not in output
    assert output.rstrip().endswith("FlowCompleted")
    assert len(ns.task_runs(ns.prefect_runs("r")[0]["id"])) == 3
    first = ns.run("r")["metadata"]["uid"]

    exit_code, output = Command(ns, "run", path).ended()
    assert exit_code == 2
    assert '"r" already exists; give it another with --name, or --replace it' in output

    assert "[scheduler default]" in Command(ns, "logs", "r", "--all").ended()[1]
    exit_code, output = Command(ns, "logs", "r").ended()
    assert exit_code == 0
    assert output.count("Beginning flow run") == 1
    assert "[scheduler" not in output
    assert re.search(r"^r +Succeeded +FlowCompleted", Command(ns, "list").ended()[1], re.MULTILINE)
    exit_code, output = Command(ns, "cancel", "r").ended()
    assert exit_code == 2
    assert "r has ended already (FlowCompleted)" in output

    exit_code, output = Command(ns, "run", path, "--replace").ended()
    assert exit_code == 0, output
    assert ns.run("r")["metadata"]["uid"] != first
    assert ns.wait_result("r")["reason"] == "FlowCompleted"


ETL = """
from pathlib import Path
from prefect import flow, task
import helper

@task
def twice(number):
    return helper.twice(number) + int(Path("data/one.txt").read_text())

@flow
def etl(count: int):
    return sum(twice.map(range(count)).result())
"""


def test_a_file_without_a_manifest_is_run_with_its_folder_which_goes_with_the_run(ns: Cluster, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one.txt").write_text("1")
    (tmp_path / "helper.py").write_text("def twice(number):\n    return 2 * number\n")
    (tmp_path / "etl.py").write_text(ETL)
    entrypoint = f"{tmp_path}/etl.py:etl"

    exit_code, output = Command(ns, "run", entrypoint, "--name", "r", "--workers", "1").ended()
    assert (exit_code, own_config_maps(ns)) == (2, []), output
    assert "etl(count: int) needs count: --param count=VALUE" in output

    exit_code, output = Command(ns, "run", entrypoint, "--name", "r", "--workers", "1", "-p", "count=3").ended()
    assert exit_code == 0, output
    assert len(ns.task_runs(ns.prefect_runs("r")[0]["id"])) == 3
    (code_map,) = own_config_maps(ns)
    assert [owner["name"] for owner in code_map["metadata"]["ownerReferences"]] == ["r"]

    # Another one of that name: refused, and its code does not stay.
    exit_code, output = Command(ns, "run", entrypoint, "--name", "r", "-p", "count=3").ended()
    assert exit_code == 2
    assert "already exists" in output
    assert own_config_maps(ns) == [code_map]

    ns.kubectl("delete", "flowruns.flowrun.dev", "r")
    ns.wait_for(lambda: not own_config_maps(ns), 60, "the code's ConfigMap to go")


def own_config_maps(ns: Cluster) -> list[Raw]:
    return [found for found in ns.list("configmaps") if found["metadata"]["name"].startswith("r-code-")]


TALKS = """
import time
from prefect import flow, task

@task(log_prints=True)
def talk(number):
    for line in range(50):
        print(f"said {number}-{line}.", flush=True)
        time.sleep(0.01)

@flow
def talks(count: int, then_s: float = 0):
    talk.map(range(count)).wait()
    time.sleep(then_s)
"""


def test_no_line_of_the_workers_of_a_run_is_lost(ns: Cluster, tmp_path: Path) -> None:
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow" / "talks.py").write_text(TALKS)
    options = ("--name", "r", "--workers", "3", "-p", "count=30", "--detach")
    assert Command(ns, "run", f"{tmp_path}/flow/talks.py:talks", *options).ended()[0] == 0
    shown = Command(ns, "logs", "r", "--workers", "--follow")
    written = Command(ns, "logs", "@latest", "-f", "--out-dir", str(tmp_path / "logs"))
    exit_code, output = shown.ended()
    assert exit_code == 0, output
    said = sorted(re.findall(r"^\[default-w-\d\] .*said (\d+-\d+)\.", output, re.MULTILINE))
    assert said == sorted(f"{number}-{line}" for number in range(30) for line in range(50))
    assert written.ended()[0] == 0
    files = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert sum(text.count("said ") for name, text in files.items() if "-w-" in name) == 30 * 50
    assert "Beginning flow run" in "".join(text for name, text in files.items() if "-w-" not in name)
    ns.wait_clean("r", 30)
    exit_code, output = Command(ns, "logs", "r", "--workers").ended()
    assert exit_code == 2
    assert "r has ended, and its workers are gone with it" in output
    assert Command(ns, "logs", "r", "--tail", "1").ended()[1].startswith("[flowrun] FlowCompleted")


def test_a_dashboard_is_reached_until_its_run_ends(ns: Cluster, file: Callable[..., str]) -> None:
    run = flow_run(workers=1, parameters={"n": 2, "seconds": 60.0})
    run["spec"]["clusters"][0]["dashboard"] = True
    assert Command(ns, "run", file(code(), run), "--detach").ended()[0] == 0
    ns.wait_for(lambda: ns.condition("r", "ClustersReady").get("status") == "True", 90, "workers ready")
    command = Command(ns, "dashboard", "r")
    command.wait_said(ns, r"dashboard of default \(Dask\): http://\S+/status", 20)
    (url,) = re.findall(r"http://\S+", command.output)
    for _ in range(3):  # each by a way of its own
        with urllib.request.urlopen(url, timeout=20) as page:
            assert "Dask" in page.read().decode()
    assert Command(ns, "cancel", "r").ended()[0] == 0
    exit_code, output = command.ended()
    assert exit_code == 0, output
    assert "r has no driver that runs now: flowrun get r" in output


def test_a_run_that_fails_is_exit_code_1_and_says_why(ns: Cluster, file: Callable[..., str]) -> None:
    exit_code, output = Command(ns, "run", file(code(), flow_run(function="fails", workers=None))).ended()
    assert exit_code == 1
    assert re.search(r"FlowFailed: .*the flow's own error", output)


def test_a_run_that_the_cluster_refuses_is_told_with_the_field(ns: Cluster, file: Callable[..., str]) -> None:
    exit_code, output = Command(ns, "run", file(flow_run(activeDeadlineSeconds=-1))).ended()
    assert exit_code == 2
    assert "spec.activeDeadlineSeconds" in output
    assert "Traceback" not in output
    exit_code, output = Command(ns, "run", file({**code(), "kind": "ConfigMaps"}, flow_run())).ended()
    assert exit_code == 2
    assert "apply ConfigMaps: this cluster has no such kind" in output
    assert ns.list("flowruns.flowrun.dev") == []


def test_F24_ctrl_c_cancels_the_run_and_its_tasks(ns: Cluster, file: Callable[..., str], record_property: Told) -> None:
    command = Command(ns, "run", file(code(), flow_run(parameters={"n": 8, "seconds": 60.0})))
    flow_run_id = wait_tasks_run(ns, command)
    since = time.monotonic()
    command.send(signal.SIGINT)
    exit_code, output = command.ended()
    assert exit_code == 130, output
    assert "cancelling; Ctrl-C again leaves that to the cluster" in output
    assert output.rstrip().splitlines()[-1].startswith("Cancelled")
    ns.wait_for(lambda: not ns.workers("r") and not live(ns.list("pods")), 10, "pods gone")
    record_property("clean_s", round(time.monotonic() - since, 1))
    assert ns.wait_result("r", 10)["reason"] == "Cancelled"
    wait_cancelled(ns, flow_run_id)
    ns.wait_clean("r", 10)
    ns.wait_for(lambda: ns.driver("r") is None, 20, "the driver has gone")
    exit_code, output = Command(ns, "logs", "r").ended()
    assert exit_code == 2
    assert "r has no driver (any more)" in output


def test_F24_a_second_ctrl_c_leaves_the_end_to_the_cluster(ns: Cluster, file: Callable[..., str]) -> None:
    deaf = "import time\nfrom prefect import flow\n@flow\ndef main():\n    try:\n        time.sleep(300)\n"
    deaf += "    except BaseException:\n        time.sleep(300)\n"
    command = Command(ns, "run", file(code(text=deaf), flow_run(workers=None)))
    command.wait_said(ns, "Running; the flow runs")
    command.send(signal.SIGINT)
    command.wait_said(ns, "cancelling", 20)
    command.send(signal.SIGINT)
    exit_code, output = command.ended()
    assert exit_code == 130
    assert "left; r is being cancelled" in output or output.rstrip().splitlines()[-1].startswith("Cancelled")
    assert ns.wait_result("r", 60)["reason"] == "Cancelled"
    ns.wait_clean("r", 10)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_a_terminal_that_is_closed_leaves_the_run_alone(
    ns: Cluster, file: Callable[..., str], number: signal.Signals
) -> None:
    command = Command(ns, "run", file(code(), flow_run(workers=None, parameters={"n": 2, "seconds": 3.0})))
    command.wait_said(ns, "Running; the flow runs")
    command.send(number)
    assert command.ended()[0] == -number
    assert ns.wait_result("r", 60)["reason"] == "FlowCompleted", ns.describe("r")


def test_ctrl_c_of_watch_leaves_the_run_alone(ns: Cluster, file: Callable[..., str]) -> None:
    long = flow_run(workers=None, parameters={"n": 2, "seconds": 5.0})
    assert Command(ns, "run", file(code(), long), "--detach").ended()[0] == 0
    watch = Command(ns, "watch", "r")
    watch.wait_said(ns, "Running; the flow runs")
    watch.send(signal.SIGINT)
    exit_code, output = watch.ended()
    assert exit_code == 130
    assert "no longer following r; it goes on" in output
    assert Command(ns, "watch", "r").ended()[0] == 0
    assert ns.condition("r", "Succeeded")["reason"] == "FlowCompleted"


def test_F24_ctrl_c_while_the_api_server_is_away_cancels_once_it_is_back(
    ns: Cluster, file: Callable[..., str], through_a_proxy: Callable[[str], str]
) -> None:
    path = file(code(), flow_run(parameters={"n": 8, "seconds": 60.0}))
    command = Command(ns, "run", path, kubeconfig=through_a_proxy("start"))
    flow_run_id = wait_tasks_run(ns, command)
    through_a_proxy("stop")
    command.wait_said(ns, "the cluster does not answer.*trying again, the run goes on")
    command.send(signal.SIGINT)
    time.sleep(1)
    assert command.process.poll() is None
    assert ns.condition("r", "Succeeded")["status"] == "Unknown"
    through_a_proxy("start")
    exit_code, output = command.ended()
    assert exit_code == 130, output
    assert output.rstrip().splitlines()[-1].startswith("Cancelled")
    assert output.count("Beginning flow run") == 1  # the log went on where it had broken off
    wait_cancelled(ns, flow_run_id)


def test_a_run_that_is_deleted_while_it_is_followed_is_told(ns: Cluster, file: Callable[..., str]) -> None:
    command = Command(ns, "run", file(code(), flow_run(workers=None, parameters={"seconds": 60.0})))
    command.wait_said(ns, "Running; the flow runs")
    ns.kubectl("delete", "flowruns.flowrun.dev", "r", "--wait=false")
    exit_code, output = command.ended()
    assert exit_code == 1
    assert "r was deleted" in output
