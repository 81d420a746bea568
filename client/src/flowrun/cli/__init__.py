"""The command `flowrun`: runs FlowRuns from a terminal and stops them with Ctrl-C.

It talks to the Kubernetes API alone, with the user's own rights, and imports nothing of Prefect: a command must answer
at once. `commands` holds what is typed, `files` what the user has here, `kube` all requests, `following` what happens
between a start and an end, and `show` the words.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; says what to do where a part of the installation is missing."""
    try:
        from flowrun.cli import commands  # noqa: F401, PLC0415 - registers them
        from flowrun.cli.app import app  # noqa: PLC0415 - its imports may be missing
    except ModuleNotFoundError as error:
        sys.exit(f"flowrun: {error.name} is missing; mend it by: pip install --force-reinstall flowrun")
    app()
