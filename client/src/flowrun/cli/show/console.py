"""The terminal. Other people's texts reach it only without what would make it do something."""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console

# Escape sequences whole (colours, cursor, titles, links), then every other control character but tab and new line,
# and those that turn the direction of what follows. https://www.ecma-international.org/publications-and-standards/standards/ecma-48/
_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[ -/]*[0-~])|\x9b[0-?]*[ -/]*[@-~]", re.DOTALL
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Return a text without what a terminal would obey.

    Args:
        text: of anybody.
    """
    return _CONTROL.sub("", _SEQUENCE.sub("", text))


class SafeConsole(Console):
    """A console to which texts of other people can be given."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as `rich` does, texts without control characters."""
        super().print(*(clean(item) if isinstance(item, str) else item for item in objects), **options)


def console(*, stderr: bool = False) -> SafeConsole:
    """Return a console that tells texts as they are: `fd00:a:b` is an address and no emoji, `[head gpu]` no markup.

    Args:
        stderr: on standard error.
    """
    return SafeConsole(stderr=stderr, highlight=False, emoji=False, markup=False)
