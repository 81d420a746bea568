"""Where the lines of many pods go: to the terminal, or into files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from flowrun.cli.show.view import is_of_a_coordinator
from flowrun.kube.container_state import label, short_name
from flowrun.problem import Problem
from flowrun_api.constants import ROLE_DRIVER

Raw = dict[str, Any]


class Lines:
    """Prints lines.

    Args:
        say: prints one.
        run: name of the FlowRun.
        prefixed: each line begins with its pod.
        everything: the lines of schedulers and heads too.
    """

    def __init__(self, say: Callable[[str], None], run: str, *, prefixed: bool, everything: bool) -> None:
        self._say = say
        self._run = run
        self._prefixed = prefixed
        self._everything = everything

    def take(self, pod: Raw, line: str) -> None:
        """Print a line of a pod."""
        if self._prefixed:
            self._say(f"[{short_name(pod, self._run)}] {line}")
        elif self._everything or label(pod, "role") != ROLE_DRIVER or not is_of_a_coordinator(line):
            self._say(line)

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: what is printed is printed."""


class Files:
    """Writes the lines of each pod into a file of its own, `POD.log`, as they are.

    Args:
        folder: of the files; is made if it is not there.

    Raises:
        Problem: it can't be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, IO[str]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Problem(f"--out-dir {folder}: {error.strerror}") from error

    def take(self, pod: Raw, line: str) -> None:
        """Write a line of a pod.

        Raises:
            Problem: it can't be written.
        """
        name = pod["metadata"]["name"]
        try:
            if name not in self._files:
                self._files[name] = (self._folder / f"{name}.log").open("w", encoding="utf-8")
            self._files[name].write(line + "\n")
        except OSError as error:
            raise Problem(f"{self._folder / name}.log: {error.strerror}") from error

    def __enter__(self) -> Files:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
