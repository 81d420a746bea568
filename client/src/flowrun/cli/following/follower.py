"""What happens between a run's start and its end: its stages and its log are told, and Ctrl-C cancels it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live

from flowrun.cli.following.interrupts import EXIT_INTERRUPTED, Interrupts
from flowrun.cli.following.task_counts import TaskCounts
from flowrun.cli.show import view
from flowrun.cli.show.tree import tree
from flowrun.kube import conditions
from flowrun.problem import Gone, Problem, Unreachable

Raw = dict[str, Any]

_POLL_S = 0.5

SUCCEEDED, FAILED = 0, 1


class Runs(Protocol):
    """Where runs are: `kube.runs.Runs`, or this machine."""

    @property
    def ends_with_command(self) -> bool:
        """Whether no run outlives the command."""

    def get(self, name: str) -> Raw:
        """Return a run."""

    def cancel(self, name: str) -> Raw:
        """Ask for the end of a run, and return it."""


class Log(Protocol):
    """The lines of a run's drivers."""

    def start(self) -> None:
        """Begin to tell them."""

    def finish(self) -> None:
        """Tell the rest, after the run's end."""


class Follower:
    """Follows one run.

    Args:
        cluster: where it is.
        run: the FlowRun as it was created or read: no later one of its name is followed.
        log: its drivers' lines.
        console: where it is told.
        interrupts: Ctrl-C.
        cancels: Ctrl-C cancels the run; else it only ends the command.
    """

    def __init__(
        self,
        cluster: Runs,
        run: Raw,
        log: Log,
        console: Console,
        interrupts: Interrupts,
        *,
        cancels: bool,
    ) -> None:
        self._cluster = cluster
        self._name: str = run["metadata"]["name"]
        self._uid: str = run["metadata"]["uid"]
        self._console = console
        self._interrupts = interrupts
        self._cancels = cancels
        self._since = time.monotonic()
        self._told = ""
        self._page = ""
        self._cancelled = False
        self._log = log
        self._tasks = TaskCounts(os.environ)

    def until_end(self) -> int:
        """Tell the run's story until it ends.

        Returns:
            exit code: 0 if it succeeded, 1 if not, 130 if Ctrl-C ended it or the command.

        Raises:
            Problem: the cluster refuses to tell, or to cancel.
        """
        self._log.start()
        with self._drawn() as draw:
            try:
                run = self._watch(draw)
            except Gone:
                self._say(f"{self._name} was deleted")
                return EXIT_INTERRUPTED if self._cancelled else FAILED
            except KeyboardInterrupt:
                if self._cluster.ends_with_command:
                    self._say("ending it at once")
                elif self._cancelled:
                    self._say(f"left; {self._name} is being cancelled: flowrun watch {self._name}")
                else:
                    self._say(f"left; {self._name} may not be cancelled: flowrun cancel {self._name}")
                raise
            except Problem as problem:
                raise Problem(f"{problem}; {self._name} goes on") from problem
            if run is None:
                return EXIT_INTERRUPTED
            self._log.finish()
        return self._tell_end(run)

    @contextmanager
    def _drawn(self) -> Iterator[Callable[[Raw], None]]:
        """Give a function that draws the run: as a tree below the lines, or as lines where there is no terminal."""
        if not self._console.is_terminal:
            yield self._tell
            return
        with Live(console=self._console, transient=True) as live:
            yield lambda run: live.update(tree(run, self._tasks.of(view.flow_run_id(run))))

    def _watch(self, draw: Callable[[Raw], None]) -> Raw | None:
        while True:
            if self._interrupts.asked and not self._cancels:
                self._say(f"no longer following {self._name}; it goes on")
                return None
            run = self._try(self._look)
            if run is not None:
                self._tell_page(run)
                if conditions.result(run) is not None:
                    return run
                draw(run)
            self._interrupts.sleep(_POLL_S)

    def _look(self) -> Raw:
        run = self._cluster.get(self._name)
        if run["metadata"]["uid"] != self._uid:
            raise Gone(self._name)
        if self._interrupts.asked and not self._cancelled and conditions.result(run) is None:
            run = self._cluster.cancel(self._name)
            self._cancelled = True
            hurried = "ends it at once" if self._cluster.ends_with_command else "leaves that to the cluster"
            self._say(f"cancelling; Ctrl-C again {hurried}")
        return run

    def _try(self, ask: Callable[[], Raw]) -> Raw | None:
        try:
            return ask()
        except Unreachable as problem:
            if self._told != str(problem):
                self._told = str(problem)
                self._say(f"{problem}; trying again, the run goes on")
            return None

    def _tell(self, run: Raw) -> None:
        stage = view.stage(run)
        if stage != self._told:
            self._told = stage
            self._say(stage)

    def _tell_page(self, run: Raw) -> None:
        url = view.prefect_url(run)
        if url != self._page:
            self._page = url
            self._say(f"in Prefect: {url}")

    def _tell_end(self, run: Raw) -> int:
        result = conditions.result(run)
        assert result is not None  # noqa: S101 - that is why it was returned
        self._console.print(str(result), style="green" if result.succeeded else "red", soft_wrap=True)
        if result.succeeded:
            return SUCCEEDED
        return EXIT_INTERRUPTED if self._cancelled else FAILED

    def _say(self, text: str) -> None:
        line = f"[{time.monotonic() - self._since:6.1f}s] {text}"
        self._console.print(line, style="dim", soft_wrap=True)
