"""The command as a process, where it needs no cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowrun.cli.commands import start
from flowrun.problem import Problem, Unreachable

EXAMPLE = str(Path(__file__).parents[4] / "examples" / "greetings.yaml")


def flowrun(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flowrun.cli", *args]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env}, timeout=120, check=False)


def test_without_a_kubeconfig_it_says_what_to_set(tmp_path: Path) -> None:
    done = flowrun("run", EXAMPLE, "--kubeconfig", str(tmp_path / "missing"))
    assert done.returncode == 2
    assert "set KUBECONFIG or give --kubeconfig" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(yaml.safe_dump(kubeconfig("http://127.0.0.1:9")))
    done = flowrun("list", "--context", "prod", "--kubeconfig", str(tmp_path / "config"))
    assert done.returncode == 2
    assert "prod" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cluster_that_does_not_answer_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(yaml.safe_dump(kubeconfig("http://127.0.0.1:9")))  # the port "discard"
    done = flowrun("list", KUBECONFIG=str(tmp_path / "config"))
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("flowrun: list flowruns.flowrun.dev: the cluster does not answer")


def test_the_command_imports_nothing_slow() -> None:
    slow = {"prefect", "dask", "ray", "kubernetes", "pydantic", "httpx"}
    code = f"import sys, flowrun.cli.commands; sys.exit(sorted({slow} & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_without_the_extra_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['typer'] = None; from flowrun.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "pip install --force-reinstall flowrun" in done.stderr


class StandIn:
    """A cluster that answers as it is told to."""

    def __init__(self, creates: Any, gives: Exception | None = None) -> None:
        self.creates, self.gives = creates, gives
        self.calls: list[str] = []

    def create(self, _flow_run: dict[str, Any]) -> Any:
        self.calls.append("create")
        if isinstance(self.creates, Exception):
            raise self.creates
        return self.creates

    def give(self, code: str, _run: dict[str, Any]) -> None:
        self.calls.append(f"give {code}")
        if self.gives is not None:
            raise self.gives

    def drop(self, code: str) -> None:
        self.calls.append(f"drop {code}")


RUN = {"metadata": {"name": "etl", "uid": "u"}}


@pytest.mark.parametrize(
    ("cluster", "calls", "problem"),
    [
        (StandIn(RUN), ["create", "give code"], None),
        (StandIn(RUN, gives=Problem("you may not")), ["create", "give code"], None),
        (StandIn(Problem("refused")), ["create", "drop code"], "refused"),
        # The run may be there, and needs its code.
        (StandIn(Unreachable("no answer")), ["create"], "the run may be there all the same"),
    ],
)
def test_the_code_of_a_run_goes_with_it_and_does_not_stay_without(
    cluster: StandIn, calls: list[str], problem: str | None
) -> None:
    if problem is None:
        assert start.create_with("code", cluster, RUN, replace=False) == RUN
    else:
        with pytest.raises(Problem, match=problem):
            start.create_with("code", cluster, RUN, replace=False)
    assert cluster.calls == calls


def test_without_a_manifest_nothing_is_asked_of_a_cluster_before_all_is_checked(tmp_path: Path) -> None:
    (tmp_path / "etl.py").write_text("from prefect import flow\n\n@flow\ndef etl(count): ...\n")
    entrypoint = f"{tmp_path}/etl.py:etl"
    for arguments, said in (
        ([], "etl(count) needs count: --param count=VALUE"),
        (["-p", "n=1"], "etl(count) has no parameter n"),
        (["-p", "count=1", "--env", "A"], "--env: write it as NAME=VALUE"),
    ):
        done = flowrun("run", entrypoint, *arguments, KUBECONFIG=str(tmp_path / "missing"))
        assert (done.returncode, done.stderr.strip()) == (2, f"flowrun: {said}")
    done = flowrun("run", EXAMPLE, "--engine", "ray")
    assert done.stderr.strip() == "flowrun: --engine: only with file.py:function; here the manifest says it"


def test_a_dry_run_prints_a_manifest_to_keep(tmp_path: Path) -> None:
    (tmp_path / "etl.py").write_text("from prefect import flow\n\n@flow\ndef etl(count): ...\n")
    done = flowrun("run", f"{tmp_path}/etl.py:etl", "-p", "count=1", "--name", "mine", "--dry-run")
    code, flow_run = yaml.safe_load_all(done.stdout)
    assert (code["kind"], flow_run["kind"], flow_run["metadata"]) == ("ConfigMap", "FlowRun", {"name": "mine"})
    assert flow_run["spec"]["flow"]["source"] == {"configMap": code["metadata"]["name"]}


def test_every_command_says_what_it_does() -> None:
    listed = flowrun("--help").stdout
    for name in ("run", "rerun", "watch", "logs", "get", "list", "cancel", "suspend", "resume", "dashboard", "ui",
                 "lint", "doctor", "report", "version", "cluster"):  # fmt: skip
        assert f" {name} " in listed
        assert flowrun(name, "--help").returncode == 0
    for name in ("create", "list", "scale", "park", "connect", "delete"):
        assert f" {name} " in flowrun("cluster", "--help").stdout


def test_kubectl_finds_it_as_a_plugin() -> None:
    done = subprocess.run([f"{Path(sys.executable).parent}/kubectl-flowrun", "version", "--client"],
                          capture_output=True, text=True, timeout=120, check=True)  # fmt: skip
    assert done.stdout.startswith("flowrun ")


def test_names_are_completed_and_a_cluster_that_is_away_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(yaml.safe_dump(kubeconfig("http://127.0.0.1:9")))
    asked = {"COMP_WORDS": "flowrun watch ", "COMP_CWORD": "2", "_FLOWRUN_COMPLETE": "complete_bash"}
    command = [f"{Path(sys.executable).parent}/flowrun"]
    env = {**os.environ, **asked, "KUBECONFIG": str(tmp_path / "config")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)
    assert (done.stdout.strip(), done.stderr) == ("@latest", "")


def test_a_manifest_is_looked_through_without_a_cluster(tmp_path: Path) -> None:
    done = flowrun("lint", EXAMPLE, "--offline")
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        ["ok   greetings.py:greetings: the function is in the ConfigMap greetings-code and takes its parameters"],
    )
    text = Path(EXAMPLE).read_text()
    (tmp_path / "f.yaml").write_text(text.replace("greetings.py:greetings", "greetings.py:greet"))
    done = flowrun("lint", str(tmp_path / "f.yaml"), "-p", "n=1", KUBECONFIG=str(tmp_path / "missing"))
    assert done.returncode == 2
    assert done.stdout.splitlines()[0] == "bad  greetings.py has no function greet"
    assert done.stdout.splitlines()[1].startswith("note not checked by a cluster; no cluster: ")
    (tmp_path / "f.yaml").write_text(text.replace("greetings.py:greetings", "hello.py:greetings"))
    done = flowrun("lint", str(tmp_path / "f.yaml"), "--offline")
    said = "bad  spec.flow.entrypoint: there is no hello.py in the ConfigMap greetings-code; there is: greetings.py"
    assert (done.returncode, done.stdout.strip()) == (2, said)


def kubeconfig(server: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }
