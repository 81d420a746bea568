"""Other people's texts on the terminal."""

from __future__ import annotations

import io

import pytest

from flowrun.cli.show.console import SafeConsole, clean

TEXTS = [
    ("\x1b[31mred\x1b[0m", "red"),
    ("\x1b]0;your title\x07text", "text"),
    ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
    ("\x9b31mred", "red"),
    ("a\rb\x08c\x00d\x7fe\x85f", "abcdef"),
    ("invoice\u202egpj.exe", "invoicegpj.exe"),
    ("\x1b", ""),
    ("\x1bP1$r\x1b\\done", "done"),
    ("tab\tand\nline", "tab\tand\nline"),
    ("größer ≥ 日本語 🎉 [head gpu]", "größer ≥ 日本語 🎉 [head gpu]"),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_nothing_of_it_is_obeyed(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_the_console_cleans_what_it_prints() -> None:
    file = io.StringIO()
    console = SafeConsole(file=file, highlight=False, markup=False, force_terminal=False, width=80)
    for text, _ in TEXTS:
        console.print(text, soft_wrap=True)
    assert "\x1b" not in file.getvalue()
    assert "[head gpu]" in file.getvalue()
