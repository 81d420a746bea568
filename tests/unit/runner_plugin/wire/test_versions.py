"""Which versions fit together."""

from __future__ import annotations

import platform
import subprocess
import sys

import prefect
import pytest

from prefect_flowrun.wire import versions

BASE = {
    "python": "3.11.7",
    "prefect": "3.8.8",
    "cloudpickle": "3.1.2",
    "distributed": "2026.8.0",
    "ray": "2.60.0",
    "plugin": "0.1.0",
}


@pytest.mark.parametrize(
    ("name", "driver", "worker", "breaks"),
    [
        ("python", "3.11.7", "3.11.9", False),
        ("python", "3.11.7", "3.12.0", True),
        ("prefect", "3.8.8", "3.9.1", False),
        ("prefect", "3.6.0", "3.7.0", False),
        ("prefect", "3.7.0", "3.9.1", True),
        ("prefect", "3.8.0", "3.7.9", True),
        ("prefect", "3.8.0", "3.8.0rc1", False),
        ("prefect", "2.20.0", "3.8.8", True),
        ("cloudpickle", "3.0.0", "3.1.2", False),
        ("cloudpickle", "2.2.1", "3.0.0", True),
        ("distributed", "2026.8.0", "2025.1.0", False),
        ("ray", "2.60.0", "2.60.1", True),
        ("plugin", "0.1.0", "0.1.5", False),
        ("plugin", "0.1.0", "0.2.0", True),
        ("plugin", "0.1.0", "0.1.0+local", False),
    ],
)
def test_the_table_of_differences(name, driver, worker, breaks):
    found = versions.breaks({**BASE, name: driver}, {**BASE, name: worker})
    assert found == ([f"{name} {driver} in the driver, {worker} on the worker"] if breaks else [])


def test_equal_versions_fit():
    versions.check(BASE, dict(BASE), "w")


def test_what_only_one_side_has_is_no_difference():
    del (worker := dict(BASE))["ray"]
    assert versions.differing(BASE, worker) == []
    assert versions.differing(worker, BASE) == []


def test_the_error_names_the_worker_and_every_difference_with_both_sides():
    worker = {**BASE, "python": "3.12.1", "plugin": "0.9.0", "distributed": "2025.1.0"}
    with pytest.raises(versions.VersionMismatchError) as caught:
        versions.check(BASE, worker, "gpu-3 (tcp://10.0.0.7:40000)")
    message = str(caught.value)
    assert "gpu-3 (tcp://10.0.0.7:40000)" in message
    assert "python 3.11.7 in the driver, 3.12.1 on the worker" in message
    assert "plugin 0.1.0 in the driver, 0.9.0 on the worker" in message
    assert "distributed" not in message


def test_a_process_knows_its_own_versions_and_those_of_the_engine_in_use_only():
    mine = versions.collect("distributed")
    assert mine["python"] == platform.python_version()
    assert mine["prefect"] == prefect.__version__
    assert {"cloudpickle", "distributed", "plugin"} <= set(mine)
    assert "ray" not in mine
    assert "distributed" not in versions.collect("ray")


def test_collecting_imports_neither_engine():
    script = (
        "import sys; from prefect_flowrun.wire import versions; found = versions.collect('ray');"
        "assert found['ray'] and found['prefect']; print(*{'ray', 'distributed', 'prefect'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("version", "tested"),
    [("3.5.9", False), ("3.6.0", True), ("3.8.8", True), ("3.9.7", True), ("3.10.0", False), ("4.0.0", False)],
)
def test_versions_of_prefect_outside_the_tested_range_are_told(version, tested):
    message = versions.outside_tested_range(version)
    assert (message is None) is tested
    if message:
        assert version in message
        assert "3.6 to 3.9" in message
