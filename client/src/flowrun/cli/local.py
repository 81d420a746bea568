"""`flowrun run ... --local`: a run on this machine, and which of its lines are shown."""

from __future__ import annotations

import importlib.util
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowrun.cli.files.manifests import Manifests
from flowrun.cli.show import view
from flowrun.problem import Problem

if TYPE_CHECKING:
    from prefect_flowrun.laptop.run import LaptopRun

Raw = dict[str, Any]

_TIMELINE = "[flowrun] timeline"
_VIEW_AT = "' - View at "
# What Dask and our launcher of Ray say of themselves.
_ENGINES_OWN = re.compile(
    r" - distributed\.[\w.]+ - (DEBUG|INFO) - |Failed to communicate with scheduler|^\[ray worker\] |^\[flowrun\] "
)
# What may follow such a line: an error of the engine's, in which nothing is the flow's.
_TRACEBACK = re.compile(r"\s|$|Traceback \(|The above exception|During handling|[\w.]*(Error|Exception|Cancelled\w*)\b")
# The result, which is told once more at the end.
_RESULT = re.compile(r"\[flowrun\] [A-Z]\w+: [A-Z]\w+\. ")
Say = Callable[[str], None]


class NoLog:
    """Of a run on this machine: its lines are told as they are written."""

    def start(self) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing: the run's end waits for the last lines."""


@contextmanager
def started(found: Manifests, code: Path | None, say: Say, *, everything: bool) -> Iterator[tuple[LaptopRun, Raw]]:
    """Start a run on this machine, and leave nothing of it behind.

    Args:
        found: the run, and what its file holds besides.
        code: the folder with the flow's code; None: where the manifest says.
        say: takes the lines of the run's processes.
        everything: also those of coordinators, workers and Prefect's server.

    Yields:
        the run, and its object.

    Raises:
        Problem: it can't be started.
    """
    if importlib.util.find_spec("prefect_flowrun") is None:
        raise Problem(
            'a run on this machine needs Prefect and an engine: pip install "prefect-flowrun[dask]", or [ray]'
            " (in a checkout: pip install ./api './runner_plugin[dask]')"
        )
    # Not where TMPDIR points: paths of sockets have a hundred characters at most.
    with _told():
        folder = Path(tempfile.mkdtemp(prefix="flowrun-", dir="/tmp"))
    try:
        with _told():
            run = _prepare(found, code, folder, say, everything=everything)
        hurried = False
        try:
            with _told():
                run.start()
            yield run, run.get("")
        except KeyboardInterrupt:
            hurried = True
            raise
        finally:
            run.close(hurried=hurried)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _told() -> Iterator[None]:
    from prefect_flowrun.laptop.problem import CannotRun  # noqa: PLC0415 - see `_prepare`

    try:
        yield
    except CannotRun as problem:
        raise Problem(str(problem)) from None
    except OSError as error:
        raise Problem(f"the run can't be started: {error.strerror or error}") from error


def _prepare(found: Manifests, code: Path | None, folder: Path, say: Say, *, everything: bool) -> LaptopRun:
    from prefect_flowrun.laptop import prefect_server, source, spec  # noqa: PLC0415 - costs pydantic and httpx
    from prefect_flowrun.laptop.run import LaptopRun, Lines, place_of  # noqa: PLC0415

    metadata = found.flow_run["metadata"]
    name = str(metadata.get("name") or metadata.get("generateName", "run").rstrip("-"))
    read = spec.read(found.flow_run)
    origin = None
    if code is None and read.flow.source is not None:
        origin, code = folder / "source", folder / "work"
        origin.mkdir()
        code.mkdir()
        source.lay_out(read.flow.source, found.others, origin, code)
    reach = prefect_server.users()
    if read.prefect.api_url:
        reach[prefect_server.API_URL] = read.prefect.api_url
    place = place_of(folder, code or Path.cwd(), origin, reach)

    lines = _all_lines(say) if everything else _lines_of_the_flow(say, own_server=not place.api_url)
    return LaptopRun(name, read, place, Lines(*lines))


def _all_lines(say: Say) -> tuple[Say, Callable[[str, str], None], Say]:
    return say, lambda worker, line: say(f"[worker {worker}] {line}"), say


def _lines_of_the_flow(say: Say, *, own_server: bool) -> tuple[Say, Callable[[str, str], None], Say]:
    def of_driver(line: str) -> None:
        # A server of the run's own has no pages, and is gone when somebody looks.
        useless = _VIEW_AT if own_server else _TIMELINE
        told_elsewhere = view.is_of_a_coordinator(line) or line.startswith(_TIMELINE) or _RESULT.match(line)
        if not (told_elsewhere or useless in line):
            say(line)

    hidden: set[str] = set()

    def of_worker(worker: str, line: str) -> None:
        if _ENGINES_OWN.search(line):
            hidden.add(worker)
        elif worker not in hidden or not _TRACEBACK.match(line):
            hidden.discard(worker)
            say(line)

    return of_driver, of_worker, lambda _line: None
