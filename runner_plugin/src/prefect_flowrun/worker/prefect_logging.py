"""Logging of worker processes."""

from __future__ import annotations

import logging
from functools import partial

from prefect.logging.configuration import setup_logging
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.settings import PREFECT_LOGGING_MARKUP

from prefect_flowrun.worker.log_prints import share_prints


def set_up() -> None:
    """Set Prefect's logging up: for tasks that run at the same time, and where nothing can be coloured.

    A worker writes to a file or a pipe, where the lines come out the same, and looking through each of them for things
    to colour takes a seventh of a trivial task's time.
    """
    setup_logging()
    share_prints()
    for handler in logging.getLogger().handlers:
        if not isinstance(handler, PrefectConsoleHandler):
            continue
        if not (handler.console.is_terminal or PREFECT_LOGGING_MARKUP.value()):
            handler.emit = partial(logging.StreamHandler.emit, handler)  # type: ignore[method-assign]
