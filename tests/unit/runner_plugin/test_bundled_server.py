"""The Prefect server of the chart is Prefect's own, with a garbage collector that looks less often."""

from __future__ import annotations

import gc
from pathlib import Path

from prefect_server import running_server

from prefect_flowrun import bundled_server


def test_it_serves(tmp_path: Path) -> None:
    with running_server(tmp_path, "prefect_flowrun.bundled_server") as server:
        assert server.get("health") is True


def test_the_garbage_collector_looks_less_often() -> None:
    before = gc.get_threshold()
    try:
        bundled_server.look_less_often()
        assert gc.get_threshold()[0] > 10 * before[0]
    finally:
        gc.set_threshold(*before)
