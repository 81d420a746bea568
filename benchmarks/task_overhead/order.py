"""What the benchmark asks of a driver process, and where the answer goes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Order:
    """Some loads, one after the other, on one row."""

    row: str
    loads: dict[str, int]
    """Tasks by scenario."""
    address: str
    """Of the cluster's coordinator; empty for threads."""
    groups: dict[str, list[int]]
    """Processes whose CPU time is part of the result, by group."""
    result_file: str

    @classmethod
    def read(cls, path: str) -> Order:
        return cls(**json.loads(Path(path).read_text()))

    def answers(self) -> list[dict[str, Any]]:
        """Read what has been answered so far."""
        path = Path(self.result_file)
        return list(json.loads(path.read_text())) if path.exists() else []

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    def answer(self, results: list[dict[str, Any]]) -> None:
        """Write what there is so far, whole or not at all: the benchmark is watching the file."""
        target = Path(self.result_file)
        part = target.with_suffix(".part")
        part.write_text(json.dumps(results))
        part.replace(target)
