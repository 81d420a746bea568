"""What a model says of an object that it can't read, for people: each fault with its field, and never with a value."""

from __future__ import annotations

from pydantic import ValidationError


def faults(error: ValidationError, root: str) -> list[str]:
    """Return the faults, such as `spec.clusters[0].engine: Input should be 'Dask' or 'Ray'`.

    Args:
        error: What the model raised.
        root: The field that it reads.
    """
    problems = error.errors(include_url=False, include_input=False)
    return [f"{root}{''.join(map(_part, problem['loc']))}: {problem['msg']}" for problem in problems]


def _part(part: int | str) -> str:
    return f"[{part}]" if isinstance(part, int) else f".{part}"
