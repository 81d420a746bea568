"""The command as a process, where it needs no cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

EXAMPLE = str(Path(__file__).parents[4] / "examples" / "greetings.yaml")


def flowrun(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prefect_flowrun.cli", *args]
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
    code = f"import sys, prefect_flowrun.cli.app; sys.exit(sorted({slow} & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_without_the_extra_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['typer'] = None; from prefect_flowrun.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "pip install 'prefect-flowrun[cli]'" in done.stderr


def kubeconfig(server: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }
