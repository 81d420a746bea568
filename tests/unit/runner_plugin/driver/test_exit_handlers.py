"""What users register with `atexit`: OpenTelemetry and its like send their last data there."""

from __future__ import annotations

import time

from prefect_server import eventually


def test_exit_handlers_of_the_flow_and_of_its_tasks_run_and_hold_nobody_up(drive, tmp_path):
    driven = drive("attempts.py:registers_exit_handlers", {"folder": str(tmp_path)})
    began = time.monotonic()
    assert driven.finish()["type"] == "COMPLETED"
    assert time.monotonic() - began < 600, "one of them sleeps for ten minutes"
    assert (tmp_path / "driver-left").read_text() == "x"
    assert eventually((tmp_path / "worker-left").exists, bool)
