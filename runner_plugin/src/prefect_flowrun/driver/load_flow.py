"""Load the flow of an entrypoint, and say in the user's terms why it can't be loaded."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from prefect.exceptions import MissingFlowError, ScriptError
from prefect.flows import Flow, load_flow_from_entrypoint

from prefect_flowrun.wire.flow_modules import flow_roots

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
    file, separator, _ = entrypoint.rpartition(":")
    if separator and file.endswith(".py") and not Path(file).is_file():
        raise FlowLoadError(f"There is no file {file!r} in {Path.cwd()}")
    try:
        return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except MissingFlowError as error:
        raise FlowLoadError(f"{entrypoint}: {error}".strip()) from error
    # A module that calls sys.exit() while it is imported is as broken as one that raises.
    except (Exception, SystemExit) as error:
        raise FlowLoadError(explain(error, entrypoint)) from error


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
    while isinstance(error, ScriptError) and error.user_exc is not None:
        error = error.user_exc
    roots = [str(root) for root in flow_roots(entrypoint)]
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
