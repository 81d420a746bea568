"""Parameters of the flow: what would not arrive as it is written is refused before anything is created."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from flowrun.problem import Problem
from flowrun_api.constants import PARAMETERS_LIMIT_BYTES

Raw = dict[str, Any]

# The API server makes a number with a fraction of every other one, and rounds it.
_INTEGERS = range(-(2**63), 2**63)


def set_parameters(flow_run: Raw, assignments: Sequence[str]) -> None:
    """Set parameters of the flow.

    Args:
        flow_run: is changed.
        assignments: `name=value`; a value that is no JSON is a string.

    Raises:
        Problem: an assignment without `=`, or a FlowRun that can have no parameters.
    """
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise Problem("--param: write it as NAME=VALUE")
        _parameters(flow_run)[name] = _value(value)


def check(flow_run: Raw) -> None:
    """Look whether all parameters arrive as they are.

    Args:
        flow_run: as it is to be created.

    Raises:
        Problem: a value that JSON or the API server can't hold, or too many of them; names field, size and limit.
    """
    given: Any = flow_run
    for field in ("spec", "flow", "parameters"):
        given = given.get(field) if isinstance(given, dict) else None
    if not isinstance(given, dict):  # none, or the API server's to refuse
        return
    for where, value in _values(given, "spec.flow.parameters"):
        if problem := _problem(value):
            raise Problem(f"{where}: {problem}")
    size = len(json.dumps(given, separators=(",", ":")))
    if size > PARAMETERS_LIMIT_BYTES:
        raise Problem(
            f"spec.flow.parameters has {-(-size // 2**10)} KiB as JSON, "
            f"the limit is {PARAMETERS_LIMIT_BYTES // 2**10} KiB: "
            "put large values where the flow can read them, and give it the place"
        )


def _values(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Yield every value with its place, and texts that are keys; parents before what they hold.

    Raises:
        Problem: a key is none that its author has written.
    """
    yield where, value
    if isinstance(value, dict):
        for name, child in value.items():
            if isinstance(name, bool):
                words = "y, yes or on" if name else "n, no or off"
                raise Problem(f"{where}, a key: YAML reads {words} as a truth value: quote it")
            if not isinstance(name, int | float | None):  # they become texts
                yield f"{where}, a key", name
            yield from _values(child, f"{where}.{name}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _values(child, f"{where}[{index}]")


def _problem(value: Any) -> str | None:
    if isinstance(value, bool | dict | list | None):
        return None
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "half of a surrogate pair is no text"
        return None
    if isinstance(value, int):
        return (
            None if value in _INTEGERS else "an integer that needs more than 64 bits would be rounded: make it a text"
        )
    if isinstance(value, float):
        return None if math.isfinite(value) else f"JSON has no {value}"
    return f"JSON has no {type(value).__name__}"


def _parameters(flow_run: Raw) -> Raw:
    node = flow_run
    for field in ("spec", "flow", "parameters"):
        node = node.setdefault(field, {})
        if not isinstance(node, dict):
            raise Problem(f"{field} of the FlowRun is not an object")
    return node


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return text


def _no_json(name: str) -> None:
    raise ValueError(name)  # NaN and its like: Python reads them, JSON has none
