"""One Ray node as children of this process: what `ray start --block` does, for half of the CPU seconds.

The command imports all of Ray's command line (1.5 s of CPU) and starts processes that a run has no use for: a dashboard
even when told not to (2.7 s, and the start waits for it), a proxy for `ray://`, an autoscaler, and two agents on every
node. So Ray's own `Node`, on which the command builds too, is used directly. It is no public interface: with
FLOWRUN_RAY_AGENTS=1 nothing of it is replaced.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowrun_api import environment
from prefect_flowrun.engines.ray import settings, stand_in_agent

if TYPE_CHECKING:
    from ray._private.node import Node


@dataclass(frozen=True)
class NodeOptions:
    """How a node is started."""

    name: str
    num_cpus: int
    temp_dir: Path
    port: int | None = None
    """Of the head: where its GCS listens."""
    head_address: str | None = None
    """Of a worker: HOST:PORT of the head's GCS."""
    num_gpus: int | None = None
    resources: dict[str, int] | None = None
    """What else it offers, by name."""
    object_store_bytes: int | None = None
    dashboard_port: int | None = None
    """None means no dashboard."""


class RayNode:
    """The processes of a node."""

    def __init__(self, options: NodeOptions) -> None:
        """Start the node; returns when it is registered with the head.

        Args:
            options: of the node.

        Raises:
            Exception: Ray's reasons why it could not be started.
        """
        agents = options.dashboard_port is not None or _with_rays_own_agents()
        variables = settings.with_dashboard(settings.ENVIRONMENT) if agents else settings.ENVIRONMENT
        for name, value in variables.items():
            os.environ.setdefault(name, value)
        # Ray reads some of the variables when it is imported.
        from ray._private import node, parameter, services  # noqa: PLC0415

        if not agents:
            _replace_agents()
        self._node: Node = node.Node(
            # Not as 127.0.0.1, although all may be on one machine: the head would listen there only, and Ray's drivers
            # turn that address into this one.
            parameter.RayParams(
                node_ip_address=settings.own_ip() or services.get_node_ip_address(), **_parameters(options)
            ),
            head=options.port is not None,
            shutdown_at_exit=False,
            # With this the kernel ends the children when this process ends, however that happens.
            spawn_reaper=True,
        )

    def dead(self) -> list[str]:
        """Return what has ended of the node, each with its exit code."""
        return [f"{kind} ({_ending(process.returncode)})" for kind, process in self._node.dead_processes()]

    def left_in_peace(self) -> bool:
        """Tell whether the node has ended because it was asked to over Ray's own channels (drained)."""
        return any(kind == "raylet" and process.returncode == 0 for kind, process in self._node.dead_processes())

    def is_used(self) -> bool:
        """Tell whether a driver is connected to the head; True if it can't be asked."""
        try:
            return any(not job.is_dead for job in self._node.get_gcs_client().get_all_job_info().values())
        except Exception:  # of whatever kind: Ray wraps what gRPC raises
            return True

    def stop(self, grace_s: float) -> None:
        """End the node: SIGTERM, then SIGKILL for what is still there after the grace.

        Args:
            grace_s: 0 means SIGKILL at once.
        """
        processes: list[subprocess.Popen[bytes]] = [process for _, process in self._node.live_processes()]
        if grace_s > 0:
            _signal(processes, signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        _signal(processes, signal.SIGKILL)


def _with_rays_own_agents() -> bool:
    return os.environ.get(environment.RAY_AGENTS) == "1"


def _parameters(options: NodeOptions) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "node_name": options.name,
        "num_cpus": options.num_cpus,
        "num_gpus": options.num_gpus,
        "resources": options.resources,
        "object_store_memory": options.object_store_bytes,
        "temp_dir": str(options.temp_dir),
        "include_dashboard": options.dashboard_port is not None,
        # The pump of task output to the driver: Prefect has the logs of its tasks.
        "include_log_monitor": _with_rays_own_agents(),
        "no_monitor": True,
    }
    if options.dashboard_port is not None:
        listen = os.environ.get(environment.LISTEN, "0.0.0.0")  # noqa: S104
        parameters |= {"dashboard_host": listen, "dashboard_port": options.dashboard_port}
    if options.port is not None:
        return parameters | {"gcs_server_port": options.port}
    return parameters | {"gcs_address": options.head_address}


def _replace_agents() -> None:
    """Have Ray start neither the dashboard's processes nor the agents; Ray has no switches for that."""
    from ray._private import node, ray_constants, services  # noqa: PLC0415 - costs a second

    start = services.start_ray_process

    def start_with_stand_ins(command: list[str], process_type: str, *args: Any, **kwargs: Any) -> Any:
        if process_type == ray_constants.PROCESS_TYPE_RAYLET:
            command = [_with_stand_in(part) for part in command]
        return start(command, process_type, *args, **kwargs)

    services.start_ray_process = start_with_stand_ins
    node.Node.start_api_server = lambda *_, **__: None


def _with_stand_in(part: str) -> str:
    for kind in ("dashboard", "runtime_env"):
        option = f"--{kind}_agent_command="
        if part.startswith(option):
            stand_in = subprocess.list2cmdline([sys.executable, "-IS", stand_in_agent.__file__, kind])
            return f"{option}{stand_in} {part.removeprefix(option)}"
    return part


def _signal(processes: Iterable[subprocess.Popen[bytes]], number: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)


def _ending(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
