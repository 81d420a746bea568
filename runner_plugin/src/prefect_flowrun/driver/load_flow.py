"""Load the flow of an entrypoint, and say in the user's terms why it can't be loaded.

Not by Prefect's loader, which in some versions gives every file a name of its own: `flow.py` is the module `flow` here,
as it is to everything that imports it, and so to the workers.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from prefect.flows import Flow

from prefect_flowrun.source import import_path
from prefect_flowrun.wire import by_value, module_changes

MESSAGE_LINES = 12


class FlowLoadError(Exception):
    """The flow can't be loaded; the message is meant for its author."""


def load_flow(entrypoint: str) -> Flow[..., Any]:
    """Import the entrypoint's module and return its flow.

    Args:
        entrypoint: `dir/file.py:function`, `package.module:function` or `package.module.function`.

    Raises:
        FlowLoadError: there is no such file, module, function or flow, or importing it failed.
    """
    place, separator, name = entrypoint.rpartition(":")
    if not separator:
        place, _, name = entrypoint.rpartition(".")
    is_file = bool(separator) and place.endswith(".py")
    if is_file and not Path(place).is_file():
        raise FlowLoadError(f"There is no file {place!r} in {Path.cwd()}")
    import_path.put_first(import_path.folders_of(entrypoint))
    try:
        found: Any = _load_file(Path(place)) if is_file else importlib.import_module(place)
    # A module that calls sys.exit() while it is imported is as broken as one that raises.
    except (Exception, SystemExit) as error:
        raise FlowLoadError(explain(error, entrypoint)) from error
    # From here on what the flow changes in its modules is noticed.
    module_changes.of_this_process().look()
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError:
        raise FlowLoadError(f"{entrypoint}: Flow function with name {name!r} not found in {place!r}.") from None
    if not isinstance(found, Flow):
        raise FlowLoadError(
            f"{entrypoint}: Function with name {name!r} is not a flow. Make sure that it is decorated with '@flow'."
        )
    return found


def _load_file(file: Path) -> ModuleType:
    """Import a file by its own name, or under another one if everybody would take that for another module."""
    name = file.stem
    if _means(name, file):
        return importlib.import_module(name)
    alias = "_flow_" + "".join(letter if letter.isalnum() else "_" for letter in name)
    spec = importlib.util.spec_from_file_location(alias, file.absolute())
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[alias]
        raise
    by_value.mark(module)
    _say(
        f"{file.name} can't be imported as {name!r}, which is another module's name or none: its functions and classes"
        " travel to the workers by value. Rename the file, and processes that tasks start can use them, too"
    )
    return module


def _means(name: str, file: Path) -> bool:
    """Whether a module's name leads to this file, on every worker too."""
    if "." in name or name in sys.stdlib_module_names:
        return False
    known = sys.modules.get(name)
    if known is not None:
        return _is(getattr(known, "__file__", None), file)
    mine = import_path.folders_of(f"{file}:")
    # A worker may have imported an installed module of that name before it comes to the flow.
    other = PathFinder.find_spec(name, [entry for entry in sys.path if entry and entry not in mine])
    if other is not None and not _is(other.origin, file):
        return False
    spec = PathFinder.find_spec(name, mine)
    return spec is not None and _is(spec.origin, file)


def _is(found: str | None, file: Path) -> bool:
    return found is not None and Path(found).exists() and Path(found).samefile(file)


def fallback_flow_name(entrypoint: str) -> str:
    """Name of a flow that could not be loaded, as Prefect would derive it from the function.

    Args:
        entrypoint: as for `load_flow`.
    """
    return entrypoint.replace(":", ".").rpartition(".")[2].replace("_", "-")


def explain(error: BaseException, entrypoint: str) -> str:
    """Cut a traceback down to the lines that concern the user's files.

    Args:
        error: what importing raised.
        entrypoint: as for `load_flow`; tells which folders are the user's.
    """
    roots = import_path.folders_of(entrypoint)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(tuple(roots)) and "-packages" not in frame.filename
    ]
    last_words = [line.rstrip() for line in traceback.format_exception_only(error)]
    where = [f"{_shorten(frame.filename, roots)}:{frame.lineno} in {frame.name}: {frame.line}" for frame in frames[-3:]]
    headline = last_words[-1]  # e.g. "ModuleNotFoundError: No module named 'x'"; a SyntaxError has its place before it
    return "\n".join([headline, *where, *last_words[:-1]][:MESSAGE_LINES])


def _shorten(filename: str, roots: list[str]) -> str:
    for root in sorted(roots, key=len, reverse=True):
        if filename.startswith(root + "/"):
            return filename[len(root) + 1 :]
    return filename


def _say(message: str) -> None:
    print(f"[flowrun] {message}", file=sys.stderr, flush=True)  # noqa: T201 - the container's log
