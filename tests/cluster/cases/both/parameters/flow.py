"""Parameters arrive as they were written: the flow compares them with what is in its file."""

from typing import Any

from prefect import flow

TEXTS = [
    "$$5",
    "$$$$",
    "$(FLOWRUN_NAME) and $$(FLOWRUN_NAME)",
    "$(date +%F) ${HOME} $HOME",
    'quotes " \\ and a new\nline',
    "Straße ☂ 雨",
    "",
    "  spaces  ",
    "2026-11-22",
    "no",
    "0755",
]
NUMBERS = {"big": 9007199254740993, "small": -1, "fraction": 0.1, "exponent": 1e22}


@flow
def main(
    texts: list[str],
    numbers: dict[str, Any],
    nothing: str | None = "the default",
    empty: dict[str, Any] | None = None,
) -> None:
    wrong = [f"{wanted!r} came as {came!r}" for wanted, came in zip(TEXTS, texts, strict=True) if wanted != came]
    wrong += [
        f"{name} came as {numbers.get(name)!r}" for name, wanted in NUMBERS.items() if numbers.get(name) != wanted
    ]
    assert not wrong, wrong
    assert nothing is None, nothing
    assert empty == {}, empty
