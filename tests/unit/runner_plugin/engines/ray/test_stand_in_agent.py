"""The process that stands in for an agent of a Ray node."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prefect_flowrun.engines.ray import stand_in_agent


@pytest.fixture
def stand_in(tmp_path):
    """Start one for a real agent that writes its arguments to a file."""
    started = []
    real = tmp_path / "agent"
    real.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called.new && mv {tmp_path}/called.new {tmp_path}/called\n')
    real.chmod(real.stat().st_mode | stat.S_IXUSR)

    def start(kind):
        options = ["--node-ip-address=127.0.0.1", f"--session-dir={tmp_path}", "--node-id=n1"]
        options += ["--runtime-env-agent-port=0"]
        command = [sys.executable, "-IS", stand_in_agent.__file__, kind, str(real), *options, "--appended-by-raylet"]
        started.append(subprocess.Popen(command))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def port(folder, name):
    path = folder / f"{name}_n1"
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(path.read_text())


def test_the_dashboards_agent_only_names_its_ports(stand_in, tmp_path):
    process = stand_in("dashboard")
    ports = {port(tmp_path, f"{name}_port") for name in ("dashboard_agent_listen", "metrics_agent", "metrics_export")}
    assert len(ports) == 3
    for number in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", number), timeout=5)
    assert process.poll() is None


def test_the_agent_for_runtime_environments_becomes_the_real_one_when_it_is_called(stand_in, tmp_path):
    process = stand_in("runtime_env")
    number = port(tmp_path, "runtime_env_agent_port")
    assert not (tmp_path / "called").exists()
    with contextlib.suppress(ConnectionResetError):  # the call that wakes it may be lost: the raylet calls again
        socket.create_connection(("127.0.0.1", number), timeout=5).close()
    assert process.wait(60) == 0
    called = (tmp_path / "called").read_text().split()
    assert called[-1] == f"--runtime-env-agent-port={number}"
    assert "--runtime-env-agent-port=0" not in called
    assert "--appended-by-raylet" in called


def test_it_ends_with_the_raylet(tmp_path):
    code = f"""
import subprocess, sys, time
command = [sys.executable, "-IS", {stand_in_agent.__file__!r}, "dashboard", "x"]
command += ["--node-ip-address=127.0.0.1", "--session-dir={tmp_path}", "--node-id=n1"]
print(subprocess.Popen(command).pid, flush=True)
while not __import__("os").path.exists("{tmp_path}/metrics_export_port_n1"):
    time.sleep(0.01)
"""
    raylet = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    pid, deadline = int(raylet.stdout), time.monotonic() + 60
    while _runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
