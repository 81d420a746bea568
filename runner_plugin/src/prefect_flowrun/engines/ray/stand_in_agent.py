"""Stands in for an agent of a Ray node until somebody needs it. A script: `python -IS ray_agent.py KIND COMMAND...`.

A raylet insists on two agents, Python processes that take 0.6 s of CPU each and that it waits for: at the start of a
cluster the CPU is what there is too little of. Nobody calls the one for the dashboard; the one for runtime environments
is called if the user's code asks Ray for such an environment, and then this process becomes that agent.

Imports as little as it can: two of these start with every node.
"""

import os
import select
import socket
import sys

_DASHBOARD_PORTS = ("dashboard_agent_listen_port", "metrics_agent_port", "metrics_export_port")
_RUNTIME_ENV_PORT = "runtime_env_agent_port"
_PARENT_POLL_S = 1.0


def main(kind: str, command: list[str]) -> None:
    """Serve as the agent as far as that is needed; ends with the raylet.

    Args:
        kind: "dashboard" or "runtime_env".
        command: of the real agent.
    """
    options = dict(part.split("=", 1) for part in command if part.startswith("--") and "=" in part)
    if kind == "dashboard":
        # Held, so that nobody else listens there.
        held = [_announce(options, name) for name in _DASHBOARD_PORTS]
        _wait_for_call(held, listening=False)
        return
    listener = _announce(options, _RUNTIME_ENV_PORT)
    listener.listen()
    if not _wait_for_call([listener], listening=True):
        return
    port = listener.getsockname()[1]
    listener.close()
    # The raylet tries again until the agent answers.
    real = [part for part in command if not part.startswith("--runtime-env-agent-port=")]
    os.execv(real[0], [*real, f"--runtime-env-agent-port={port}"])  # noqa: S606 - as the raylet would have


def _announce(options: dict[str, str], name: str) -> socket.socket:
    """Take a free port and write it where the raylet looks for it."""
    sock = socket.socket()
    sock.bind((options["--node-ip-address"], 0))
    path = f"{options['--session-dir']}/{name}_{options['--node-id']}"
    # No pathlib: importing it costs as much as the rest.
    with open(path + ".new", "w") as file:  # noqa: PTH123
        file.write(str(sock.getsockname()[1]))
    os.rename(path + ".new", path)  # noqa: PTH104
    return sock


def _wait_for_call(sockets: list[socket.socket], *, listening: bool) -> bool:
    """Wait until somebody connects; return False when the raylet has gone."""
    raylet = os.getppid()
    while os.getppid() == raylet:
        if select.select(sockets if listening else [], [], [], _PARENT_POLL_S)[0]:
            return True
    return False


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
